/* A policy for offramp in C, or in whatever can be called from C.
 *
 * Compile a shared library that exports offramp_c_plugin and name its folder or file with
 * --plugins:
 *
 *     cc -shared -fPIC -O2 -I plugins/api/include -o policy.so policy.c
 *
 * Rules: randomness comes from the seeds handed over; results depend on nothing else. Instances
 * may be created and used on several threads at once, each by one at a time. Nothing handed over
 * may be held on to after the call. Plugins execute code: load only what you would run.
 */
#ifndef OFFRAMP_H
#define OFFRAMP_H

#include <stddef.h>
#include <stdint.h>

#define OFFRAMP_VERSION 1

/* What decide fills: 0 computes locally, j = 1 ... M sends the task to server j. Rows of a
 * learner that hold an action already were decided by an explorer and stay. */
#define OFFRAMP_UNDECIDED UINT32_MAX

/* Which parts of an observation a policy reads; the others are empty. */
#define OFFRAMP_NEEDS_NOTHING 0u
#define OFFRAMP_NEEDS_FEATURES 1u
#define OFFRAMP_NEEDS_HISTORY 2u
#define OFFRAMP_NEEDS_KNOWLEDGE 4u
#define OFFRAMP_NEEDS_LOAD 8u
#define OFFRAMP_NEEDS_UPLINK 16u

typedef struct { const double *data; size_t length; } OfframpDoubles;
typedef struct { const uint32_t *data; size_t length; } OfframpIntegers;
typedef struct { const uint8_t *data; size_t length; } OfframpBytes;
typedef struct { const char *const *data; size_t length; } OfframpTexts;

/* What the devices with a new task see at the start of a slot: a row for each, in the order of
 * devices. N devices, M servers, K slots of history, F features. */
typedef struct {
    uint32_t slot;
    OfframpIntegers devices;    /* the device of each row, 0 ... N - 1 */
    OfframpDoubles features;    /* rows x F, unscaled */
    OfframpDoubles histories;   /* windows of K x M, oldest slot first: devices at each server */
    OfframpIntegers history_of; /* the window of each row; empty if all rows see the first */
    OfframpDoubles knowledge;   /* rows x (6 + M): size Mbit, CPU queue slots, uplink queue slots,
                                   backlog at each server Mbit, alpha, density Gcycles/Mbit,
                                   deadline slots */
    OfframpDoubles load;        /* M: devices active at each server in the last slot */
    OfframpDoubles uplink_mbps; /* rows x M */
} OfframpObservation;

typedef struct {
    uint64_t episode;  /* counted from 0 */
    uint64_t seed;     /* the only source of randomness in this episode */
    _Bool training;
} OfframpEpisodeStart;

/* A task that has ended; device and slot of birth identify it. */
typedef struct {
    uint32_t device;
    uint32_t born_slot;
    uint32_t action;
    uint32_t delay_slots;
    _Bool dropped;
    double reward;
    double energy[4]; /* local, transmit, server, idle */
} OfframpEndedTask;

typedef struct { const OfframpEndedTask *data; size_t length; } OfframpEndedTasks;

/* A slot that is over, as a learner sees it. */
typedef struct {
    OfframpObservation observation;
    OfframpIntegers actions; /* what was done, a row each */
    OfframpEndedTasks ended; /* the tasks that ended in this slot */
} OfframpTransitions;

typedef struct {
    uint64_t updates; /* optimiser steps so far of one network */
    double loss;      /* mean since the last report; 0 if there was none */
} OfframpProgress;

typedef struct {
    double slot_seconds;
    uint32_t deadline_slots;
    uint32_t arrival_slots;
    OfframpDoubles device_ghz; /* N, as the next three */
    OfframpDoubles compute_w;
    OfframpDoubles transmit_w;
    OfframpDoubles idle_w;
    OfframpDoubles server_ghz; /* M */
    uint8_t energy;            /* 0 power x time, 1 as the published code counts */
    double reference_energy;
} OfframpSystem;

typedef struct {
    OfframpBytes parameters;      /* RON text of the scenario's entry; does not end in NUL */
    const uint8_t *checkpoint;    /* NULL if the scenario names none */
    size_t checkpoint_length;
    uint64_t seed;                /* the only source of randomness at creation */
    uint32_t threads;
    uint32_t history_slots;       /* K */
    double history_scale;         /* what a load rarely exceeds */
    OfframpTexts feature_names;   /* F */
    OfframpDoubles feature_scales; /* what each feature rarely exceeds */
    OfframpSystem system;
} OfframpContext;

/* Where a function that fails says why. */
typedef struct { char text[256]; } OfframpMessage;

/* Takes bytes that are to be kept, in one piece or several. */
typedef void (*OfframpWrite)(void *sink, const uint8_t *bytes, size_t length);

/* A policy. Functions give 0, or another number after they have written why. create, destroy
 * and decide are needed, the others may be NULL. With checkpoint, save and load it can be saved;
 * with record and learn besides it is a learner. */
typedef struct {
    const char *name;  /* in scenarios */
    const char *about; /* what it does, in one sentence */
    uint32_t needs;
    int (*create)(const OfframpContext *context, void **self, OfframpMessage *message);
    void (*destroy)(void *self);
    int (*begin_episode)(void *self, const OfframpEpisodeStart *start, OfframpMessage *message);
    /* One action a row of the observation. Called once in each slot with tasks. */
    int (*decide)(void *self, const OfframpObservation *seen, uint32_t *actions,
                  OfframpMessage *message);
    int (*end_episode)(void *self, OfframpMessage *message);
    /* What deciding needs: create gets it back as its checkpoint. */
    int (*checkpoint)(void *self, OfframpWrite write, void *sink, OfframpMessage *message);
    /* What going on with learning needs, to the same bits; load gets it back. */
    int (*save)(void *self, OfframpWrite write, void *sink, OfframpMessage *message);
    int (*load)(void *self, const uint8_t *bytes, size_t length, OfframpMessage *message);
    /* After every slot of a training episode, also those without tasks. */
    int (*record)(void *self, const OfframpTransitions *slot, OfframpMessage *message);
    int (*learn)(void *self, OfframpProgress *progress, OfframpMessage *message);
} OfframpPolicy;

typedef struct {
    uint32_t version; /* OFFRAMP_VERSION */
    uint32_t policy_count;
    const char *name;
    const char *plugin_version;
    const OfframpPolicy *policies;
} OfframpPlugin;

/* What a library exports. What it points to never changes and is never freed. */
const OfframpPlugin *offramp_c_plugin(void);

#endif
