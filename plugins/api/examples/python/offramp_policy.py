"""The script's side of python.c: reads what offramp asks, and answers.

A policy is a class with `decide`; see least_waiting.py. Numbers come as `array.array`; with
NumPy, `numpy.frombuffer(observation.features).reshape(rows, -1)` takes them without copying, and
with PyTorch `torch.frombuffer`.
"""

import array
import struct
import sys


class Context:
    """What a policy is created from: parameters (RON text), checkpoint (bytes), seed,
    history_slots, feature_scales, device_ghz, server_ghz."""


class Observation:
    """A slot: slot, devices (a row each), features (rows x F), histories (K x M), knowledge
    (rows x (6 + M): size, CPU queue, uplink queue, backlog at each server, alpha, density,
    deadline), load (M)."""


def run(policy_class):
    """Answers until offramp has no more questions."""
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a policy prints is no answer

    def take(length):
        data = asked.read(length)
        if len(data) != length:
            raise SystemExit(0)
        return data

    def number():
        return struct.unpack("=Q", take(8))[0]

    def doubles():
        return array.array("d", take(8 * number()))

    policy = None
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
                context.feature_scales, context.device_ghz = doubles(), doubles()
                context.server_ghz = doubles()
                policy = policy_class(context)
            elif question == b"b":
                episode, seed = number(), number()
                begin = getattr(policy, "begin_episode", None)
                if begin:
                    begin(episode, seed)
            else:
                seen = Observation()
                seen.slot, rows = number(), number()
                seen.devices = array.array("I", take(4 * rows))
                seen.features, seen.histories = doubles(), doubles()
                seen.knowledge, seen.load = doubles(), doubles()
                answer = struct.pack(f"={rows}I", *policy.decide(seen))
            answers.write(b"y" + answer)
        except Exception as error:  # told as the run's failure
            answers.write(b"n" + f"{type(error).__name__}: {error}".encode()[:250])
            answers.flush()
            return
        answers.flush()
