/* Policies and explorers for offramp in C, or in whatever can be called from C.
 *
 * Compile a shared library that exports offramp_c_plugin and name its folder or file with
 * --plugins:
 *
 *     cc -shared -fPIC -O2 -I plugins/api/include -o policy.so policy.c
 *
 * Rules
 * - Functions return 0, or another number after they have written why into the message. An error
 *   ends the run that made the call; the instance is not called again, only destroyed.
 * - If create fails, nothing it has stored in *self is used and destroy is not called: create
 *   frees what it has allocated. If it succeeds, destroy is called once.
 * - Nothing handed over may be kept after the call; the callbacks (OfframpWrite, OfframpAdd...)
 *   may only be called during the call that got them, and copy what they are given.
 * - Randomness comes from the seeds handed over; results depend on nothing else.
 * - Instances may be created and used on several threads at once, each by one at a time.
 * - Plugins execute code: load only what you would run.
 *
 * Growth: within a version, structs passed by pointer and the entries of the two tables gain
 * fields at their end, and OFFRAMP_REVISION is raised. A library compiled with this header loads
 * on every later offramp of version 2; one that was compiled with a later revision than offramp's
 * is refused with the one it needs. What is an element of an array (OfframpEndedTask) and
 * OfframpMessage keep their size. Leave fields you do not use zero: designated initialisers do.
 */
#ifndef OFFRAMP_H
#define OFFRAMP_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define OFFRAMP_VERSION 2
#define OFFRAMP_REVISION 4

/* The action of a row that is not decided. 0 computes locally, j = 1 ... M sends to server j. */
#define OFFRAMP_UNDECIDED UINT32_MAX

/* Which parts of an observation a policy reads; the others are empty. The length is no part of it:
 * see OfframpContext.learning_steps. */
#define OFFRAMP_NEEDS_NOTHING 0u
#define OFFRAMP_NEEDS_FEATURES 1u
#define OFFRAMP_NEEDS_HISTORY 2u
#define OFFRAMP_NEEDS_TASKS 4u
#define OFFRAMP_NEEDS_LINKS 8u
#define OFFRAMP_NEEDS_SERVERS 16u
#define OFFRAMP_NEEDS_LENGTH 32u /* since revision 2 */

/* Flag of an entry: copes with another N and M in each episode, those of OfframpEpisodeStart. */
#define OFFRAMP_ANY_SYSTEM 1u

/* OfframpSystem.energy: power x time, or as the published code counts. */
#define OFFRAMP_ENERGY_PHYSICAL 0u
#define OFFRAMP_ENERGY_PUBLISHED 1u

typedef struct { const double *data; size_t length; } OfframpDoubles;
typedef struct { const uint32_t *data; size_t length; } OfframpIntegers;
typedef struct { const uint8_t *data; size_t length; } OfframpBytes;
typedef struct { const char *const *data; size_t length; } OfframpTexts; /* each ends in NUL */

/* --- what is handed over -------------------------------------------------------------------- */

/* What the devices with a new task see at the start of a slot: a row for each, in the order of
 * devices. N devices, M servers, K slots of history, F features. The tables have the columns that
 * OfframpObservationSpec names; find them by name at creation (offramp_column), read them with
 * offramp_task, offramp_link and offramp_server. */
typedef struct {
    uint32_t slot;              /* counted from 0 */
    uint32_t server_count;      /* M */
    uint32_t history_slots;     /* K */
    OfframpIntegers devices;    /* the device of each row, 0 ... N - 1 */
    OfframpDoubles features;    /* rows x F, row by row, unscaled */
    OfframpDoubles histories;   /* windows of K x M, oldest slot first: devices at each server */
    OfframpIntegers history_of; /* the window of each row; empty if all rows see the only one */
    OfframpDoubles tasks;       /* rows x task columns, row by row */
    OfframpDoubles links;       /* rows x link columns x M */
    OfframpDoubles servers;     /* server columns x M */
} OfframpObservation;

typedef struct {
    OfframpTexts feature_names;    /* F */
    OfframpDoubles feature_scales; /* a size that each feature rarely exceeds */
    OfframpTexts task_columns;     /* size_mbit, compute_queue_slots, uplink_queue_slots, alpha,
                                      density_gcycles_per_mbit, deadline_slots, class,
                                      speed_mps, own_mbps, own_mbps_1_ago, own_mbps_2_ago,
                                      own_mbps_4_ago, own_mbps_8_ago, local_delay_slots,
                                      local_energy, ... */
    OfframpTexts link_columns;     /* backlog_mbit, uplink_mbps, serving, distance_m,
                                      wired_slots, predicted_delay_slots,
                                      predicted_energy, ... */
    OfframpTexts server_columns;   /* load: devices active in the last slot; ghz;
                                      up: share of its speed that a server has; then what
                                      the scenario has servers broadcast: queued_gcycles,
                                      uploads, arrivals_per_slot; ... */
    uint32_t history_slots;        /* K */
    double history_scale;          /* a load that is rarely exceeded */
    const char *kind;              /* Paper, Extended, Published or Columns; since revision 1 */
} OfframpObservationSpec;

