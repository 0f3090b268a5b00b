//! C: one header and one source file that a device compiles as they are.
//!
//! No allocation, no state, no dependency, not even on the C library's mathematics. The constants
//! are `const`, so a linker puts them into flash; memory is needed only on the stack.
//!
//! [`header`] is the interface that all exported policies have, whatever decides behind it: a
//! device can exchange one for another without a change to its own code.

use std::fmt::Write;

use super::{ExportError, ExportedFile, Format, Network};
use crate::gate::{FORGET_BIAS, Gate};
use crate::layer::Layer;
use crate::perceptron::PerceptronShape;
use crate::shape::{FIRST_ADVANTAGE_COLUMN, Layers, Shape, VALUE_COLUMN};

pub(super) const FORMAT: Format = Format {
    name: "c",
    about: "policy.h and policy.c, weights of 32 bits",
    write: |network| files(network, Weights::F32),
};

pub(super) const FORMAT_INT8: Format = Format {
    name: "c-int8",
    about: "policy.h and policy.c, weights of 8 bits: about a quarter of the flash",
    write: |network| files(network, Weights::Int8),
};

/// How weights are stored. Activations are f32 in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weights {
    /// 32 bits.
    F32,
    /// 8 bits, with a scale for each output of a layer; biases stay f32.
    Int8,
}

/// The inputs of an exported policy, which its header states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// F: features of o.
    pub features: usize,
    /// K: rows of history.
    pub history_slots: usize,
    /// M: width of a row of history.
    pub servers: usize,
}

/// `policy.h` and `policy.c`, the latter with a note on the memory it needs.
pub fn pair(
    header: String,
    source: String,
    flash_bytes: usize,
    stack_bytes: usize,
) -> Vec<ExportedFile> {
    let file = |name: &str, text: String, note: String| ExportedFile {
        name: name.to_owned(),
        bytes: text.into_bytes(),
        note,
    };
    let note = format!("{flash_bytes} bytes of constants (flash), {stack_bytes} bytes of stack");
    vec![file("policy.h", header, String::new()), file("policy.c", source, note)]
}

/// The header: the sizes of the inputs with further `definitions`, further `declarations`, and
/// the entry point `policy_decide` under the comment `decision`.
pub fn header(inputs: &Inputs, definitions: &str, declarations: &str, decision: &str) -> String {
    let Inputs { features, history_slots, servers } = inputs;
    HEADER
        .replace("{F}", &features.to_string())
        .replace("{K}", &history_slots.to_string())
        .replace("{M}", &servers.to_string())
        .replace("{definitions}", definitions)
        .replace("{declarations}", declarations)
        .replace("{decision}", decision)
}

/// Appends an array of constants; `declared` is all to the left of `=`.
pub fn array(source: &mut String, declared: &str, values: &[f32]) {
    let _ = writeln!(source, "{declared} = {{");
    for row in values.chunks(6) {
        // The shortest text that reads back to the same number.
        let numbers: Vec<String> = row.iter().map(|value| format!("{value:e}f")).collect();
        let _ = writeln!(source, "    {},", numbers.join(", "));
    }
    let _ = writeln!(source, "}};");
}

/// A perceptron over features and the loads of the last slot, in `format`: `c` or `c-int8`. Both
/// inputs are scaled by the caller, which `POLICY_SCALED_INPUTS` in the header states.
///
/// # Errors
/// [`ExportError::NoSuchFormat`] if there is no such format.
///
/// # Panics
/// If the shape is not one of F + M inputs and 1 + M outputs, or the parameters do not have it.
pub fn perceptron(
    inputs: &Inputs,
    shape: &PerceptronShape,
    parameters: &[f32],
    format: &str,
) -> Result<Vec<ExportedFile>, ExportError> {
    let stored = match format {
        "c" => Weights::F32,
        "c-int8" => Weights::Int8,
        _ => {
            let (asked, known) = (format.to_owned(), vec!["c", "c-int8"]);
            return Err(ExportError::NoSuchFormat { asked, known });
        }
    };
    let PerceptronShape { hidden, .. } = *shape;
    assert_eq!(shape.inputs, inputs.features + inputs.servers, "inputs");
    assert_eq!(shape.outputs, inputs.servers + 1, "outputs");
    let mut source = format!("{SOURCE_HEAD}\n");
    let mut flash_bytes = 0;
    for layer in shape.layers() {
        flash_bytes += write_layer(&mut source, &layer, parameters, stored);
    }
    source += "\n";
    source += &stored.add_product();
    source += RECTIFIED;
    source += PERCEPTRON_VALUES;
    source += DECIDE;
    let definitions = format!("#define POLICY_HIDDEN {hidden}\n#define POLICY_SCALED_INPUTS 1\n");
    let header = header(inputs, &definitions, DECLARED_LOGITS, DECISION);
    // The local arrays of policy_values and policy_decide: two dense layers, values.
    let stack_bytes = 4 * (2 * hidden + inputs.servers + 1);
    Ok(pair(header, source, flash_bytes, stack_bytes))
}

