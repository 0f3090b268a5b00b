//! C for networks over servers: one header and one source file, for any number of servers up to a
//! maximum that the device's program may choose when it compiles them. Otherwise like
//! [`c`](super::c). Where decisions are drawn ([`TEMPERATURE`](crate::set::TEMPERATURE)), a function that draws takes the place of
//! the one that decides by the largest value.

use std::fmt::Write;

use super::c::{
    LOGISTIC, RECTIFIED, Weights, activation, array, name_list, pair, scale_list, scale_rows,
    write_layer,
};
use super::{ExportedFile, Meanings, Origin, SetNetwork};
use crate::head::{FIRST_ADVANTAGE_COLUMN, VALUE_COLUMN};
use crate::set::{Columns, SetInputs, SetLayers, SetShape};

/// The maximum number of servers where the program does not define another.
const MAX_SERVERS: usize = 20;

/// Both files.
pub(super) fn files(network: &SetNetwork<'_>, stored: Weights) -> Vec<ExportedFile> {
    let SetNetwork { meanings, shape, inputs, parameters, origin } = network;
    let mut source = SOURCE_HEAD.to_owned();
    source += "\n";
    let mut flash_bytes = 0;
    for (kind, columns) in inputs.columns() {
        let mut factors: Vec<f32> = columns.scales.iter().map(|scale| 1.0 / scale).collect();
        if factors.is_empty() {
            // C has no empty arrays.
            factors.push(1.0);
        }
        flash_bytes += 4 * factors.len();
        let declared = format!("static const float {kind}_factor[{}]", factors.len());
        array(&mut source, &declared, &factors);
    }
    let history_factor = 1.0 / inputs.history_scale;
    let _ = writeln!(source, "static const float history_factor = {history_factor:e}f;");
    flash_bytes += 4;
    let SetLayers { lstm, embed, hidden, head, server_head } = shape.layers();
    for layer in [lstm, embed, hidden, head, server_head] {
        flash_bytes += write_layer(&mut source, &layer, parameters, stored);
    }
    source += "\n";
    source += &stored.add_product();
    source += LOGISTIC;
    source += RECTIFIED;
    source += &VALUES
        .replace("{activation}", &activation("L"))
        .replace("{value}", &VALUE_COLUMN.to_string())
        .replace("{first_advantage}", &FIRST_ADVANTAGE_COLUMN.to_string());
    match origin.temperature() {
        None => source += DECIDE,
        Some(temperature) => {
            source += &DRAW.replace("{sharpness}", &format!("{:e}f", 1.0 / temperature));
        }
    }
    let SetShape { lstm, embedding, hidden, .. } = **shape;
    // The local arrays of all functions: embeddings with mean, maximum and the device's part; both
    // layers after them and the head; output, gates and cell of the LSTM; values.
    let stack_bytes =
        4 * ((MAX_SERVERS + 3) * embedding + 2 * hidden + 2 + 6 * lstm + MAX_SERVERS + 1);
    pair(origin, &header(shape, origin, meanings), &source, flash_bytes, stack_bytes)
}

fn header(shape: &SetShape, origin: &Origin<SetInputs>, meanings: &Meanings<'_>) -> String {
    let SetInputs { observation, history_scale, history_slots, .. } = &origin.inputs;
    let SetShape { lstm, embedding, hidden, .. } = *shape;
    let kind = origin.facts.get("kind").map_or("", String::as_str);
    let line = |text: &str| if text.is_empty() { String::new() } else { format!("   {text}\n") };
    let mut text = HEADER
        .replace("{kind}", kind)
        .replace("{terms}", &meanings.terms.iter().map(|term| line(term)).collect::<String>())
        .replace("{load}", &line(meanings.load))
        .replace("{observation}", observation)
        .replace("{history_scale}", &history_scale.to_string())
        .replace("{history_factor}", &format!("{history_scale:e}f"))
        .replace("{K}", &history_slots.to_string())
        .replace(
            "{widths}",
            &format!(
                "#define {{NAME}}_LSTM {lstm}\n#define {{NAME}}_EMBEDDING {embedding}\n\
             #define {{NAME}}_HIDDEN {hidden}\n"
            ),
        )
        .replace("{max}", &MAX_SERVERS.to_string());
    text = match origin.temperature() {
        None => text.replace("{decision}", DECIDES),
        Some(temperature) => {
            text.replace("{decision}", &DRAWS.replace("{temperature}", &temperature.to_string()))
        }
    };
    for (kind, Columns { names, scales }) in origin.inputs.columns() {
        let capitals = kind.to_ascii_uppercase();
        let mut defined = format!("#define {{NAME}}_{capitals}_FEATURES {}\n", names.len());
        if !names.is_empty() {
            let (names, scales) = (name_list(names), scale_list(scales));
            let _ = writeln!(defined, "#define {{NAME}}_{capitals}_FEATURE_NAMES {names}");
            let _ = writeln!(defined, "#define {{NAME}}_{capitals}_FEATURE_SCALES {scales}");
        }
        let rows = if names.is_empty() {
            "          none; the pointer is not read\n".to_owned()
        } else {
            rows(names, scales, meanings)
        };
        text = text
            .replace(&format!("{{{kind} rows}}"), &rows)
            .replace(&format!("{{{kind} defined}}"), &defined);
    }
    text
}

