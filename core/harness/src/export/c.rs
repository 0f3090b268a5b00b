//! A trained network as C: one header and one source file that a device compiles as they are.
//!
//! No allocation, no state, no dependency, not even on the C library's mathematics. The weights
//! are `const`, so a linker puts them into flash; memory is needed only on the stack.

use std::fmt::Write;

use super::{Layer, Network};

/// How the weights are stored. Activations are f32 in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// 32 bits.
    F32,
    /// 8 bits, with a scale for each output of a layer; biases stay f32.
    Int8,
}

/// The two files, and what they need of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// `policy.h`.
    pub header: String,
    /// `policy.c`.
    pub source: String,
    /// Bytes of the constants.
    pub flash_bytes: usize,
    /// Bytes of the local arrays of a call.
    pub stack_bytes: usize,
}

impl Network {
    /// Writes it as C.
    pub fn to_c(&self, stored: Weights) -> Exported {
        let Self { lstm, dense_1, dense_2, head, feature_scales, history_scale, .. } = self;
        let Self { slots, servers, hidden, .. } = *self;
        let features = feature_scales.len();
        let mut source = format!("{SOURCE_HEAD}\n");
        let mut flash_bytes = 4 * (features + 1);
        let factors: Vec<f32> = feature_scales.iter().map(|scale| 1.0 / scale).collect();
        array(&mut source, "static const float feature_factor[F]", &factors);
        for layer in [lstm, dense_1, dense_2, head] {
            flash_bytes += write_layer(&mut source, layer, stored);
        }
        let _ =
            writeln!(source, "static const float history_factor = {:e}f;\n", 1.0 / history_scale);
        source += &SOURCE_TAIL.replace(
            "WEIGHT(",
            match stored {
                Weights::F32 => "FLOAT_WEIGHT(",
                Weights::Int8 => "INT8_WEIGHT(",
            },
        );
        let header = HEADER
            .replace("{F}", &features.to_string())
            .replace("{K}", &slots.to_string())
            .replace("{M}", &servers.to_string())
            .replace("{H}", &hidden.to_string());
        // The local arrays of policy_values: gates, output, cell, two dense layers, head.
        let stack_bytes = 4 * (4 * hidden + 4 * hidden + servers + 2);
        Exported { header, source, flash_bytes, stack_bytes }
    }
}

/// A layer's constants; gives their bytes.
fn write_layer(source: &mut String, layer: &Layer, stored: Weights) -> usize {
    let Layer { name, inputs, outputs, weights, bias } = layer;
    array(source, &format!("static const float {name}_bias[{outputs}]"), bias);
    match stored {
        Weights::F32 => {
            let declared = format!("static const float {name}_weight[{inputs} * {outputs}]");
            array(source, &declared, weights);
            4 * (weights.len() + bias.len())
        }
        Weights::Int8 => {
            let column = |output: usize| weights.iter().skip(output).step_by(*outputs);
            let scales: Vec<f32> = (0..*outputs)
                .map(|output| {
                    let largest = column(output).fold(0.0_f32, |most, w| most.max(w.abs()));
                    if largest == 0.0 { 1.0 } else { largest / 127.0 }
                })
                .collect();
            let quantised: Vec<i32> = weights
                .iter()
                .zip(scales.iter().cycle())
                .map(|(weight, scale)| (weight / scale).round() as i32)
                .collect();
            array(source, &format!("static const float {name}_scale[{outputs}]"), &scales);
            let declared = format!("static const signed char {name}_weight[{inputs} * {outputs}]");
            let _ = writeln!(source, "{declared} = {{");
            for row in quantised.chunks(16) {
                let numbers: Vec<String> = row.iter().map(ToString::to_string).collect();
                let _ = writeln!(source, "    {},", numbers.join(", "));
            }
            let _ = writeln!(source, "}};");
            weights.len() + 4 * (scales.len() + bias.len())
        }
    }
}

fn array(source: &mut String, declared: &str, values: &[f32]) {
    let _ = writeln!(source, "{declared} = {{");
    for row in values.chunks(6) {
        // The shortest text that reads back to the same number.
        let numbers: Vec<String> = row.iter().map(|value| format!("{value:e}f")).collect();
        let _ = writeln!(source, "    {},", numbers.join(", "));
    }
    let _ = writeln!(source, "}};");
}

const HEADER: &str = "\
/* A policy for task offloading, exported by offramp. No allocation, no state. */
#ifndef OFFRAMP_POLICY_H
#define OFFRAMP_POLICY_H

#define POLICY_FEATURES {F}
#define POLICY_HISTORY_SLOTS {K}
#define POLICY_SERVERS {M}
#define POLICY_HIDDEN {H}
#define POLICY_ACTIONS (POLICY_SERVERS + 1)

/* Q of every action. features: o, unscaled, in the order of the scenario's observation.
   history: the loads of the last POLICY_HISTORY_SLOTS slots, the oldest first, POLICY_SERVERS
   each, unscaled. */