typedef struct {
    double slot_seconds;
    uint32_t deadline_slots;
    uint32_t arrival_slots;
    OfframpDoubles device_ghz; /* N, as the next three */
    OfframpDoubles compute_w;
    OfframpDoubles transmit_w;
    OfframpDoubles idle_w;
    OfframpDoubles server_ghz; /* M */
    uint8_t energy;            /* OFFRAMP_ENERGY_...; a later offramp may have more of them */
    double reference_energy;   /* joules */
} OfframpSystem;

typedef struct {
    OfframpBytes parameters;      /* RON text of the scenario's entry; does not end in NUL */
    const uint8_t *checkpoint;    /* NULL if the scenario names none */
    size_t checkpoint_length;
    OfframpBytes scenario_sha256; /* hexadecimal; does not end in NUL */
    uint64_t seed;                /* the only source of randomness at creation */
    uint32_t threads;             /* it may use so many; results must not depend on it */
    const OfframpObservationSpec *observation;
    const OfframpSystem *system;
    /* Since revision 1. */
    const char *folder;          /* the scenario's, absolute: where relative paths start */
    const char *checkpoint_file; /* its path; NULL if there is none */
    /* Since revision 2: how often learn will be called in this training (the slots of all
     * episodes; explorers are told too), or fit in this distillation (steps). 0 if it only decides,
     * and without OFFRAMP_NEEDS_LENGTH, which also forbids to resume with another length. */
    uint64_t learning_steps;
    /* Since revision 3: SHA-256 of the quantities in which devices, servers and uplinks differ,
     * hexadecimal; does not end in NUL, empty if they are alike. A policy with one network per
     * device records it in its checkpoints, and refuses one of other hardware. */
    OfframpBytes hardware_sha256;
} OfframpContext;

typedef struct {
    uint64_t episode; /* counted from 0 */
    uint64_t seed;    /* the only source of randomness in this episode */
    _Bool training;
    const OfframpSystem *system; /* N and M of creation, unless OFFRAMP_ANY_SYSTEM is set */
} OfframpEpisodeStart;

/* A task that has ended; device and slot of arrival identify it. */
typedef struct {
    uint32_t device;
    uint32_t arrival_slot;
    uint32_t action;
    uint32_t delay_slots;
    _Bool dropped;
    double reward;
    double energy[4]; /* local, transmit, server, idle */
} OfframpEndedTask;

typedef struct { const OfframpEndedTask *data; size_t length; } OfframpEndedTasks;

/* A slot that is over, as a learner sees it. */
typedef struct {
    const OfframpObservation *observation;
    OfframpIntegers actions; /* what was done, one per row */
    OfframpEndedTasks ended; /* the tasks that ended in this slot */
} OfframpTransitions;

/* What single decisions of a training episode changed for everybody; since revision 4. A reward
 * shows what a task's own device gained. A gain is what the sum of all rewards of the episode would
 * have gained if one task alone had been decided otherwise, everything else that arrived and was
 * decided being the same. */
typedef struct {
    OfframpIntegers devices;       /* the device of each task */
    OfframpIntegers arrival_slots; /* its slot of arrival: ascending, in a slot by device */
    OfframpDoubles gains;          /* tasks x (M + 1), units of reward; 0 for the action it had */
} OfframpCounterfactuals;

/* Filled by learn, handed to explorers. A learner without an optimiser counts whatever changes its
 * decisions: a training in which no update is ever reported has failed. */
typedef struct {
    uint64_t updates;        /* optimiser steps so far of one network */
    uint64_t recent_updates; /* steps of all networks since the last report */
    double loss;             /* their mean loss; meaningless if there were none */
} OfframpProgress;

typedef struct {
    const char *format; /* one of the entry's export_formats */
    size_t network;     /* of the checkpoint, counted from 0 */
    const char *name;   /* of the files, without an ending, and the beginning of every public name
                           in them: letters, digits and underscores; since revision 1 */
} OfframpExportRequest;

/* Where a function that fails writes why: a text that ends in NUL. */
typedef struct { char text[256]; } OfframpMessage;

