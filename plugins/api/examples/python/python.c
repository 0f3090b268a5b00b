/* python: a policy that a Python script decides for, through pipes. Needs nothing of Python at
 * compile time:
 *
 *     cc -shared -fPIC -O2 -I plugins/api/include -o python.so python.c
 *
 * In a scenario: (plugin: "python", parameters: (script: "my_policy.py")). The path is relative to
 * the scenario's folder, in which the script is run by `python3`, or by what OFFRAMP_PYTHON names;
 * offramp_policy.py, beside this file, reads what is sent here. Each instance has a process of its
 * own. The script, the modules that it imports from its own folder and what else its policy lists
 * in `files` belong to a run's results: offramp records them. */
#define _XOPEN_SOURCE 700

#include <errno.h>
#include <fcntl.h>
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
    char *script;
} Python;

/* The script's ends of the pipes. Its standard streams are not these: what it or a command that it
 * runs prints is not an answer, and what they read is not a question. */
enum { QUESTIONS = 3, ANSWERS = 4 };

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

static void send_text(Python *python, const char *text) {
    send_number(python, strlen(text));
    send_bytes(python, text, strlen(text));
}

static void send_texts(Python *python, OfframpTexts texts) {
    send_number(python, texts.length);
    for (size_t at = 0; at < texts.length; at++) send_text(python, texts.data[at]);
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
    free(python->script);
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

/* `second` in the folder `first`, or `second` alone if it is absolute; NULL without memory. */
static char *joined(const char *first, const char *second) {
    size_t length = strlen(first), size = length + strlen(second) + 2;
    char *path = malloc(size);
    const char *between = length > 0 && first[length - 1] == '/' ? "" : "/";
    if (second[0] == '/') first = between = "";
    if (path) snprintf(path, size, "%s%s%s", first, between, second);
    return path;
}

/* The path of the script: relative to the scenario's folder, which it must not leave, since a
 * scenario may come from anyone. */
static char *resolved(const char *folder, const char *script, OfframpMessage *message) {
    char *path = joined(folder, script);
    char *root = realpath(folder, NULL), *whole = path ? realpath(path, NULL) : NULL;
    size_t length = root ? strlen(root) : 0;
    int inside = script[0] == '/' || (root && whole && strncmp(whole, root, length) == 0 &&
                                      (whole[length] == '/' || root[length - 1] == '/'));
    if (!whole)
        snprintf(message->text, sizeof message->text, "%.180s: %s", path ? path : script,
                 strerror(errno));
    else if (!inside)
        snprintf(message->text, sizeof message->text,
                 "`%.120s` leaves the scenario's folder: give an absolute path if this is intended",
                 script);
    if (!whole || !inside) free(path), path = NULL;
    free(root), free(whole);
    return path;
}

/* Becomes the interpreter, in the scenario's folder. */
static void run(const char *interpreter, const char *folder, const char *script, int in, int out) {
    /* Out of the way of what they are to become. */
    in = fcntl(in, F_DUPFD, ANSWERS + 1), out = fcntl(out, F_DUPFD, ANSWERS + 1);
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, 0), dup2(2, 1), dup2(in, QUESTIONS), dup2(out, ANSWERS);
    /* Or another instance's script would keep this one's pipes open. */
    for (int other = ANSWERS + 1; other < 1024; other++) close(other);
    if (chdir(folder) == 0) execlp(interpreter, interpreter, script, (char *)NULL);
    _exit(127);
}

static int create(const OfframpContext *context, void **self, OfframpMessage *message) {
    char script[4096], here[4096];
    int to[2], from[2];
    if (script_of(context->parameters, script, sizeof script))
        return failed(message, "parameters: (script: \"FILE.py\") is needed");
    char *path = resolved(context->folder, script, message);
    if (!path) return 1;
    const char *named = getenv("OFFRAMP_PYTHON");
    if (!named || !named[0]) named = "python3";
    /* A path is relative to the current folder, not to the scenario's; a name is looked for. */
    int is_path = strchr(named, '/') && getcwd(here, sizeof here);
    char *interpreter = is_path ? joined(here, named) : strdup(named);
    Python *python = calloc(1, sizeof *python);
    if (!python || !interpreter || pipe(to) != 0) {
        free(path), free(interpreter), free(python);
        return failed(message, "no memory, or no pipe");
    }
    if (pipe(from) != 0) {
        close(to[0]), close(to[1]), free(path), free(interpreter), free(python);
        return failed(message, "no pipe");
    }
    signal(SIGPIPE, SIG_IGN);
    python->script = path;
    python->process = fork();
    if (python->process == 0) run(interpreter, context->folder, path, to[0], from[1]);
    free(interpreter);
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
    send_text(python, context->folder);
    send_text(python, context->checkpoint_file ? context->checkpoint_file : "");
    send_text(python, spec->kind);
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

/* The script, and what it reports: paths, each a length and so many bytes. */
static int files(void *self, OfframpAddPath add, void *sink, OfframpMessage *message) {
    Python *python = self;
    uint64_t count, length;
    char path[4096];
    add(sink, python->script);
    fputc('f', python->to);
    if (answered(python, &count, sizeof count, message)) return 1;
    for (; count > 0; count--) {
        if (fread(&length, sizeof length, 1, python->from) != 1 || length >= sizeof path ||
            fread(path, 1, length, python->from) != length)
            return failed(message, "the script has ended, or reports a path that is too long");
        path[length] = 0;
        add(sink, path);
    }
    return 0;
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
    .files = files,
};

static const OfframpPlugin PLUGIN = {
    OFFRAMP_PLUGIN_HEADER,
    .policy_count = 1,
    .name = "python",
    .plugin_version = "0.1.0",
    .policies = &POLICY,
};

const OfframpPlugin *offramp_c_plugin(void) { return &PLUGIN; }
