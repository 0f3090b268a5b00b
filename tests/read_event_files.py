"""Reads event files as TensorBoard does, and compares every scalar with the tables beside them.

    python tests/read_event_files.py RUN...

Each RUN is the folder of a training or distillation that was made with --tensorboard.
"""

import csv
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator, TENSORS
from tensorboard.util.tensor_util import make_ndarray

# The column of each tag: its name alone, or that of the table's.
TRAINING = {f"train/{name}": name for name in [
    "qoe", "delay_slots", "energy", "tasks", "dropped", "local_share", "loss", "exploration",
]} | {"validation/qoe": "validation_qoe", "validation/dropped": "validation_dropped"}
TIMING = {"train/seconds": "seconds", "validation/seconds": "validation_seconds"}
DISTILLATION = {
    "train/states": "states",
    "train/loss": "loss",
    "validation/loss": "validation_loss",
    "validation/agreement": "agreement",
    "validation/qoe": "validation_qoe",
    "validation/dropped": "validation_dropped",
}
DIAGNOSTICS = ["gradient_norm", "q", "td_error"]


def single(value):
    """A number in single precision."""
    return struct.unpack("f", struct.pack("f", float(value)))[0]


def scalars(folder):
    """Steps and values of each tag, as TensorBoard shows them."""
    # No sampling: all that is there.
    events = EventAccumulator(str(folder), size_guidance={TENSORS: 0, "scalars": 0})
    events.Reload()
    tags = events.Tags()
    found = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags["scalars"]}
    for tag in tags[TENSORS]:
        found[tag] = [
            (e.step, make_ndarray(e.tensor_proto).item()) for e in events.Tensors(tag)
        ]
    return found


def rows(path):
    with open(path, newline="") as table:
        return list(csv.DictReader(table))


def column(table, name, step):
    """Steps and values of a column where it has one."""
    return [(step(row), single(row[name])) for row in table if row[name] != ""]


def check(run):
    found = scalars(run / "tensorboard")
    expected = {}
    if (run / "training.csv").exists():
        step = lambda row: int(row["episode"]) + 1
        table = rows(run / "training.csv")
        for tag, name in TRAINING.items():
            expected[tag] = column(table, name, step)
        for tag, name in TIMING.items():
            expected[tag] = column(rows(run / "timing.csv"), name, step)
    else:
        step = lambda row: int(row["step"])
        table = rows(run / "distillation.csv")
        for tag, name in DISTILLATION.items():
            expected[tag] = column(table, name, step)
    for name in DIAGNOSTICS:
        if name in table[0]:
            expected[f"learner/{name}"] = column(table, name, step)
    expected = {tag: values for tag, values in expected.items() if values}

    missing = sorted(expected.keys() - found.keys())
    assert not missing, f"{run}: TensorBoard has no {missing}"
    for tag, values in expected.items():
        assert found[tag] == values, f"{run}: {tag}: {found[tag]} instead of {values}"
    # All else is of the learner itself, or counts its actions.
    shares = {tag: values for tag, values in found.items() if tag.startswith("train/action_share/")}
    others = found.keys() - expected.keys() - shares.keys()
    assert all(tag.startswith("learner/") for tag in others), sorted(others)
    if shares:
        for at, (episode, local) in enumerate(expected["train/local_share"]):
            of_step = [values[at] for values in shares.values()]
            assert all(of == episode for of, _ in of_step), of_step
            assert abs(sum(share for _, share in of_step) - 1) < 1e-5, of_step
            assert shares["train/action_share/0"][at][1] == local
    return sum(len(values) for values in found.values())


if __name__ == "__main__":
    assert sys.argv[1:], __doc__
    for run in map(Path, sys.argv[1:]):
        print(f"{run}: TensorBoard reads {check(run)} scalars, all as in the tables")
