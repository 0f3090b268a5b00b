/* A student and learner that decides nothing of note, and reports what it was told. */

#include <stdlib.h>

#include "offramp.h"

typedef struct {
    uint64_t steps, fitted, hardware, judged;
    double gained;
} Reports;

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

static int record(void *self, const OfframpTransitions *slot, OfframpMessage *message) {
    (void)self, (void)slot, (void)message;
    return 0;
}

static int learn(void *self, OfframpProgress *progress, OfframpMessage *message) {
    (void)message;
    *progress = (OfframpProgress){.updates = ((Reports *)self)->fitted};
    return 0;
}

static int diagnostics(void *self, OfframpAddNumber add, void *sink, OfframpMessage *message) {
    (void)message;
    add(sink, "steps", (double)((Reports *)self)->steps);
    add(sink, "fitted", (double)((Reports *)self)->fitted);
    add(sink, "hardware", (double)((Reports *)self)->hardware);
    add(sink, "judged", (double)((Reports *)self)->judged);
    add(sink, "gained", ((Reports *)self)->gained);
    return 0;
}

static uint64_t memory(void *self) { return ((Reports *)self)->steps * 1000; }

static uint64_t judged_tasks(void *self) {
    (void)self;
    return 3;
}

/* It knows of one server: two actions per task. */
static int judge(void *self, const OfframpCounterfactuals *counterfactuals,
                 OfframpMessage *message) {
    Reports *reports = self;
    size_t tasks = counterfactuals->devices.length, gains = counterfactuals->gains.length;
    if (counterfactuals->arrival_slots.length != tasks || gains != 2 * tasks) {
        snprintf(message->text, sizeof message->text, "%zu gains of %zu tasks", gains, tasks);
        return 1;
    }
    for (size_t task = 0; task < tasks; task++)
        reports->judged += counterfactuals->arrival_slots.data[task] * 10u +
                           counterfactuals->devices.data[task];
    for (size_t gain = 0; gain < gains; gain++)
        reports->gained += counterfactuals->gains.data[gain];
    return 0;
}

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
    .record = record,
    .learn = learn,
    .diagnostics = diagnostics,
    .memory = memory,
    .judged_tasks = judged_tasks,
    .judge = judge,
};

static const OfframpPlugin PLUGIN = {
    OFFRAMP_PLUGIN_HEADER,
    .policy_count = 1,
    .name = "reports",
    .plugin_version = "0.1.0",
    .policies = &POLICY,
};

const OfframpPlugin *offramp_c_plugin(void) { return &PLUGIN; }
