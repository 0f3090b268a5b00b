/* least-waiting: an idle CPU computes; else the task goes where its device has the least waiting.
 * mean-reward: learns whether to compute or to offload from the mean reward of either. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "offramp.h"

static uint32_t least_waiting(const OfframpObservation *seen, size_t row, size_t servers) {
    const double *backlog = seen->knowledge.data + row * (6 + servers) + 3;
    size_t first = seen->devices.data[row] % servers, least = first;
    for (size_t step = 1; step < servers; step++) {
        size_t server = (first + step) % servers;
        if (backlog[server] < backlog[least]) least = server;
    }
    return (uint32_t)least + 1;
}

static double cpu_queue(const OfframpObservation *seen, size_t row, size_t servers) {
    return seen->knowledge.data[row * (6 + servers) + 1];
}

/* --- least-waiting ------------------------------------------------------------------------- */

typedef struct { size_t servers; } LeastWaiting;

static int least_create(const OfframpContext *context, void **self, OfframpMessage *message) {
    if (context->parameters.length > 0) {
        snprintf(message->text, sizeof message->text, "it takes no parameters");
        return 1;
    }
    LeastWaiting *policy = malloc(sizeof *policy);
    if (!policy) return 1;
    policy->servers = context->system.server_ghz.length;
    *self = policy;
    return 0;
}

static int least_decide(void *self, const OfframpObservation *seen, uint32_t *actions,
                        OfframpMessage *message) {
    (void)message;
    size_t servers = ((LeastWaiting *)self)->servers;
    for (size_t row = 0; row < seen->devices.length; row++) {
        int idle = cpu_queue(seen, row, servers) == 0.0;
        actions[row] = idle ? 0 : least_waiting(seen, row, servers);
    }
    return 0;
}

/* --- mean-reward --------------------------------------------------------------------------- */

enum { CLASSES = 4 };

typedef struct {
    size_t servers, devices;
    /* By how busy the CPU is: the mean reward of computing and of offloading. */
    double means[CLASSES][2];
    uint64_t updates;
    double error;
    /* The class in which each device decided, by slot of birth. */
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
    const OfframpSystem *system = &context->system;
    policy->servers = system->server_ghz.length;
    policy->devices = system->device_ghz.length;
    policy->slots = (size_t)system->arrival_slots + system->deadline_slots;
    policy->classes = calloc(policy->devices * policy->slots, 1);
    if (!policy->classes || (context->checkpoint && mean_load(policy, context->checkpoint,
                                                   context->checkpoint_length, message))) {
        mean_destroy(policy);
        return 1;
    }
    *self = policy;
    return 0;
}

static int mean_decide(void *self, const OfframpObservation *seen, uint32_t *actions,
                       OfframpMessage *message) {
    (void)message;
    MeanReward *policy = self;
    for (size_t row = 0; row < seen->devices.length; row++) {
        if (actions[row] != OFFRAMP_UNDECIDED) continue; /* the explorer's */
        const double *means = policy->means[class_of(cpu_queue(seen, row, policy->servers))];
        actions[row] = means[1] > means[0] ? least_waiting(seen, row, policy->servers) : 0;
    }
    return 0;
}

static int mean_record(void *self, const OfframpTransitions *slot, OfframpMessage *message) {
    (void)message;
    MeanReward *policy = self;
    const OfframpObservation *seen = &slot->observation;
    for (size_t row = 0; row < seen->devices.length; row++) {
        size_t place = (size_t)seen->devices.data[row] * policy->slots + seen->slot;
        policy->classes[place] = (uint8_t)class_of(cpu_queue(seen, row, policy->servers));
    }
    for (size_t task = 0; task < slot->ended.length; task++) {
        const OfframpEndedTask *ended = &slot->ended.data[task];
        size_t place = (size_t)ended->device * policy->slots + ended->born_slot;
        double *mean = &policy->means[policy->classes[place]][ended->action > 0];
        policy->error = ended->reward - *mean;
        *mean += 0.02 * policy->error;
        policy->updates++;
    }
    return 0;
}

static int mean_learn(void *self, OfframpProgress *progress, OfframpMessage *message) {
    (void)message;
    MeanReward *policy = self;
    progress->updates = policy->updates;
    progress->loss = policy->error * policy->error;
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
        .needs = OFFRAMP_NEEDS_KNOWLEDGE,
        .create = least_create,
        .destroy = free,
        .decide = least_decide,
    },
    {
        .name = "mean-reward",
        .about = "Learns whether to compute or to offload from mean rewards; in C.",
        .needs = OFFRAMP_NEEDS_KNOWLEDGE,
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
    .version = OFFRAMP_VERSION,
    .policy_count = 2,
    .name = "least-waiting",
    .plugin_version = "0.1.0",
    .policies = POLICIES,
};

const OfframpPlugin *offramp_c_plugin(void) { return &PLUGIN; }
