"""The examples run, in short. What they reach in full length is in their documentation."""

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


def test_ppo(tmp_path):
    for package in ("torch", "onnx", "onnxscript"):
        pytest.importorskip(package)
    assert "ppo (ONNX)" in run("ppo.py", "--quick", "--onnx", str(tmp_path / "ppo.onnx"))


def test_stable_baselines3():
    pytest.importorskip("stable_baselines3")
    assert "| sb3" in run("sb3_ppo.py", "--quick")


def test_the_notebook(tmp_path):
    for package in ("torch", "onnx", "onnxscript", "nbconvert", "ipykernel", "matplotlib", "pandas"):
        pytest.importorskip(package)
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute"]
    command += ["--output-dir", tmp_path, EXAMPLES / "workbench.ipynb"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def test_the_benchmark_runs():
    printed = run("../benchmarks/throughput.py", "--quick")
    assert "Batch" in printed and "parallel_env" in printed
