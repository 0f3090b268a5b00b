"""Builds the wheel: maturin's build backend, with the plugins beside the module.

`pip` calls these functions (PEP 517). The plugins are libraries of their own, which maturin does not
build, so they are built first and put where it takes the files of the package from.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import maturin
from maturin import get_requires_for_build_wheel  # noqa: F401

PACKAGE = Path(__file__).resolve().parent.parent
ROOT = PACKAGE.parent.parent
PLUGINS = PACKAGE / "python" / "offramp" / "plugins"


def _policies():
    """The crates in `policies/` that are plugins, and the folder that cargo builds into."""
    printed = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps"],
        cwd=ROOT, check=True, stdout=subprocess.PIPE,
    ).stdout
    metadata = json.loads(printed)
    policies = ROOT / "policies"
    crates = [
        (package["name"], target["name"])
        for package in metadata["packages"]
        if policies in Path(package["manifest_path"]).parents
        for target in package["targets"]
        if "cdylib" in target["kind"]
    ]
    return crates, Path(metadata["target_directory"])


def _build_plugins():
    crates, target = _policies()
    packages = [argument for name, _ in crates for argument in ("--package", name)]
    subprocess.run(["cargo", "build", "--release", *packages], cwd=ROOT, check=True)
    shutil.rmtree(PLUGINS, ignore_errors=True)
    PLUGINS.mkdir()
    for _, library in crates:
        for name in (f"lib{library}.so", f"lib{library}.dylib", f"{library}.dll"):
            built = target / "release" / name
            if built.exists():
                copy = PLUGINS / name
                shutil.copy2(built, copy)
                if shutil.which("strip") and not name.endswith(".dll"):
                    subprocess.run(["strip", "-x" if name.endswith("dylib") else "--strip-unneeded", copy])


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    _build_plugins()
    return maturin.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    _build_plugins()
    return maturin.build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory, config_settings=None):
    raise NotImplementedError("a source archive would lack the crates that the package is built from")