/// Lines of a comment: number, name and scale of each feature, and below them its meaning.
fn rows(names: &[String], scales: &[f32], meanings: &Meanings<'_>) -> String {
    let mut text = String::new();
    for (row, name) in scale_rows(names, scales).split_inclusive('\n').zip(names) {
        text += row;
        if let Some(meaning) = meanings.of(name) {
            let _ = writeln!(text, "          {meaning}");
        }
    }
    text
}

const HEADER: &str = "\
/* A policy for task offloading, exported by offramp: one network for any number of servers m, from
   1 to {NAME}_MAX_SERVERS. No allocation, no state. For every device; of a checkpoint of `{kind}`.

   All numbers are unscaled; the lists have their names in order, and the scales that they are
   divided by here.
{terms}   device: the task and the device, of observation {observation}:
{device rows}   link: device and server; m times these, server by server:
{link rows}   server: m times these, server by server:
{server rows}   history: the loads of all m servers in the last {K} slots, m numbers each, the oldest slot first;
   they are divided by {history_scale} here.
{load}*/
#ifndef OFFRAMP_{NAME}_H
#define OFFRAMP_{NAME}_H

#define {NAME}_OBSERVATION \"{observation}\"
{device defined}{link defined}{server defined}#define {NAME}_HISTORY_SLOTS {K}
#define {NAME}_HISTORY_SCALE {history_factor}
{widths}/* Define it as you compile the source to make room for more servers, or to save stack. */
#ifndef {NAME}_MAX_SERVERS
#define {NAME}_MAX_SERVERS {max}
#endif

#ifdef __cplusplus
extern \"C\" {
#endif

/* Q of all 1 + servers actions. Returns 0, or -1 where servers is out of its range: then values
   stay as they are. */
int {name}_values(int servers, const float *device, const float *link, const float *server,
                  const float *history, float *values);

{decision}
#ifdef __cplusplus
}
#endif

#endif
";

const DECIDES: &str = "\
/* The action of the largest value: 0 computes locally, j offloads to server j; -1 where servers is
   out of its range. */
int {name}_decide(int servers, const float *device, const float *link, const float *server,
                  const float *history);
";

const DRAWS: &str = "\
/* An action, drawn in proportion to e^(value / {temperature}), so that devices which see the same loads
   spread over the servers; uniform is a random number from 0 up to 1. 0 computes locally, j offloads to
   server j; -1 where servers is out of its range. */
int {name}_draw(int servers, const float *device, const float *link, const float *server,
                const float *history, float uniform);
";

const SOURCE_HEAD: &str = "\
/* Exported by offramp; see {name}.h. Compile as C99 or C++11, with optimisation (-O3 and your -march make vector code). */
#include \"{name}.h\"

#include <stdint.h>

enum {
    D = {NAME}_DEVICE_FEATURES, T = {NAME}_LINK_FEATURES, S = {NAME}_SERVER_FEATURES,
    K = {NAME}_HISTORY_SLOTS, L = {NAME}_LSTM, E = {NAME}_EMBEDDING, H = {NAME}_HIDDEN,
    MAX_M = {NAME}_MAX_SERVERS
};

