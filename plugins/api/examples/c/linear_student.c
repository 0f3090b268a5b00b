/* linear-student: learns a teacher's values by stochastic gradient descent on a linear model, one
 * for all devices; has values itself, can be merged, and exports its weights as a C table.
 * coin: explores with a fixed probability, any action alike. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "offramp.h"

static int failed(OfframpMessage *message, const char *text) {
    snprintf(message->text, sizeof message->text, "%s", text);
    return 1;
}

/* --- linear-student ------------------------------------------------------------------------ */

typedef struct {
    /* Inputs: the F features by their scales, the M newest loads by theirs, and 1. */
    size_t features, servers, window, inputs, outputs;
    double *feature_scales, history_scale;
    float *weights; /* outputs x inputs, row by row */
    float *input, *output;
    uint64_t steps;
} Linear;

static size_t weights_of(const Linear *linear) { return linear->outputs * linear->inputs; }

static void linear_destroy(void *self) {
    Linear *linear = self;
    free(linear->feature_scales), free(linear->weights), free(linear->input), free(linear->output);
    free(linear);
}

static int linear_load(void *self, const uint8_t *bytes, size_t length, OfframpMessage *message) {
    Linear *linear = self;
    size_t size = weights_of(linear) * sizeof *linear->weights;
    if (length != sizeof linear->steps + size) return failed(message, "not a checkpoint of it");
    memcpy(&linear->steps, bytes, sizeof linear->steps);
    memcpy(linear->weights, bytes + sizeof linear->steps, size);
    return 0;
}

static int linear_create(const OfframpContext *context, void **self, OfframpMessage *message) {
    Linear *linear = calloc(1, sizeof *linear);
    if (!linear) return failed(message, "no memory");
    const OfframpObservationSpec *spec = context->observation;
    linear->features = spec->feature_names.length;
    linear->servers = context->system->server_ghz.length;
    linear->window = (spec->history_slots - 1) * linear->servers; /* up to the newest */
    linear->inputs = linear->features + linear->servers + 1;
    linear->outputs = linear->servers + 1;
    linear->history_scale = spec->history_scale;
    linear->feature_scales = calloc(linear->features, sizeof *linear->feature_scales);
    linear->weights = calloc(weights_of(linear), sizeof *linear->weights);
    linear->input = calloc(linear->inputs, sizeof *linear->input);
    linear->output = calloc(linear->outputs, sizeof *linear->output);
    int complete = linear->feature_scales && linear->weights && linear->input && linear->output;
    if (!complete || (context->checkpoint && linear_load(linear, context->checkpoint,
                                                         context->checkpoint_length, message))) {
        linear_destroy(linear); /* after a failure nobody else does */
        return complete ? 1 : failed(message, "no memory");
    }
    memcpy(linear->feature_scales, spec->feature_scales.data,
           linear->features * sizeof *linear->feature_scales);
    *self = linear;
    return 0;
}

/* Values of a row, into linear->output. */
static void evaluate(Linear *linear, const OfframpObservation *seen, size_t row) {
    const double *features = seen->features.data + row * linear->features;
    const double *newest = offramp_window(seen, row) + linear->window;
    float *input = linear->input;
    for (size_t at = 0; at < linear->features; at++)
        *input++ = (float)(features[at] / linear->feature_scales[at]);
    for (size_t at = 0; at < linear->servers; at++)
        *input++ = (float)(newest[at] / linear->history_scale);
    *input = 1.0f;
    for (size_t output = 0; output < linear->outputs; output++) {
        const float *weights = linear->weights + output * linear->inputs;
        float sum = 0.0f;
        for (size_t at = 0; at < linear->inputs; at++) sum += weights[at] * linear->input[at];
        linear->output[output] = sum;
    }
}

static int linear_values(void *self, const OfframpObservation *seen, float *values,
                         OfframpMessage *message) {
    (void)message;
    Linear *linear = self;
    for (size_t row = 0; row < seen->devices.length; row++) {
        evaluate(linear, seen, row);
        memcpy(values + row * linear->outputs, linear->output,
               linear->outputs * sizeof *linear->output);
    }
    return 0;
}

static int linear_decide(void *self, const OfframpObservation *seen, uint32_t *actions,
                         OfframpMessage *message) {
    Linear *linear = self;
    for (size_t row = 0; row < seen->devices.length; row++) {
        evaluate(linear, seen, row);
        if (offramp_best_action(linear->output, linear->outputs, &actions[row], message)) return 1;
    }
    return 0;
}

/* One step over the batch's rows, each an update; the rate falls as 1 / (1 + steps / 100). */
static int linear_fit(void *self, const OfframpObservation *seen, const float *targets,
                      double *loss, OfframpMessage *message) {
    (void)message;
    Linear *linear = self;
    float rate = 0.02f / (1.0f + (float)linear->steps++ / 100.0f);
    double squares = 0.0;
    size_t rows = seen->devices.length;
    for (size_t row = 0; row < rows; row++) {
        evaluate(linear, seen, row);
        for (size_t output = 0; output < linear->outputs; output++) {
            float error = targets[row * linear->outputs + output] - linear->output[output];
            float *weights = linear->weights + output * linear->inputs;
            for (size_t at = 0; at < linear->inputs; at++)
                weights[at] += rate * error * linear->input[at];
            squares += (double)error * error;
        }
    }
    *loss = rows ? squares / (double)(rows * linear->outputs) : 0.0;
    return 0;
}

