/* hostile-c: ends the process in the call, and in the way, that its parameters name. */

#include <signal.h>
#include <stdlib.h>

#include "offramp.h"

static char asked[128];

/* True if the parameters contain `word`. */
static int is_asked(const char *word) { return strstr(asked, word) != NULL; }

static void ruin(const char *call) {
    if (!is_asked(call)) return;
    if (is_asked("exit_0")) exit(0);
    if (is_asked("exit_3")) exit(3);
    if (is_asked("abort")) abort();
    if (is_asked("segfault")) raise(SIGSEGV);
    if (is_asked("arithmetic")) raise(SIGFPE);
}

static int create(const OfframpContext *context, void **self, OfframpMessage *message) {
    (void)self, (void)message;
    size_t length = context->parameters.length;
    if (length >= sizeof asked) return 1;
    memcpy(asked, context->parameters.data, length);
    ruin("in_create");
    return 0;
}

static void destroy(void *self) {
    (void)self;
    ruin("in_drop");
}

static int decide(void *self, const OfframpObservation *seen, uint32_t *actions,
                  OfframpMessage *message) {
    (void)self;
    ruin("in_decide");
    for (size_t row = 0; row < seen->devices.length; row++) {
        const float values[] = {0.0f, 0.0f / (float)(is_asked("not_a_number") ? 0 : 1)};
        if (offramp_best_action(values, 2, &actions[row], message)) return 1;
    }
    return 0;
}

static const OfframpPolicy POLICY = {
    .name = "hostile-c",
    .about = "Ends the process as it is told.",
    .create = create,
    .destroy = destroy,
    .decide = decide,
};

static const OfframpPlugin PLUGIN = {
    OFFRAMP_PLUGIN_HEADER,
    .name = "hostile-c",
    .plugin_version = "0.1.0",
    .policies = &POLICY,
    .policy_count = 1,
};

const OfframpPlugin *offramp_c_plugin(void) { return &PLUGIN; }
