"""Networks of PyTorch as ONNX files, which the `onnx` plugin runs without Python."""

from __future__ import annotations

import inspect
import logging
import warnings
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from .scenario import Scenario


def export_onnx(module: Any, scenario: Scenario, path: str | PathLike[str]) -> Path:
    """Writes a `torch.nn.Module` that returns values as an ONNX file for a scenario.

    module: its `forward` takes the features, rows × F, and the history, rows × K × M (or the
        features alone), unscaled float32, and returns the value of every action, rows × (1 + M). Scale
        inside the module: `scenario.feature_scales` and `scenario.history_scale`.
    path: the file; a scenario names it as (plugin: "onnx", checkpoint: "network.onnx"), and
        `offramp.evaluate` by its path.

    The file states the observation it was made for, and is refused where it does not fit. Needs
    torch, onnx and onnxscript.
    """
    import onnx
    import torch

    rows, features = 4, len(scenario.features)
    inputs = [torch.rand(rows, features)]
    names = ["features"]
    if len(inspect.signature(module.forward).parameters) > 1:
        inputs.append(torch.rand(rows, scenario.history_slots, scenario.servers))
        names.append("history")
    training = module.training
    module.eval()
    batch = torch.export.Dim("N")
    # What the exporter says of packages that it does not need here, and of the name of the rows.
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            torch.onnx.export(
                module,
                tuple(inputs),
                fspath(path),
                input_names=names,
                output_names=["values"],
                dynamic_shapes=tuple({0: batch} for _ in inputs),
                external_data=False,
                verbose=False,
            )
    finally:
        log.setLevel(level)
        module.train(training)
    model = onnx.load(fspath(path))
    onnx.helper.set_model_props(
        model,
        {
            "observation": scenario.observation,
            "features": ",".join(scenario.features),
            "servers": str(scenario.servers),
            "history_slots": str(scenario.history_slots),
        },
    )
    onnx.save(model, fspath(path))
    return Path(path)