impl Weights {
    fn add_product(self) -> String {
        match self {
            Self::F32 => ADD_PRODUCT.replace("WEIGHT(", "FLOAT_WEIGHT("),
            Self::Int8 => ADD_PRODUCT.replace("WEIGHT(", "INT8_WEIGHT("),
        }
    }
}

fn files(network: &Network<'_>, stored: Weights) -> Vec<ExportedFile> {
    let Network { shape, scaling, parameters } = network;
    let Shape { features, servers, history_slots, hidden } = *shape;
    let mut source = format!("{SOURCE_HEAD}\n");
    let mut flash_bytes = 4 * (features + 1);
    let factors: Vec<f32> = scaling.features.iter().map(|scale| 1.0 / scale).collect();
    array(&mut source, "static const float feature_factor[F]", &factors);
    let Layers { lstm, dense_1, dense_2, head } = shape.layers();
    for layer in [lstm, dense_1, dense_2, head] {
        flash_bytes += write_layer(&mut source, &layer, parameters, stored);
    }
    let history_factor = 1.0 / scaling.history;
    let _ = writeln!(source, "static const float history_factor = {history_factor:e}f;\n");
    source += &stored.add_product();
    source += LOGISTIC;
    source += RECTIFIED;
    source += &values();
    source += DECIDE;
    let inputs = Inputs { features, history_slots, servers };
    let hidden_width = format!("#define POLICY_HIDDEN {hidden}\n");
    let header = header(&inputs, &hidden_width, DECLARED_VALUES, DECISION);
    // The local arrays of policy_values: gates, output, cell, two dense layers, head.
    let stack_bytes = 4 * (4 * hidden + 4 * hidden + servers + 2);
    pair(header, source, flash_bytes, stack_bytes)
}

/// `policy_values` for gates and head in the order that the network's shape defines.
fn values() -> String {
    let neuron = |gate: Gate| match gate.columns(1).start {
        0 => "gates[n]".to_owned(),
        1 => "gates[H + n]".to_owned(),
        number => format!("gates[{number} * H + n]"),
    };
    VALUES
        .replace("{i}", &neuron(Gate::Input))
        .replace("{j}", &neuron(Gate::Candidate))
        .replace("{f}", &neuron(Gate::Forget))
        .replace("{o}", &neuron(Gate::Output))
        .replace("{forget_bias}", &format!("{FORGET_BIAS:?}f"))
        .replace("{bias}", &FORGET_BIAS.to_string())
        .replace("{value}", &VALUE_COLUMN.to_string())
        .replace("{first_advantage}", &FIRST_ADVANTAGE_COLUMN.to_string())
}

