"""The package itself: what it weighs, what it imports, what it states."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import offramp

PACKAGE = Path(offramp.__file__).parent
CONFIG = Path(__file__).resolve().parent.parent / "pyproject.toml"


def test_import_loads_nothing_but_numpy():
    script = (
        "import sys, offramp\n"
        "late = {'torch', 'pandas', 'polars', 'pyarrow', 'gymnasium', 'pettingzoo', 'tqdm', 'onnx'}\n"
        "print(sorted(late & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_everything_named_is_there():
    late = {"env", "vector_env", "parallel_env"}
    known = importlib.util.find_spec("gymnasium") and importlib.util.find_spec("pettingzoo")
    for name in offramp.__all__:
        if name not in late or known:
            assert getattr(offramp, name).__doc__ or name in ("__version__", "engine"), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        offramp.nothing


def test_native_plugins_are_shipped():
    names = {path.name for path in (PACKAGE / "plugins").iterdir()}
    for plugin in ("d3qn", "student", "dcdrl", "tree_student", "heuristic", "uniform", "onnx", "random"):
        assert any(plugin in name for name in names), plugin


def test_types_are_checked():
    pytest.importorskip("mypy")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(CONFIG), "--no-incremental", "-p", "offramp"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
