/* What a library of interface 1 exported. It is refused, with what to do. */

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t version;
    uint32_t policy_count;
    const char *name;
    const char *plugin_version;
    const void *policies;
} OfframpPlugin;

static const OfframpPlugin PLUGIN = {1, 0, "first", "0.1.0", NULL};

const OfframpPlugin *offramp_c_plugin(void) { return &PLUGIN; }
