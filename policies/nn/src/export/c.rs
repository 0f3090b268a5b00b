//! C: one header and one source file that a device compiles as they are.
//!
//! No allocation, no state, no dependency, not even on the C library's mathematics. The constants
//! are `const`, so a linker puts them into flash; memory is needed only on the stack.
//!
//! [`header`] is the interface that all exported policies have, whatever decides behind it: under
//! the same name, a device can exchange one for another without a change to its own code. Under
//! names of their own several fit into one program, which may be C or C++.
//!
//! In the templates `{name}` is the name asked for, `{NAME}` the same in capitals.

use std::fmt::Write;

use super::{ExportError, ExportedFile, Format, Network, Origin, Request, set_c};
use crate::gate::{FORGET_BIAS, Gate};
use crate::head::{FIRST_ADVANTAGE_COLUMN, VALUE_COLUMN};
use crate::inputs::{Inputs, Scaling};
use crate::layer::Layer;
use crate::perceptron::PerceptronShape;
use crate::shape::{Layers, Shape};

pub(super) const FORMAT: Format = Format {
    name: "c",
    about: "NAME.h and NAME.c, weights of 32 bits",
    write: |network| files(network, Weights::F32),
    write_set: |network| set_c::files(network, Weights::F32),
};

pub(super) const FORMAT_INT8: Format = Format {
    name: "c-int8",
    about: "NAME.h and NAME.c, weights of 8 bits: about a quarter of the flash",
    write: |network| files(network, Weights::Int8),
    write_set: |network| set_c::files(network, Weights::Int8),
};

/// How weights are stored. Activations are f32 in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weights {
    /// 32 bits.
    F32,
    /// 8 bits, with a scale for each output of a layer; biases stay f32.
    Int8,
}

/// The header and the source file, the latter with a note on the memory it needs.
pub fn pair<I>(
    origin: &Origin<I>,
    header: &str,
    source: &str,
    flash_bytes: usize,
    stack_bytes: usize,
) -> Vec<ExportedFile> {
    let (name, capitals) = (&origin.name, origin.name.to_ascii_uppercase());
    let file = |ending: &str, text: &str, note: String| ExportedFile {
        name: format!("{name}.{ending}"),
        bytes: text.replace("{name}", name).replace("{NAME}", &capitals).into_bytes(),
        note,
    };
    let note = format!("{flash_bytes} bytes of constants (flash), {stack_bytes} bytes of stack");
    vec![file("h", header, String::new()), file("c", source, note)]
}

/// The header: where the policy comes from, what it was trained on, with further `definitions`,
/// further `declarations`, and the entry point under the comment `decision`.
pub fn header(origin: &Origin, definitions: &str, declarations: &str, decision: &str) -> String {
    let Inputs { observation, features, scaling, history_slots, servers, devices } = &origin.inputs;
    let kind = origin.facts.get("kind").map_or("", String::as_str);
    let (about, device) = match origin.device() {
        Some(device) => (
            format!("The network of device {device} of {devices}, of a checkpoint of `{kind}`."),
            format!("#define {{NAME}}_DEVICE {device}\n"),
        ),
        None => (format!("For every device; of a checkpoint of `{kind}`."), String::new()),
    };
    HEADER
        .replace("{about}", &about)
        .replace("{rows}", &scale_rows(features, &scaling.features))
        .replace("{observation}", observation)
        .replace("{history_scale}", &scaling.history.to_string())
        .replace("{history_factor}", &format!("{:e}f", scaling.history))
        .replace("{F}", &features.len().to_string())
        .replace("{K}", &history_slots.to_string())
        .replace("{M}", &servers.to_string())
        .replace("{N}", &devices.to_string())
        .replace("{device}", &device)
        .replace("{names}", &name_list(features))
        .replace("{scales}", &scale_list(&scaling.features))
        .replace("{definitions}", definitions)
        .replace("{declarations}", declarations)
        .replace("{decision}", decision)
}

/// Lines of a comment: number, name and scale of each feature.
pub(super) fn scale_rows(names: &[String], scales: &[f32]) -> String {
    let rows = (1..).zip(names).zip(scales);
    rows.map(|((number, name), scale)| format!("   {number:>3}  {name}, {scale}\n")).collect()
}

