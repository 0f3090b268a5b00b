"""Exceptions, with the texts of the command: what is wrong, where, and what to do."""


class Error(Exception):
    """What offramp raises of its own."""


class ScenarioError(Error, ValueError):
    """Bad input: a scenario, a file or a folder. Nothing was done."""


class RunError(Error, RuntimeError):
    """A policy failed, or a training came to nothing."""


for _error in (Error, ScenarioError, RunError):
    _error.__module__ = "offramp"