/// Appends a layer's constants; returns their bytes.
fn write_layer(source: &mut String, layer: &Layer, parameters: &[f32], stored: Weights) -> usize {
    let (name, inputs, outputs) = (layer.name(), layer.inputs(), layer.outputs());
    let (weights, bias) = (layer.weights(parameters), layer.biases(parameters));
    array(source, &format!("static const float {name}_bias[{outputs}]"), bias);
    match stored {
        Weights::F32 => {
            let declared = format!("static const float {name}_weight[{inputs} * {outputs}]");
            array(source, &declared, weights);
            4 * (weights.len() + bias.len())
        }
        Weights::Int8 => {
            let column = |output: usize| weights.iter().skip(output).step_by(outputs);
            let scales: Vec<f32> = (0..outputs)
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

const HEADER: &str = "\
/* A policy for task offloading, exported by offramp. No allocation, no state. */
#ifndef OFFRAMP_POLICY_H
#define OFFRAMP_POLICY_H

#define POLICY_FEATURES {F}
#define POLICY_HISTORY_SLOTS {K}
#define POLICY_SERVERS {M}
{definitions}#define POLICY_ACTIONS (POLICY_SERVERS + 1)

{declarations}{decision}int policy_decide(const float features[POLICY_FEATURES],
                  const float history[POLICY_HISTORY_SLOTS * POLICY_SERVERS]);

#endif
";

const DECLARED_VALUES: &str = "\
/* Q of every action. features: o, unscaled, in the order of the scenario's observation.
   history: the loads of the last POLICY_HISTORY_SLOTS slots, the oldest first, POLICY_SERVERS
   each, unscaled. */
void policy_values(const float features[POLICY_FEATURES],
                   const float history[POLICY_HISTORY_SLOTS * POLICY_SERVERS],
                   float values[POLICY_ACTIONS]);

";

const DECISION: &str = "\
/* The action of the largest value: 0 computes locally, j offloads to server j. */
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

const ADD_PRODUCT: &str = "\
/* sums += factor * x * weights of the inputs from `first` on. */
#define ADD_PRODUCT(layer, first, count, x, factor, sums, outputs) \\
    for (int input = 0; input < (count); input++) { \\
        const float value = (x)[input] * (factor); \\
        for (int output = 0; output < (outputs); output++) \\
            (sums)[output] += value * WEIGHT(layer, (first) + input, output, outputs); \\
    }

";

const LOGISTIC: &str = "\
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

";

const RECTIFIED: &str = "\
static float rectified(float x) { return x > 0.0f ? x : 0.0f; }

";

const VALUES: &str = "\
void policy_values(const float features[F], const float history[K * M], float values[M + 1]) {
    float gates[4 * H], output_h[H] = {0}, cell[H] = {0}, first[H], second[H], head[M + 2];
    for (int slot = 0; slot < K; slot++) {
        for (int n = 0; n < 4 * H; n++) gates[n] = lstm_bias[n];
        ADD_PRODUCT(lstm, 0, M, history + slot * M, history_factor, gates, 4 * H)
        ADD_PRODUCT(lstm, M, H, output_h, 1.0f, gates, 4 * H)
        /* The candidate is tanh x = 2 logistic(2x) - 1; the forget gate has a bias of {bias}. */
        for (int n = 0; n < H; n++) {
            {j} *= 2.0f;
            {f} += {forget_bias};
        }
        for (int n = 0; n < 4 * H; n++) gates[n] = logistic(gates[n]);
        for (int n = 0; n < H; n++) {
            cell[n] = {f} * cell[n] + {i} * (2.0f * {j} - 1.0f);
            output_h[n] = {o} * (2.0f * logistic(2.0f * cell[n]) - 1.0f);
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
    for (int action = 0; action <= M; action++) mean += head[{first_advantage} + action] / (float)(M + 1);
    for (int action = 0; action <= M; action++) values[action] = head[{value}] + head[{first_advantage} + action] - mean;
}

";

const DECLARED_LOGITS: &str = "\
/* A logit of every action; softmax makes probabilities of them. The caller divides both inputs by
   the scales of the scenario's observation. features: o, in the order of the observation.
   history: the loads of the last POLICY_HISTORY_SLOTS slots, the oldest first, POLICY_SERVERS
   each; only the last slot's are used. */
void policy_values(const float features[POLICY_FEATURES],
                   const float history[POLICY_HISTORY_SLOTS * POLICY_SERVERS],
                   float values[POLICY_ACTIONS]);

";

const PERCEPTRON_VALUES: &str = "\
void policy_values(const float features[F], const float history[K * M], float values[M + 1]) {
    float first[H], second[H];
    for (int n = 0; n < H; n++) first[n] = dense_1_bias[n];
    ADD_PRODUCT(dense_1, 0, F, features, 1.0f, first, H)
    ADD_PRODUCT(dense_1, F, M, history + (K - 1) * M, 1.0f, first, H)
    for (int n = 0; n < H; n++) {
        first[n] = rectified(first[n]);
        second[n] = dense_2_bias[n];
    }
    ADD_PRODUCT(dense_2, 0, H, first, 1.0f, second, H)
    for (int n = 0; n < H; n++) second[n] = rectified(second[n]);
    for (int action = 0; action <= M; action++) values[action] = output_bias[action];
    ADD_PRODUCT(output, 0, H, second, 1.0f, values, M + 1)
}

";

const DECIDE: &str = "\
int policy_decide(const float features[F], const float history[K * M]) {
    float values[M + 1];
    int best = 0;
    policy_values(features, history, values);
    for (int action = 1; action <= M; action++)
        if (values[action] > values[best]) best = action;
    return best;
}
";
