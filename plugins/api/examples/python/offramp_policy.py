"""The script's side of python.c: reads what offramp asks, and answers.

A policy is a class with `decide` and, if it wants, `begin_episode(episode, seed)`; see
least_waiting.py. Numbers come as `array.array`; with NumPy,
`numpy.frombuffer(observation.features).reshape(rows, -1)` takes them without copying, and with
PyTorch `torch.frombuffer`.
"""

import array
import struct
import sys


class Context:
    """What a policy is created from: parameters (RON text), checkpoint (bytes), seed,
    history_slots, feature_names, feature_scales, task_columns, link_columns, server_columns
    (names, in order), device_ghz, server_ghz."""


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


def run(policy_class):
    """Answers until offramp has no more questions."""
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a policy prints is not an answer

    def take(length):
        data = asked.read(length)
        if len(data) != length:
            raise SystemExit(0)
        return data

    def number():
        return struct.unpack("=Q", take(8))[0]

    def doubles():
        return array.array("d", take(8 * number()))

    def texts():
        return [take(number()).decode() for _ in range(number())]

    policy, context, servers = None, None, 0
    while True:
        question = asked.read(1)
        if not question:
            return
        try:
            answer = b""
            if question == b"c":
                context = Context()
                context.parameters = take(number()).decode()
                context.checkpoint = take(number())
                context.seed, context.history_slots = number(), number()
                context.feature_names, context.feature_scales = texts(), doubles()
                context.task_columns, context.link_columns = texts(), texts()
                context.server_columns = texts()
                context.device_ghz, context.server_ghz = doubles(), doubles()
                servers = len(context.server_ghz)
                policy = policy_class(context)
            elif question == b"b":
                episode, seed = number(), number()
                context.device_ghz, context.server_ghz = doubles(), doubles()
                servers = len(context.server_ghz)
                begin = getattr(policy, "begin_episode", None)
                if begin:
                    begin(episode, seed)
            else:
                seen = Observation(context, servers)
                seen.slot, rows = number(), number()
                seen.devices = array.array("I", take(4 * rows))
                seen.features, seen.histories = doubles(), doubles()
                seen.tasks, seen.links, seen.servers = doubles(), doubles(), doubles()
                answer = struct.pack(f"={rows}I", *policy.decide(seen))
            answers.write(b"y" + answer)
        except Exception as error:  # reported as the run's failure
            answers.write(b"n" + f"{type(error).__name__}: {error}".encode()[:250])
            answers.flush()
            return
        answers.flush()