/// The names of features, in quotes.
pub(super) fn name_list(names: &[String]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// The scales of features, as constants.
pub(super) fn scale_list(scales: &[f32]) -> String {
    scales.iter().map(|scale| format!("{scale:e}f")).collect::<Vec<_>>().join(", ")
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

/// A perceptron over features and the loads of the last slot, in `format`: `c` or `c-int8`.
///
/// # Errors
/// [`ExportError::NoSuchFormat`] if there is no such format.
///
/// # Panics
/// If the shape is not one of F + M inputs and 1 + M outputs, or the parameters do not have it.
pub fn perceptron(
    origin: &Origin,
    shape: &PerceptronShape,
    parameters: &[f32],
    request: &Request<'_>,
) -> Result<Vec<ExportedFile>, ExportError> {
    let stored = match request.format {
        "c" => Weights::F32,
        "c-int8" => Weights::Int8,
        asked => {
            let (asked, known) = (asked.to_owned(), vec!["c", "c-int8"]);
            return Err(ExportError::NoSuchFormat { asked, known });
        }
    };
    let PerceptronShape { hidden, .. } = *shape;
    let Inputs { features, servers, scaling, .. } = &origin.inputs;
    assert_eq!(shape.inputs, features.len() + servers, "inputs");
    assert_eq!(shape.outputs, servers + 1, "outputs");
    let mut source = format!("{SOURCE_HEAD}\n");
    let mut flash_bytes = write_factors(&mut source, scaling);
    for layer in shape.layers() {
        flash_bytes += write_layer(&mut source, &layer, parameters, stored);
    }
    source += "\n";
    source += &stored.add_product();
    source += RECTIFIED;
    source += PERCEPTRON_VALUES;
    source += DECIDE;
    let hidden_width = format!("#define {{NAME}}_HIDDEN {hidden}\n");
    let header = header(origin, &hidden_width, DECLARED_LOGITS, DECISION);
    // The local arrays of both functions: two dense layers, values.
    let stack_bytes = 4 * (2 * hidden + servers + 1);
    Ok(pair(origin, &header, &source, flash_bytes, stack_bytes))
}

impl Weights {
    pub(super) fn add_product(self) -> String {
        match self {
            Self::F32 => ADD_PRODUCT.replace("WEIGHT(", "FLOAT_WEIGHT("),
            Self::Int8 => ADD_PRODUCT.replace("WEIGHT(", "INT8_WEIGHT("),
        }
    }
}

fn files(network: &Network<'_>, stored: Weights) -> Vec<ExportedFile> {
    let Network { shape, scaling, parameters, origin } = network;
    let Shape { servers, hidden, .. } = *shape;
    let mut source = format!("{SOURCE_HEAD}\n");
    let mut flash_bytes = write_factors(&mut source, scaling);
    let Layers { lstm, dense_1, dense_2, head } = shape.layers();
    for layer in [lstm, dense_1, dense_2, head] {
        flash_bytes += write_layer(&mut source, &layer, parameters, stored);
    }
    source += "\n";
    source += &stored.add_product();
    source += LOGISTIC;
    source += RECTIFIED;
    source += &values();
    source += DECIDE;
    let hidden_width = format!("#define {{NAME}}_HIDDEN {hidden}\n");
    let header = header(origin, &hidden_width, DECLARED_VALUES, DECISION);
    // The local arrays of the function of values: gates, output, cell, two dense layers, head.
    let stack_bytes = 4 * (4 * hidden + 4 * hidden + servers + 2);
    pair(origin, &header, &source, flash_bytes, stack_bytes)
}

/// Appends what inputs are multiplied by; returns its bytes.
fn write_factors(source: &mut String, scaling: &Scaling) -> usize {
    let factors: Vec<f32> = scaling.features.iter().map(|scale| 1.0 / scale).collect();
    array(source, "static const float feature_factor[F]", &factors);
    let history_factor = 1.0 / scaling.history;
    let _ = writeln!(source, "static const float history_factor = {history_factor:e}f;");
    4 * (factors.len() + 1)
}

/// The function of values for gates and head in the order that the network's shape defines.
fn values() -> String {
    VALUES
        .replace("{activation}", &activation("H"))
        .replace("{value}", &VALUE_COLUMN.to_string())
        .replace("{first_advantage}", &FIRST_ADVANTAGE_COLUMN.to_string())
}

/// From the sums of the gates to cell and output of a slot, for an LSTM of this width.
pub(super) fn activation(width: &str) -> String {
    let neuron = |gate: Gate| match gate.columns(1).start {
        0 => "gates[n]".to_owned(),
        1 => format!("gates[{width} + n]"),
        number => format!("gates[{number} * {width} + n]"),
    };
    ACTIVATION
        .replace("{width}", width)
        .replace("{i}", &neuron(Gate::Input))
        .replace("{j}", &neuron(Gate::Candidate))
        .replace("{f}", &neuron(Gate::Forget))
        .replace("{o}", &neuron(Gate::Output))
        .replace("{forget_bias}", &format!("{FORGET_BIAS:?}f"))
        .replace("{bias}", &FORGET_BIAS.to_string())
}

/// Appends a layer's constants; returns their bytes.
pub(super) fn write_layer(
    source: &mut String,
    layer: &Layer,
    parameters: &[f32],
    stored: Weights,
) -> usize {
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
/* A policy for task offloading, exported by offramp. No allocation, no state.
   {about}

   features: o of observation {observation}, unscaled, in this order (name, the scale that it is
   divided by here):
{rows}   history: the loads of all {M} servers in the last {K} slots, the oldest slot first, unscaled; they
   are divided by {history_scale} here. */
#ifndef OFFRAMP_{NAME}_H
#define OFFRAMP_{NAME}_H

#define {NAME}_OBSERVATION \"{observation}\"
#define {NAME}_FEATURES {F}
#define {NAME}_FEATURE_NAMES {names}
#define {NAME}_FEATURE_SCALES {scales}
#define {NAME}_HISTORY_SLOTS {K}
#define {NAME}_HISTORY_SCALE {history_factor}
#define {NAME}_SERVERS {M}
#define {NAME}_DEVICES {N}
{device}{definitions}#define {NAME}_ACTIONS ({NAME}_SERVERS + 1)

#ifdef __cplusplus
extern \"C\" {
#endif

{declarations}{decision}int {name}_decide(const float features[{NAME}_FEATURES],
                  const float history[{NAME}_HISTORY_SLOTS * {NAME}_SERVERS]);

#ifdef __cplusplus
}
#endif

#endif
";

const DECLARED_VALUES: &str = "\
/* Q of every action. */
void {name}_values(const float features[{NAME}_FEATURES],
                   const float history[{NAME}_HISTORY_SLOTS * {NAME}_SERVERS],
                   float values[{NAME}_ACTIONS]);

";

const DECISION: &str = "\
/* The action of the largest value: 0 computes locally, j offloads to server j. */
";

const SOURCE_HEAD: &str = "\
/* Exported by offramp; see {name}.h. Compile as C99 or C++11, with optimisation (-O3 and your -march make vector code). */
#include \"{name}.h\"

#include <stdint.h>

enum { F = {NAME}_FEATURES, K = {NAME}_HISTORY_SLOTS, M = {NAME}_SERVERS, H = {NAME}_HIDDEN };

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

pub(super) const LOGISTIC: &str = "\
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

pub(super) const RECTIFIED: &str = "\
static float rectified(float x) { return x > 0.0f ? x : 0.0f; }

";

const ACTIVATION: &str = "        /* The candidate is tanh x = 2 logistic(2x) - 1; the forget gate has a bias of {bias}. */
        for (int n = 0; n < {width}; n++) {
            {j} *= 2.0f;
            {f} += {forget_bias};
        }
        for (int n = 0; n < 4 * {width}; n++) gates[n] = logistic(gates[n]);
        for (int n = 0; n < {width}; n++) {
            cell[n] = {f} * cell[n] + {i} * (2.0f * {j} - 1.0f);
            output_h[n] = {o} * (2.0f * logistic(2.0f * cell[n]) - 1.0f);
        }
";

const VALUES: &str = "\
void {name}_values(const float features[F], const float history[K * M], float values[M + 1]) {
    float gates[4 * H], output_h[H] = {0}, cell[H] = {0}, first[H], second[H], head[M + 2];
    for (int slot = 0; slot < K; slot++) {
        for (int n = 0; n < 4 * H; n++) gates[n] = lstm_bias[n];
        ADD_PRODUCT(lstm, 0, M, history + slot * M, history_factor, gates, 4 * H)
        ADD_PRODUCT(lstm, M, H, output_h, 1.0f, gates, 4 * H)
{activation}    }
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
/* A logit of every action; softmax makes probabilities of them. Of history only the last slot is
   used. */
void {name}_values(const float features[{NAME}_FEATURES],
                   const float history[{NAME}_HISTORY_SLOTS * {NAME}_SERVERS],
                   float values[{NAME}_ACTIONS]);

";

const PERCEPTRON_VALUES: &str = "\
void {name}_values(const float features[F], const float history[K * M], float values[M + 1]) {
    float first[H], second[H];
    for (int n = 0; n < H; n++) first[n] = dense_1_bias[n];
    ADD_PRODUCT(dense_1, 0, F, features, feature_factor[input], first, H)
    ADD_PRODUCT(dense_1, F, M, history + (K - 1) * M, history_factor, first, H)
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
int {name}_decide(const float features[F], const float history[K * M]) {
    float values[M + 1];
    int best = 0;
    {name}_values(features, history, values);
    for (int action = 1; action <= M; action++)
        if (values[action] > values[best]) best = action;
    return best;
}
";