static int linear_save(void *self, OfframpWrite write, void *sink, OfframpMessage *message) {
    (void)message;
    Linear *linear = self;
    write(sink, (const uint8_t *)&linear->steps, sizeof linear->steps);
    write(sink, (const uint8_t *)linear->weights, weights_of(linear) * sizeof *linear->weights);
    return 0;
}

static size_t linear_networks(void *self) {
    (void)self;
    return 1;
}

static int linear_parameters(void *self, size_t network, OfframpWrite write, void *sink,
                             OfframpMessage *message) {
    (void)network, (void)message;
    Linear *linear = self;
    write(sink, (const uint8_t *)linear->weights, weights_of(linear) * sizeof *linear->weights);
    return 0;
}

static int linear_set_parameters(void *self, size_t network, const float *parameters,
                                 size_t length, OfframpMessage *message) {
    (void)network, (void)message;
    memcpy(((Linear *)self)->weights, parameters, length * sizeof *parameters);
    return 0;
}

static const char *const FORMATS[] = {"c", NULL};

static int linear_export(const uint8_t *checkpoint, size_t length,
                         const OfframpExportRequest *request, OfframpAddFile add, void *sink,
                         OfframpMessage *message) {
    size_t head = sizeof(uint64_t), count = (length - head) / sizeof(float);
    if (length < head || (length - head) % sizeof(float)) {
        return failed(message, "not a checkpoint of it");
    }
    if (request->network > 0) return failed(message, "it has one network, 0");
    char *text = malloc(64 + 24 * count), note[64];
    if (!text) return failed(message, "no memory");
    int end = sprintf(text, "static const float WEIGHTS[%zu] = {\n", count);
    for (size_t at = 0; at < count; at++) {
        float weight;
        memcpy(&weight, checkpoint + head + at * sizeof weight, sizeof weight);
        end += sprintf(text + end, "    %.9gf,\n", (double)weight);
    }
    end += sprintf(text + end, "};\n");
    snprintf(note, sizeof note, "%zu bytes of constants", count * sizeof(float));
    add(sink, "weights.h", note, (const uint8_t *)text, (size_t)end);
    free(text);
    return 0;
}

/* --- coin ---------------------------------------------------------------------------------- */

typedef struct {
    uint64_t random;
    double rate;
} Coin;

/* The next number of a stream (SplitMix64). */
static uint64_t next(Coin *coin) {
    uint64_t mixed = coin->random += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
}

static int coin_create(const OfframpContext *context, void **self, OfframpMessage *message) {
    char text[64] = "";
    if (context->parameters.length >= sizeof text) return failed(message, "(rate: 0.5) is needed");
    if (context->parameters.length)
        memcpy(text, context->parameters.data, context->parameters.length);
    double rate = 0.5;
    if (text[0] && (sscanf(text, " ( rate : %lf )", &rate) != 1 || !(rate >= 0.0 && rate <= 1.0)))
        return failed(message, "parameters: (rate: a number from 0 to 1) is needed");
    Coin *coin = malloc(sizeof *coin);
    if (!coin) return failed(message, "no memory");
    coin->random = context->seed, coin->rate = rate;
    *self = coin;
    return 0;
}

static int coin_begin(void *self, const OfframpEpisodeStart *start, OfframpMessage *message) {
    (void)message;
    ((Coin *)self)->random = start->seed;
    return 0;
}

static int coin_propose(void *self, const OfframpObservation *seen,
                        const OfframpProgress *progress, uint32_t *actions, double *rate,
                        OfframpMessage *message) {
    (void)progress, (void)message;
    Coin *coin = self;
    for (size_t row = 0; row < seen->devices.length; row++) {
        double drawn = (double)(next(coin) >> 11) / 9007199254740992.0;
        uint32_t action = (uint32_t)(next(coin) % (seen->server_count + 1));
        if (drawn < coin->rate) actions[row] = action;
    }
    *rate = coin->rate;
    return 0;
}

/* ------------------------------------------------------------------------------------------- */

static const OfframpPolicy STUDENT = {
    .name = "linear-student",
    .about = "A linear model fitted to a teacher's values; in C.",
    .needs = OFFRAMP_NEEDS_FEATURES | OFFRAMP_NEEDS_HISTORY,
    .create = linear_create,
    .destroy = linear_destroy,
    .decide = linear_decide,
    .checkpoint = linear_save,
    .save = linear_save,
    .load = linear_load,
    .values = linear_values,
    .fit = linear_fit,
    .export_formats = FORMATS,
    .export_checkpoint = linear_export,
    .networks = linear_networks,
    .parameters = linear_parameters,
    .set_parameters = linear_set_parameters,
};

static const OfframpExplorer COIN = {
    .name = "coin",
    .about = "With a fixed probability any action, else the learner's; in C.",
    .needs = OFFRAMP_NEEDS_NOTHING,
    .flags = OFFRAMP_ANY_SYSTEM,
    .create = coin_create,
    .destroy = free,
    .begin_episode = coin_begin,
    .propose = coin_propose,
};

static const OfframpPlugin PLUGIN = {
    OFFRAMP_PLUGIN_HEADER,
    .name = "linear-student",
    .plugin_version = "0.1.0",
    .policies = &STUDENT,
    .policy_count = 1,
    .explorers = &COIN,
    .explorer_count = 1,
};

const OfframpPlugin *offramp_c_plugin(void) { return &PLUGIN; }
