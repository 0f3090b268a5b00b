"""The script's side of python.c: reads what offramp asks, and answers.

A policy is a class with `decide` and, if it wants, `begin_episode(episode, seed)` and `files()`; see
least_waiting.py. Numbers come as `array.array`; with NumPy,
`numpy.frombuffer(observation.features).reshape(rows, -1)` takes them without copying, and with
PyTorch `torch.frombuffer`. The script runs in the scenario's folder; what it prints goes to
standard error.
"""

import array
import math
import operator
import os
import struct
import sys

# Where python.c asks and is answered. Commands that a script runs do not get them.
_QUESTIONS, _ANSWERS = 3, 4

# The script's folder.
_FOLDER = os.path.dirname(os.path.realpath(sys.argv[0]))


class Context:
    """What a policy is created from: parameters (RON text), checkpoint (bytes), seed,
    history_slots, feature_names, feature_scales, task_columns, link_columns, server_columns
    (names, in order), device_ghz, server_ghz, folder (the scenario's), checkpoint_file ("" if
    there is none), kind (of the observation)."""


class Observation:
    """A slot: slot, devices (one per row), features (rows x F), histories (K x M), and the tables
    tasks (rows x columns), links (rows x columns x M), servers (columns x M). The methods read a
    column by its name."""

    def __init__(self, context, servers):
        self._context, self._servers = context, servers

    def task(self, row, column):
        """The value of a task column in a row."""
        columns = self._context.task_columns
        return self.tasks[row * len(columns) + columns.index(column)]

    def link(self, row, column):
        """The M values of a link column in a row."""
        columns = self._context.link_columns
        start = (row * len(columns) + columns.index(column)) * self._servers
        return self.links[start : start + self._servers]

    def server(self, column):
        """The M values of a server column."""
        start = self._context.server_columns.index(column) * self._servers
        return self.servers[start : start + self._servers]


def best_action(values):
    """The action with the largest value; on ties, the first. A value that is not finite is an
    error: no network means to decide by it."""
    for action, value in enumerate(values):
        if not math.isfinite(value):
            raise ValueError(f"the value of action {action} is {value}")
    return max(range(len(values)), key=lambda action: values[action])


def _checked(actions, rows, servers):
    """The actions of a slot: for each row an integer 0 ... M."""
    if actions is None or len(actions) != rows:
        count = "nothing" if actions is None else f"{len(actions)} actions"
        raise ValueError(f"decide returned {count} for {rows} rows")
    checked = []
    for row, action in enumerate(actions):
        try:
            number = operator.index(action)
        except TypeError:
            number = -1
        if not 0 <= number <= servers:
            raise ValueError(f"row {row}: {action!r} is not an action, an integer 0 ... {servers}")
        checked.append(number)
    return checked


def _own_modules():
    """The files of the modules that were imported from the script's folder or one below it."""
    paths = set()
    for name, module in list(sys.modules.items()):
        if name == "__main__":
            continue  # the script itself, which python.c lists
        path = os.path.realpath(getattr(module, "__file__", None) or os.devnull)
        installed = {"site-packages", "dist-packages"} & set(path.split(os.sep))
        if path.startswith(os.path.join(_FOLDER, "")) and not installed:
            paths.add(path)
    return sorted(paths)


def run(policy_class):
    """Answers until offramp has no more questions."""
    asked, answers = open(_QUESTIONS, "rb"), open(_ANSWERS, "wb")
    for pipe in asked, answers:
        os.set_inheritable(pipe.fileno(), False)

    def take(length):
        data = asked.read(length)
        if len(data) != length:
            raise SystemExit(0)
        return data

    def number():
        return struct.unpack("=Q", take(8))[0]

    def doubles():
        return array.array("d", take(8 * number()))

    def text():
        return os.fsdecode(take(number()))

    def texts():
        return [text() for _ in range(number())]

    policy, context, servers = None, None, 0
    while True:
        question = asked.read(1)
        if not question:
            return
        try:
            answer = b""
            if question == b"c":
                context = Context()
                context.parameters = text()
                context.checkpoint = take(number())
                context.seed, context.history_slots = number(), number()
                context.feature_names, context.feature_scales = texts(), doubles()
                context.task_columns, context.link_columns = texts(), texts()
                context.server_columns = texts()
                context.device_ghz, context.server_ghz = doubles(), doubles()
                context.folder, context.checkpoint_file, context.kind = text(), text(), text()
                servers = len(context.server_ghz)
                policy = policy_class(context)
            elif question == b"b":
                episode, seed = number(), number()
                context.device_ghz, context.server_ghz = doubles(), doubles()
                servers = len(context.server_ghz)
                begin = getattr(policy, "begin_episode", None)
                if begin:
                    begin(episode, seed)
            elif question == b"f":
                more = getattr(policy, "files", None)
                paths = _own_modules()
                paths += [os.path.join(context.folder, path) for path in (more() if more else [])]
                encoded = [os.fsencode(path) for path in paths]
                answer = struct.pack("=Q", len(encoded))
                answer += b"".join(struct.pack("=Q", len(path)) + path for path in encoded)
            else:
                seen = Observation(context, servers)
                seen.slot, rows = number(), number()
                seen.devices = array.array("I", take(4 * rows))
                seen.features, seen.histories = doubles(), doubles()
                seen.tasks, seen.links, seen.servers = doubles(), doubles(), doubles()
                actions = _checked(policy.decide(seen), rows, servers)
                answer = struct.pack(f"={rows}I", *actions)
            answers.write(b"y" + answer)
        except Exception as error:  # reported as the run's failure
            answers.write(b"n" + f"{type(error).__name__}: {error}".encode()[:250])
            answers.flush()
            return
        answers.flush()
