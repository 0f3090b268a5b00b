/* python: a policy that a Python script decides for, through pipes. Needs nothing of Python at
 * compile time:
 *
 *     cc -shared -fPIC -O2 -I plugins/api/include -o python.so python.c
 *
 * In a scenario: (plugin: "python", parameters: (script: "my_policy.py")). The script is run by
 * `python3`, or by what OFFRAMP_PYTHON names; offramp_policy.py, beside this file, reads what is
 * sent here. Each instance has a process of its own. */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "offramp.h"

typedef struct {
    pid_t process;
    FILE *to, *from;
} Python;

static int failed(OfframpMessage *message, const char *text) {
    snprintf(message->text, sizeof message->text, "%s", text);
    return 1;
}

static void send_bytes(Python *python, const void *bytes, size_t length) {
    fwrite(bytes, 1, length, python->to);
}

static void send_number(Python *python, uint64_t number) {
    send_bytes(python, &number, sizeof number);
}

static void send_texts(Python *python, OfframpTexts texts) {
    send_number(python, texts.length);
    for (size_t at = 0; at < texts.length; at++) {
        send_number(python, strlen(texts.data[at]));
        send_bytes(python, texts.data[at], strlen(texts.data[at]));
    }
}

static void send_doubles(Python *python, OfframpDoubles doubles) {
    send_number(python, doubles.length);
    send_bytes(python, doubles.data, doubles.length * sizeof *doubles.data);
}

/* The script's reply: 'y' and an answer of so many bytes, or 'n' and a text. */
static int answered(Python *python, void *answer, size_t length, OfframpMessage *message) {
    if (fflush(python->to) != 0) return failed(message, "the script has ended");
    switch (fgetc(python->from)) {
    case 'y':
        if (fread(answer, 1, length, python->from) == length) return 0;
        break;
    case 'n': {
        size_t end = fread(message->text, 1, sizeof message->text - 1, python->from);
        message->text[end] = 0;
        return 1;
    }
    }
    return failed(message, "the script has ended");
}

static void destroy(void *self) {
    Python *python = self;
    if (python->to) fclose(python->to); /* its end: the script ends too */
    if (python->from) fclose(python->from);
    if (python->process > 0) waitpid(python->process, NULL, 0);
    free(python);
}

/* The text in quotes after `script:`. */
static int script_of(OfframpBytes parameters, char *script, size_t size) {
    const char *text = (const char *)parameters.data;
    size_t at = 0, end;
    while (at + 6 < parameters.length && memcmp(text + at, "script", 6) != 0) at++;
    while (at < parameters.length && text[at] != '"') at++;
    for (end = ++at; end < parameters.length && text[end] != '"'; end++) {}
    if (end >= parameters.length || end - at >= size) return 1;
    memcpy(script, text + at, end - at);
    script[end - at] = 0;
    return 0;
}

static int create(const OfframpContext *context, void **self, OfframpMessage *message) {
    char script[4096];
    int to[2], from[2];
    if (script_of(context->parameters, script, sizeof script))
        return failed(message, "parameters: (script: \"FILE.py\") is needed");
    Python *python = calloc(1, sizeof *python);
    if (!python || pipe(to) != 0) {
        free(python);
        return failed(message, "no memory, or no pipe");
    }
    if (pipe(from) != 0) {
        close(to[0]), close(to[1]), free(python);
        return failed(message, "no pipe");
    }
    signal(SIGPIPE, SIG_IGN);
    const char *named = getenv("OFFRAMP_PYTHON");
    const char *interpreter = named ? named : "python3";
    python->process = fork();
    if (python->process == 0) {
        dup2(to[0], 0), dup2(from[1], 1);
        /* Or another instance's script would keep this one's pipes open. */
        for (int other = 3; other < 1024; other++) close(other);
        execlp(interpreter, interpreter, script, (char *)NULL);
        _exit(127);
    }
    close(to[0]), close(from[1]);
    python->to = fdopen(to[1], "wb");
    python->from = fdopen(from[0], "rb");
    if (python->process < 0 || !python->to || !python->from) {
        destroy(python);
        return failed(message, "no process");
    }
    fputc('c', python->to);
    send_number(python, context->parameters.length);
    send_bytes(python, context->parameters.data, context->parameters.length);
    send_number(python, context->checkpoint_length);
    send_bytes(python, context->checkpoint, context->checkpoint_length);
    send_number(python, context->seed);
    const OfframpObservationSpec *spec = context->observation;
    send_number(python, spec->history_slots);
    send_texts(python, spec->feature_names);
    send_doubles(python, spec->feature_scales);
    send_texts(python, spec->task_columns);
    send_texts(python, spec->link_columns);
    send_texts(python, spec->server_columns);
    send_doubles(python, context->system->device_ghz);
    send_doubles(python, context->system->server_ghz);
    if (answered(python, NULL, 0, message)) {
        destroy(python);
        return 1;
    }
    *self = python;
    return 0;
}

static int begin(void *self, const OfframpEpisodeStart *start, OfframpMessage *message) {
    Python *python = self;
    fputc('b', python->to);
    send_number(python, start->episode);
    send_number(python, start->seed);
    send_doubles(python, start->system->device_ghz);
    send_doubles(python, start->system->server_ghz);
    return answered(python, NULL, 0, message);
}

static int decide(void *self, const OfframpObservation *seen, uint32_t *actions,
                  OfframpMessage *message) {
    Python *python = self;
    size_t rows = seen->devices.length;
    fputc('d', python->to);
    send_number(python, seen->slot);
    send_number(python, rows);
    send_bytes(python, seen->devices.data, rows * sizeof *seen->devices.data);
    send_doubles(python, seen->features);
    send_doubles(python, seen->histories);
    send_doubles(python, seen->tasks);
    send_doubles(python, seen->links);
    send_doubles(python, seen->servers);
    return answered(python, actions, rows * sizeof *actions, message);
}

static const OfframpPolicy POLICY = {
    .name = "python",
    .about = "What a Python script decides.",
    .needs = OFFRAMP_NEEDS_FEATURES | OFFRAMP_NEEDS_HISTORY | OFFRAMP_NEEDS_TASKS |
             OFFRAMP_NEEDS_LINKS | OFFRAMP_NEEDS_SERVERS,
    .flags = OFFRAMP_ANY_SYSTEM,
    .create = create,
    .destroy = destroy,
    .begin_episode = begin,
    .decide = decide,
};

static const OfframpPlugin PLUGIN = {
    OFFRAMP_PLUGIN_HEADER,
    .policy_count = 1,
    .name = "python",
    .plugin_version = "0.1.0",
    .policies = &POLICY,
};

const OfframpPlugin *offramp_c_plugin(void) { return &PLUGIN; }