/* Takes bytes, in one piece or several; they are copied. */
typedef void (*OfframpWrite)(void *sink, const uint8_t *bytes, size_t length);

/* Takes the path of a file; it is copied. */
typedef void (*OfframpAddPath)(void *sink, const char *path);

/* Takes a number and its name, which is copied. */
typedef void (*OfframpAddNumber)(void *sink, const char *name, double value);

/* Takes a file: name without a folder, a note for the user ("" for none), content; all copied. */
typedef void (*OfframpAddFile)(void *sink, const char *name, const char *note,
                               const uint8_t *bytes, size_t length);

/* --- what a library offers ------------------------------------------------------------------ */

/* A policy. create, destroy and decide are needed, the others may be NULL; they make it:
 *
 *     saved           checkpoint, save, load
 *     learner         record, learn, and those of saved; judged_tasks and judge as it likes
 *     value_function  values
 *     student         fit, and those of saved
 *     exportable      export_formats, export_checkpoint
 *     mergeable       networks, parameters, set_parameters, and those of saved
 */
typedef struct {
    const char *name;  /* in scenarios */
    const char *about; /* what it does, in one sentence */
    uint32_t needs;
    uint32_t flags;
    int (*create)(const OfframpContext *context, void **self, OfframpMessage *message);
    void (*destroy)(void *self);
    int (*begin_episode)(void *self, const OfframpEpisodeStart *start, OfframpMessage *message);
    /* One action per row. Rows that hold an action already were decided by an explorer and stay.
     * Called once in each slot with tasks. */
    int (*decide)(void *self, const OfframpObservation *seen, uint32_t *actions,
                  OfframpMessage *message);
    int (*end_episode)(void *self, OfframpMessage *message);
    /* What deciding needs: create gets it back as its checkpoint. */
    int (*checkpoint)(void *self, OfframpWrite write, void *sink, OfframpMessage *message);
    /* What learning on bit-identically needs; load gets it back. */
    int (*save)(void *self, OfframpWrite write, void *sink, OfframpMessage *message);
    int (*load)(void *self, const uint8_t *bytes, size_t length, OfframpMessage *message);
    /* After every slot of a training episode, also those without tasks. */
    int (*record)(void *self, const OfframpTransitions *slot, OfframpMessage *message);
    int (*learn)(void *self, OfframpProgress *progress, OfframpMessage *message);
    /* Fills rows x (M + 1) values, finite, row by row. */
    int (*values)(void *self, const OfframpObservation *seen, float *values,
                  OfframpMessage *message);
    /* One step towards rows x (M + 1) values of a teacher; *loss is the loss before it. Rows are
     * states of a data set, without tables, or, in a training beside a teacher, those of a slot,
     * after decide. */
    int (*fit)(void *self, const OfframpObservation *seen, const float *targets, double *loss,
               OfframpMessage *message);
    /* Formats it exports, such as "c" or "onnx"; after the last a NULL. */
    const char *const *export_formats;
    /* Writes a network of a checkpoint as files; no instance is created for it. */
    int (*export_checkpoint)(const uint8_t *checkpoint, size_t length,
                             const OfframpExportRequest *request, OfframpAddFile add, void *sink,
                             OfframpMessage *message);
    /* How many networks it has; its parameters as floats, always in the same order; and the other
     * way round, as many and finite. network < networks(self). */
    size_t (*networks)(void *self);
    int (*parameters)(void *self, size_t network, OfframpWrite write, void *sink,
                      OfframpMessage *message);
    int (*set_parameters)(void *self, size_t network, const float *parameters, size_t length,
                          OfframpMessage *message);
    /* Since revision 1: hands over the paths of the files that it reads by itself, besides its
     * checkpoint. Asked for after create; their hashes belong to a run's results, and a run is not
     * resumed once one has changed. Relative paths in parameters start at context->folder, and
     * must not leave it: examples/python/python.c shows how. */
    int (*files)(void *self, OfframpAddPath add, void *sink, OfframpMessage *message);
    /* Since revision 2, both for what is saved. Hands over what shows how well it learns: means
     * since the last call, such as gradient_norm, q (mean Q of the states of the batches) and
     * td_error (mean |Q - Y|), both in units of reward. Asked for after each training episode, and
     * after each validation of a distillation. */
    int (*diagnostics)(void *self, OfframpAddNumber add, void *sink, OfframpMessage *message);
    /* How many bytes learning will need at most; 0 if unknown. Asked for before it begins. */
    uint64_t (*memory)(void *self);
    /* Since revision 4, both for a learner that learns from more than its rewards. Of how many tasks
     * of each training episode it wants the counterfactuals; 0 for none. Asked for before a training
     * begins, and only if there is judge. Each takes offramp time: 5 to 13 microseconds for a
     * task of the paper's system on one core, 30 to 70 times its part of the episode. */
    uint64_t (*judged_tasks)(void *self);
    /* The counterfactuals of so many tasks, or of all if there are fewer, drawn at random. Called
     * after the last slot of each training episode, before end_episode. */
    int (*judge)(void *self, const OfframpCounterfactuals *counterfactuals,
                 OfframpMessage *message);
} OfframpPolicy;

