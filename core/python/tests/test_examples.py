"""The examples run, in short. What they reach in full length is in their documentation."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name, *arguments):
    command = [sys.executable, EXAMPLES / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_linear():
    printed = run("linear.py", "--rounds", "2", "--num-envs", "8", "--episodes", "2")
    assert "| linear " in printed and "shortest-queue, QoE: " in printed
