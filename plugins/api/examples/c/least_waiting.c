/* least-waiting: an idle CPU computes; else the task goes where its device has the least waiting.
 * mean-reward: learns whether to compute or to offload from the mean reward of either. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "offramp.h"

/* The columns that both read, found at creation. */
typedef struct { OfframpColumn cpu_queue, backlog; } Columns;

static int find_columns(const OfframpContext *context, Columns *columns, OfframpMessage *message) {
    columns->cpu_queue =
        offramp_column(context->observation->task_columns, "compute_queue_slots");
    columns->backlog = offramp_column(context->observation->link_columns, "backlog_mbit");
    if (columns->cpu_queue.columns && columns->backlog.columns) return 0;
    snprintf(message->text, sizeof message->text, "offramp lacks a column that is needed");
    return 1;
}

static uint32_t least_waiting(const OfframpObservation *seen, size_t row, Columns columns) {
    const double *backlog = offramp_link(seen, row, columns.backlog);
    size_t servers = seen->server_count, first = seen->devices.data[row] % servers, least = first;
    for (size_t step = 1; step < servers; step++) {
        size_t server = (first + step) % servers;
        if (backlog[server] < backlog[least]) least = server;
    }
    return (uint32_t)least + 1;
}

/* --- least-waiting ------------------------------------------------------------------------- */

static int least_create(const OfframpContext *context, void **self, OfframpMessage *message) {
    if (context->parameters.length > 0) {
        snprintf(message->text, sizeof message->text, "it takes no parameters");
        return 1;
    }
    Columns *policy = malloc(sizeof *policy);
    if (!policy || find_columns(context, policy, message)) {
        free(policy); /* after a failure destroy is not called */
        return 1;
    }
    *self = policy;
    return 0;
}

static int least_decide(void *self, const OfframpObservation *seen, uint32_t *actions,
                        OfframpMessage *message) {
    (void)message;
    Columns columns = *(Columns *)self;
    for (size_t row = 0; row < seen->devices.length; row++) {
        int idle = offramp_task(seen, row, columns.cpu_queue) == 0.0;
        actions[row] = idle ? 0 : least_waiting(seen, row, columns);
    }
    return 0;
}

/* --- mean-reward --------------------------------------------------------------------------- */

enum { CLASSES = 4 };

typedef struct {
    Columns columns;
    size_t devices;
    /* By how busy the CPU is: the mean reward of computing and of offloading. */
    double means[CLASSES][2];
    uint64_t updates;
    /* Since the last report: how many, and the sum of their squared errors. */
    uint64_t recent;
    double squares;
    /* The class in which each device decided, by slot of arrival. */
    uint8_t *classes;
    size_t slots;
} MeanReward;

static size_t class_of(double queue) {
    return queue <= 0.0 ? 0 : queue <= 2.0 ? 1 : queue <= 5.0 ? 2 : 3;
}

static int mean_load(void *self, const uint8_t *bytes, size_t length, OfframpMessage *message) {
    MeanReward *policy = self;
    size_t size = sizeof policy->means + sizeof policy->updates;
    if (length != size) {
        snprintf(message->text, sizeof message->text, "%zu bytes are needed, not %zu", size, length);
        return 1;
    }
    memcpy(policy->means, bytes, sizeof policy->means);
    memcpy(&policy->updates, bytes + sizeof policy->means, sizeof policy->updates);
    return 0;
}

static void mean_destroy(void *self) {
    free(((MeanReward *)self)->classes);
    free(self);
}

static int mean_create(const OfframpContext *context, void **self, OfframpMessage *message) {
    MeanReward *policy = calloc(1, sizeof *policy);
    if (!policy) return 1;
    const OfframpSystem *system = context->system;
    policy->devices = system->device_ghz.length;
    policy->slots = (size_t)system->arrival_slots + system->deadline_slots;
    policy->classes = calloc(policy->devices * policy->slots, 1);
    if (!policy->classes || find_columns(context, &policy->columns, message) ||
        (context->checkpoint && mean_load(policy, context->checkpoint,
                                                   context->checkpoint_length, message))) {
        mean_destroy(policy);
        return 1;
    }
    *self = policy;
    return 0;
}

