/* A plugin of interface 2.0. It is compiled with the copy of offramp.h beside it, which is never
 * changed: every later offramp of version 2 loads it, and it decides as it does today. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "offramp.h"

typedef struct {
    OfframpColumn queue, alpha, backlog, uplink, load, ghz;
    size_t features;
    uint64_t updates, recent;
} Old;

static int old_create(const OfframpContext *context, void **self, OfframpMessage *message) {
    const OfframpObservationSpec *spec = context->observation;
    Old *old = calloc(1, sizeof *old);
    if (!old) return 1;
    old->queue = offramp_column(spec->task_columns, "compute_queue_slots");
    old->alpha = offramp_column(spec->task_columns, "alpha");
    old->backlog = offramp_column(spec->link_columns, "backlog_mbit");
    old->uplink = offramp_column(spec->link_columns, "uplink_mbps");
    old->load = offramp_column(spec->server_columns, "load");
    old->ghz = offramp_column(spec->server_columns, "ghz");
    old->features = spec->feature_names.length;
    if (!old->queue.columns || !old->alpha.columns || !old->backlog.columns ||
        !old->uplink.columns || !old->load.columns || !old->ghz.columns) {
        free(old);
        snprintf(message->text, sizeof message->text, "a column of 2.0 is missing");
        return 1;
    }
    if (context->checkpoint && context->checkpoint_length == sizeof old->updates)
        memcpy(&old->updates, context->checkpoint, sizeof old->updates);
    *self = old;
    return 0;
}

static int old_begin(void *self, const OfframpEpisodeStart *start, OfframpMessage *message) {
    (void)self;
    if (start->system->device_ghz.length && start->system->server_ghz.length) return 0;
    snprintf(message->text, sizeof message->text, "an episode without a system");
    return 1;
}

/* An idle CPU computes; else the server with the least backlog, load and transmission together. */
static int old_decide(void *self, const OfframpObservation *seen, uint32_t *actions,
                      OfframpMessage *message) {
    Old *old = self;
    if (seen->features.length != seen->devices.length * old->features) {
        snprintf(message->text, sizeof message->text, "features of another length");
        return 1;
    }
    const double *load = offramp_server(seen, old->load), *ghz = offramp_server(seen, old->ghz);
    for (size_t row = 0; row < seen->devices.length; row++) {
        if (actions[row] != OFFRAMP_UNDECIDED) continue;
        const double *backlog = offramp_link(seen, row, old->backlog);
        const double *uplink = offramp_link(seen, row, old->uplink);
        const double *window = offramp_window(seen, row);
        size_t best = 0;
        double least = 0.0;
        for (size_t server = 0; server < seen->server_count; server++) {
            double cost = backlog[server] + load[server] / ghz[server] + 1.0 / uplink[server] +
                          0.001 * window[server] + 0.001 * offramp_task(seen, row, old->alpha);
            if (server == 0 || cost < least) best = server, least = cost;
        }
        int idle = offramp_task(seen, row, old->queue) == 0.0;
        actions[row] = idle ? 0 : (uint32_t)best + 1;
    }
    return 0;
}

static int old_save(void *self, OfframpWrite write, void *sink, OfframpMessage *message) {
    (void)message;
    write(sink, (const uint8_t *)&((Old *)self)->updates, sizeof(uint64_t));
    return 0;
}

static int old_load(void *self, const uint8_t *bytes, size_t length, OfframpMessage *message) {
    (void)message;
    if (length != sizeof(uint64_t)) return 1;
    memcpy(&((Old *)self)->updates, bytes, length);
    return 0;
}

static int old_record(void *self, const OfframpTransitions *slot, OfframpMessage *message) {
    (void)message;
    Old *old = self;
    if (slot->actions.length != slot->observation->devices.length) return 1;
    for (size_t task = 0; task < slot->ended.length; task++) {
        if (slot->ended.data[task].arrival_slot > slot->observation->slot) return 1;
        old->updates++, old->recent++;
    }
    return 0;
}

static int old_learn(void *self, OfframpProgress *progress, OfframpMessage *message) {
    (void)message;
    Old *old = self;
    progress->updates = old->updates;
    progress->recent_updates = old->recent;
    progress->loss = 1.0;
    old->recent = 0;
    return 0;
}

static int old_propose(void *self, const OfframpObservation *seen,
                       const OfframpProgress *progress, uint32_t *actions, double *rate,
                       OfframpMessage *message) {
    (void)self, (void)message;
    for (size_t row = 0; row < seen->devices.length; row++)
        if ((row + progress->updates) % 4 == 0) actions[row] = 0;
    *rate = 0.25;
    return 0;
}

#define OLD                                                                                        \
    .needs = OFFRAMP_NEEDS_FEATURES | OFFRAMP_NEEDS_HISTORY | OFFRAMP_NEEDS_TASKS |                \
             OFFRAMP_NEEDS_LINKS | OFFRAMP_NEEDS_SERVERS,                                          \
    .create = old_create, .destroy = free, .begin_episode = old_begin

static const OfframpPolicy POLICIES[] = {
    {.name = "old", .about = "Of interface 2.0.", .flags = OFFRAMP_ANY_SYSTEM, OLD,
     .decide = old_decide},
    {.name = "old-learner", .about = "Of interface 2.0, too.", OLD, .decide = old_decide,
     .checkpoint = old_save, .save = old_save, .load = old_load, .record = old_record,
     .learn = old_learn},
};

static const OfframpExplorer EXPLORERS[] = {
    {.name = "old", .about = "Explores as of interface 2.0.", OLD, .propose = old_propose},
};

static const OfframpPlugin PLUGIN = {
    OFFRAMP_PLUGIN_HEADER,
    .name = "old",
    .plugin_version = "2.0",
    .policies = POLICIES,
    .policy_count = 2,
    .explorers = EXPLORERS,
    .explorer_count = 1,
};

const OfframpPlugin *offramp_c_plugin(void) { return &PLUGIN; }