#define FLOAT_WEIGHT(layer, input, output, outputs) layer##_weight[(input) * (outputs) + (output)]
#define INT8_WEIGHT(layer, input, output, outputs) \\
    ((float)layer##_weight[(input) * (outputs) + (output)] * layer##_scale[output])
";

const VALUES: &str = "\
/* The last output of the LSTM for K loads of a server, `stride` apart. */
static void remember(const float *loads, int stride, float output_h[L]) {
    float gates[4 * L], cell[L] = {0};
    for (int n = 0; n < L; n++) output_h[n] = 0.0f;
    for (int slot = 0; slot < K; slot++) {
        for (int n = 0; n < 4 * L; n++) gates[n] = lstm_bias[n];
        ADD_PRODUCT(lstm, 0, 1, loads + slot * stride, history_factor, gates, 4 * L)
        ADD_PRODUCT(lstm, 1, L, output_h, 1.0f, gates, 4 * L)
{activation}    }
}

int {name}_values(int servers, const float *device, const float *link, const float *server,
                  const float *history, float *values) {
    float embedded[MAX_M * E], of_device[E], mean[E] = {0}, most[E] = {0}, output_h[L];
    float of_context[H], layer[H], head[2], mean_advantage = 0.0f;
    if (servers < 1 || servers > MAX_M) return -1;
    for (int n = 0; n < E; n++) of_device[n] = embed_bias[n];
    ADD_PRODUCT(embed, L + S + T, D, device, device_factor[input], of_device, E)
    for (int j = 0; j < servers; j++) {
        float *const e = embedded + j * E;
        remember(history + j, servers, output_h);
        for (int n = 0; n < E; n++) e[n] = of_device[n];
        ADD_PRODUCT(embed, 0, L, output_h, 1.0f, e, E)
        ADD_PRODUCT(embed, L, S, server + j * S, server_factor[input], e, E)
        ADD_PRODUCT(embed, L + S, T, link + j * T, link_factor[input], e, E)
        for (int n = 0; n < E; n++) {
            e[n] = rectified(e[n]);
            mean[n] += e[n] / (float)servers;
            most[n] = e[n] > most[n] ? e[n] : most[n];
        }
    }
    /* The rows of the hidden layer: e, device, mean and maximum of all e. */
    for (int n = 0; n < H; n++) of_context[n] = hidden_bias[n];
    ADD_PRODUCT(hidden, E, D, device, device_factor[input], of_context, H)
    ADD_PRODUCT(hidden, E + D, E, mean, 1.0f, of_context, H)
    ADD_PRODUCT(hidden, E + D + E, E, most, 1.0f, of_context, H)
    for (int n = 0; n < H; n++) layer[n] = rectified(of_context[n]);
    for (int n = 0; n < 2; n++) head[n] = head_bias[n];
    ADD_PRODUCT(head, 0, H, layer, 1.0f, head, 2)
    values[0] = head[{first_advantage}];
    for (int j = 0; j < servers; j++) {
        for (int n = 0; n < H; n++) layer[n] = of_context[n];
        ADD_PRODUCT(hidden, 0, E, embedded + j * E, 1.0f, layer, H)
        for (int n = 0; n < H; n++) layer[n] = rectified(layer[n]);
        values[1 + j] = server_head_bias[0];
        ADD_PRODUCT(server_head, 0, H, layer, 1.0f, values + 1 + j, 1)
    }
    for (int action = 0; action <= servers; action++)
        mean_advantage += values[action] / (float)(servers + 1);
    for (int action = 0; action <= servers; action++)
        values[action] += head[{value}] - mean_advantage;
    return 0;
}

";

const DECIDE: &str = "\
int {name}_decide(int servers, const float *device, const float *link, const float *server,
                  const float *history) {
    float values[MAX_M + 1];
    int best = 0;
    if ({name}_values(servers, device, link, server, history, values) != 0) return -1;
    for (int action = 1; action <= servers; action++)
        if (values[action] > values[best]) best = action;
    return best;
}
";

const DRAW: &str = "\
int {name}_draw(int servers, const float *device, const float *link, const float *server,
                const float *history, float uniform) {
    float values[MAX_M + 1], largest, sum = 0.0f;
    if ({name}_values(servers, device, link, server, history, values) != 0) return -1;
    largest = values[0];
    for (int action = 1; action <= servers; action++)
        if (values[action] > largest) largest = values[action];
    for (int action = 0; action <= servers; action++) {
        values[action] = exponential((values[action] - largest) * {sharpness});
        sum += values[action];
    }
    uniform *= sum;
    for (int action = 0; action < servers; action++) {
        uniform -= values[action];
        if (uniform < 0.0f) return action;
    }
    return servers;
}
";
