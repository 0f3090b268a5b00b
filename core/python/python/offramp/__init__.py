"""The simulator and policy workbench for task offloading in mobile edge computing.

>>> import offramp
>>> scenario = offramp.Scenario.load("scenarios/paper.ron")          # doctest: +SKIP
>>> offramp.evaluate(scenario, ["heuristic", "random"], episodes=10) # doctest: +SKIP

A `Scenario` describes a system and its tasks. `evaluate` plays policies in it: native ones by name,
Python callables, and PyTorch modules. `Batch` plays many episodes at once as arrays;
`parallel_env`, `vector_env` and `env` are the same behind the interfaces of PettingZoo and
Gymnasium. `train`, `distill`, `live` and `reproduce` do what the commands of these names do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._errors import Error, RunError, ScenarioError
from ._offramp import __version__, engine
from .batch import Batch, Ended, Observation, Step
from .evaluation import Estimate, Results, evaluate
from .frames import Frame
from .learning import Learned, Live, Study, distill, live, read, reproduce, train
from .policies import Slot
from .scenario import Ron, Scenario

if TYPE_CHECKING:
    from .environments import env, parallel_env, vector_env
    from .onnx import export_onnx

__all__ = [
    "Batch",
    "Ended",
    "Error",
    "Estimate",
    "Frame",
    "Learned",
    "Live",
    "Observation",
    "Results",
    "Ron",
    "RunError",
    "Scenario",
    "ScenarioError",
    "Slot",
    "Step",
    "Study",
    "__version__",
    "distill",
    "engine",
    "env",
    "evaluate",
    "export_onnx",
    "live",
    "parallel_env",
    "read",
    "reproduce",
    "train",
    "vector_env",
]

# Modules that import other packages, which takes longer than all the rest.
_LATE = {
    "env": "environments",
    "export_onnx": "onnx",
    "parallel_env": "environments",
    "vector_env": "environments",
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        from importlib import import_module

        return getattr(import_module(f".{_LATE[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