/* Decides in training what the learner does not. create, destroy and propose are needed. */
typedef struct {
    const char *name;
    const char *about;
    uint32_t needs;
    uint32_t flags;
    int (*create)(const OfframpContext *context, void **self, OfframpMessage *message);
    void (*destroy)(void *self);
    int (*begin_episode)(void *self, const OfframpEpisodeStart *start, OfframpMessage *message);
    /* Fills the rows it decides; the others hold OFFRAMP_UNDECIDED and stay so. *rate is the mean
     * probability with which it decided a row. */
    int (*propose)(void *self, const OfframpObservation *seen, const OfframpProgress *progress,
                   uint32_t *actions, double *rate, OfframpMessage *message);
    /* Since revision 1: as for a policy. */
    int (*files)(void *self, OfframpAddPath add, void *sink, OfframpMessage *message);
} OfframpExplorer;

typedef struct {
    uint32_t version;  /* OFFRAMP_VERSION */
    uint32_t revision; /* OFFRAMP_REVISION */
    size_t size;       /* sizeof(OfframpPlugin) */
    const char *name;
    const char *plugin_version;
    const OfframpPolicy *policies;
    size_t policy_count;
    size_t policy_size; /* sizeof(OfframpPolicy) */
    const OfframpExplorer *explorers;
    size_t explorer_count;
    size_t explorer_size; /* sizeof(OfframpExplorer) */
} OfframpPlugin;

/* What a library exports. What it points to never changes and is never freed. */
const OfframpPlugin *offramp_c_plugin(void);

/* The fields that are the same in every library. */
#define OFFRAMP_PLUGIN_HEADER                                                                      \
    .version = OFFRAMP_VERSION, .revision = OFFRAMP_REVISION, .size = sizeof(OfframpPlugin),       \
    .policy_size = sizeof(OfframpPolicy), .explorer_size = sizeof(OfframpExplorer)

/* --- columns -------------------------------------------------------------------------------- */

/* A column of a table: where it stands, and how many there are; columns is 0 if it is not there. */
typedef struct { size_t index, columns; } OfframpColumn;

/* Finds a column by its name: offramp_column(context->observation->task_columns, "alpha"). */
static inline OfframpColumn offramp_column(OfframpTexts columns, const char *name) {
    OfframpColumn none = {0, 0};
    for (size_t index = 0; index < columns.length; index++) {
        OfframpColumn column = {index, columns.length};
        if (strcmp(columns.data[index], name) == 0) return column;
    }
    return none;
}

/* The value of a task column in a row. */
static inline double offramp_task(const OfframpObservation *seen, size_t row,
                                  OfframpColumn column) {
    return seen->tasks.data[row * column.columns + column.index];
}

/* The M values of a link column in a row. */
static inline const double *offramp_link(const OfframpObservation *seen, size_t row,
                                         OfframpColumn column) {
    return seen->links.data + (row * column.columns + column.index) * seen->server_count;
}

/* The M values of a server column. */
static inline const double *offramp_server(const OfframpObservation *seen, OfframpColumn column) {
    return seen->servers.data + column.index * seen->server_count;
}

/* The window of K x M loads that a row sees. */
static inline const double *offramp_window(const OfframpObservation *seen, size_t row) {
    size_t window = seen->history_of.length ? seen->history_of.data[row] : 0;
    return seen->histories.data + window * seen->history_slots * seen->server_count;
}

/* --- actions -------------------------------------------------------------------------------- */

/* The action with the largest of `count` values; on ties, the first. A value that is not finite is
 * an error, with a message: no network means to decide by it. */
static inline int offramp_best_action(const float *values, size_t count, uint32_t *action,
                                      OfframpMessage *message) {
    size_t best = 0;
    for (size_t at = 0; at < count; at++) {
        if (values[at] - values[at] != 0.0f) { /* infinite, or not a number */
            snprintf(message->text, sizeof message->text, "the value of action %zu is %g", at,
                     (double)values[at]);
            return 1;
        }
        if (values[at] > values[best]) best = at;
    }
    *action = (uint32_t)best;
    return 0;
}

#endif