void policy_values(const float features[POLICY_FEATURES],
                   const float history[POLICY_HISTORY_SLOTS * POLICY_SERVERS],
                   float values[POLICY_ACTIONS]);

/* The action of the largest value: 0 computes locally, j offloads to server j. */
int policy_decide(const float features[POLICY_FEATURES],
                  const float history[POLICY_HISTORY_SLOTS * POLICY_SERVERS]);

#endif
";

const SOURCE_HEAD: &str = "\
/* Exported by offramp; see policy.h. Compile as C99, with optimisation (-O3 and your -march make vector code). */
#include \"policy.h\"

#include <stdint.h>

enum { F = POLICY_FEATURES, K = POLICY_HISTORY_SLOTS, M = POLICY_SERVERS, H = POLICY_HIDDEN };

#define FLOAT_WEIGHT(layer, input, output, outputs) layer##_weight[(input) * (outputs) + (output)]
#define INT8_WEIGHT(layer, input, output, outputs) \\
    ((float)layer##_weight[(input) * (outputs) + (output)] * layer##_scale[output])
";

const SOURCE_TAIL: &str = "\
/* sums += factor * x * weights of the inputs from `first` on. */
#define ADD_PRODUCT(layer, first, count, x, factor, sums, outputs) \\
    for (int input = 0; input < (count); input++) { \\
        const float value = (x)[input] * (factor); \\
        for (int output = 0; output < (outputs); output++) \\
            (sums)[output] += value * WEIGHT(layer, (first) + input, output, outputs); \\
    }

/* e^x with a relative error below 4e-7; beyond +-87 that of +-87. No branch and no table, so that
   a compiler makes vector code of a loop of it. Not for -ffast-math. */
static inline float exponential(float x) {
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    union { float number; uint32_t bits; } n, power;
    x = x < -87.0f ? -87.0f : x;
    x = x > 87.0f ? 87.0f : x;
    n.number = x * 1.44269504f + shift;
    const float whole = n.number - shift;
    const float r = (x - whole * 0.693145752f) - whole * 1.42860682e-6f;
    float series = 1.0f / 5040.0f;
    series = series * r + 1.0f / 720.0f;
    series = series * r + 1.0f / 120.0f;
    series = series * r + 1.0f / 24.0f;
    series = series * r + 1.0f / 6.0f;
    series = series * r + 0.5f;
    series = series * r + 1.0f;
    series = series * r + 1.0f;
    power.bits = (n.bits - 0x4B400000u + 127u) << 23;
    return series * power.number;
}

static inline float logistic(float x) { return 1.0f / (1.0f + exponential(-x)); }

static float rectified(float x) { return x > 0.0f ? x : 0.0f; }

void policy_values(const float features[F], const float history[K * M], float values[M + 1]) {
    float gates[4 * H], output_h[H] = {0}, cell[H] = {0}, first[H], second[H], head[M + 2];
    for (int slot = 0; slot < K; slot++) {
        for (int n = 0; n < 4 * H; n++) gates[n] = lstm_bias[n];
        ADD_PRODUCT(lstm, 0, M, history + slot * M, history_factor, gates, 4 * H)
        ADD_PRODUCT(lstm, M, H, output_h, 1.0f, gates, 4 * H)
        /* The candidate is tanh x = 2 logistic(2x) - 1; the forget gate has a bias of 1. */
        for (int n = 0; n < H; n++) {
            gates[H + n] *= 2.0f;
            gates[2 * H + n] += 1.0f;
        }
        for (int n = 0; n < 4 * H; n++) gates[n] = logistic(gates[n]);
        for (int n = 0; n < H; n++) {
            cell[n] = gates[2 * H + n] * cell[n] + gates[n] * (2.0f * gates[H + n] - 1.0f);
            output_h[n] = gates[3 * H + n] * (2.0f * logistic(2.0f * cell[n]) - 1.0f);
        }
    }
    for (int n = 0; n < H; n++) first[n] = dense_1_bias[n];
    ADD_PRODUCT(dense_1, 0, F, features, feature_factor[input], first, H)
    ADD_PRODUCT(dense_1, F, H, output_h, 1.0f, first, H)
    for (int n = 0; n < H; n++) {
        first[n] = rectified(first[n]);
        second[n] = dense_2_bias[n];
    }
    ADD_PRODUCT(dense_2, 0, H, first, 1.0f, second, H)
    for (int n = 0; n < H; n++) second[n] = rectified(second[n]);
    for (int n = 0; n < M + 2; n++) head[n] = head_bias[n];
    ADD_PRODUCT(head, 0, H, second, 1.0f, head, M + 2)
    float mean = 0.0f;
    for (int action = 0; action <= M; action++) mean += head[1 + action] / (float)(M + 1);
    for (int action = 0; action <= M; action++) values[action] = head[0] + head[1 + action] - mean;
}

int policy_decide(const float features[F], const float history[K * M]) {
    float values[M + 1];
    int best = 0;
    policy_values(features, history, values);
    for (int action = 1; action <= M; action++)
        if (values[action] > values[best]) best = action;
    return best;
}
";