static int mean_decide(void *self, const OfframpObservation *seen, uint32_t *actions,
                       OfframpMessage *message) {
    MeanReward *policy = self;
    for (size_t row = 0; row < seen->devices.length; row++) {
        if (actions[row] != OFFRAMP_UNDECIDED) continue; /* the explorer's */
        size_t class = class_of(offramp_task(seen, row, policy->columns.cpu_queue));
        const float means[2] = {(float)policy->means[class][0], (float)policy->means[class][1]};
        if (offramp_best_action(means, 2, &actions[row], message)) return 1;
        if (actions[row]) actions[row] = least_waiting(seen, row, policy->columns);
    }
    return 0;
}

static int mean_record(void *self, const OfframpTransitions *slot, OfframpMessage *message) {
    (void)message;
    MeanReward *policy = self;
    const OfframpObservation *seen = slot->observation;
    for (size_t row = 0; row < seen->devices.length; row++) {
        size_t place = (size_t)seen->devices.data[row] * policy->slots + seen->slot;
        double queue = offramp_task(seen, row, policy->columns.cpu_queue);
        policy->classes[place] = (uint8_t)class_of(queue);
    }
    for (size_t task = 0; task < slot->ended.length; task++) {
        const OfframpEndedTask *ended = &slot->ended.data[task];
        size_t place = (size_t)ended->device * policy->slots + ended->arrival_slot;
        double *mean = &policy->means[policy->classes[place]][ended->action > 0];
        double error = ended->reward - *mean;
        *mean += 0.02 * error;
        policy->squares += error * error;
        policy->recent++;
        policy->updates++;
    }
    return 0;
}

static int mean_learn(void *self, OfframpProgress *progress, OfframpMessage *message) {
    (void)message;
    MeanReward *policy = self;
    progress->updates = policy->updates;
    progress->recent_updates = policy->recent;
    progress->loss = policy->recent ? policy->squares / (double)policy->recent : 0.0;
    policy->recent = 0, policy->squares = 0.0;
    return 0;
}

static int mean_save(void *self, OfframpWrite write, void *sink, OfframpMessage *message) {
    (void)message;
    MeanReward *policy = self;
    write(sink, (const uint8_t *)policy->means, sizeof policy->means);
    write(sink, (const uint8_t *)&policy->updates, sizeof policy->updates);
    return 0;
}

static const OfframpPolicy POLICIES[] = {
    {
        .name = "least-waiting",
        .about = "An idle CPU computes, else the task goes where least waits; in C.",
        .needs = OFFRAMP_NEEDS_TASKS | OFFRAMP_NEEDS_LINKS,
        .flags = OFFRAMP_ANY_SYSTEM,
        .create = least_create,
        .destroy = free,
        .decide = least_decide,
    },
    {
        .name = "mean-reward",
        .about = "Learns whether to compute or to offload from mean rewards; in C.",
        .needs = OFFRAMP_NEEDS_TASKS | OFFRAMP_NEEDS_LINKS,
        .create = mean_create,
        .destroy = mean_destroy,
        .decide = mean_decide,
        .checkpoint = mean_save,
        .save = mean_save,
        .load = mean_load,
        .record = mean_record,
        .learn = mean_learn,
    },
};

static const OfframpPlugin PLUGIN = {
    OFFRAMP_PLUGIN_HEADER,
    .name = "least-waiting",
    .plugin_version = "0.1.0",
    .policies = POLICIES,
    .policy_count = sizeof POLICIES / sizeof POLICIES[0],
};

const OfframpPlugin *offramp_c_plugin(void) { return &PLUGIN; }
