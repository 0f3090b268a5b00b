/* A student that decides nothing of note, and reports what it was told. */

#include <stdlib.h>

#include "offramp.h"

typedef struct { uint64_t steps, fitted, hardware; } Reports;

static int create(const OfframpContext *context, void **self, OfframpMessage *message) {
    Reports *reports = malloc(sizeof *reports);
    if (reports == NULL) {
        snprintf(message->text, sizeof message->text, "no memory");
        return 1;
    }
    *reports = (Reports){.steps = context->learning_steps,
                         .hardware = context->hardware_sha256.length};
    *self = reports;
    return 0;
}

static int decide(void *self, const OfframpObservation *seen, uint32_t *actions,
                  OfframpMessage *message) {
    (void)self, (void)message;
    for (size_t row = 0; row < seen->devices.length; row++) actions[row] = 0;
    return 0;
}

static int save(void *self, OfframpWrite write, void *sink, OfframpMessage *message) {
    (void)message;
    write(sink, self, sizeof(Reports));
    return 0;
}

static int load(void *self, const uint8_t *bytes, size_t length, OfframpMessage *message) {
    (void)message;
    if (length != sizeof(Reports)) return 1;
    memcpy(self, bytes, length);
    return 0;
}

static int fit(void *self, const OfframpObservation *seen, const float *targets, double *loss,
               OfframpMessage *message) {
    (void)seen, (void)targets, (void)message;
    ((Reports *)self)->fitted++;
    *loss = 0.0;
    return 0;
}

static int diagnostics(void *self, OfframpAddNumber add, void *sink, OfframpMessage *message) {
    (void)message;
    add(sink, "steps", (double)((Reports *)self)->steps);
    add(sink, "fitted", (double)((Reports *)self)->fitted);
    add(sink, "hardware", (double)((Reports *)self)->hardware);
    return 0;
}

static uint64_t memory(void *self) { return ((Reports *)self)->steps * 1000; }

static const OfframpPolicy POLICY = {
    .name = "reports",
    .about = "Reports what it was told.",
    .needs = OFFRAMP_NEEDS_LENGTH,
    .create = create,
    .destroy = free,
    .decide = decide,
    .checkpoint = save,
    .save = save,
    .load = load,
    .fit = fit,
    .diagnostics = diagnostics,
    .memory = memory,
};

static const OfframpPlugin PLUGIN = {
    OFFRAMP_PLUGIN_HEADER,
    .policy_count = 1,
    .name = "reports",
    .plugin_version = "0.1.0",
    .policies = &POLICY,
};

const OfframpPlugin *offramp_c_plugin(void) { return &PLUGIN; }
