"""graphwright: a graph-rewriting toolkit for neural networks that checks every rewrite."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphwright import testing as testing
    from graphwright.api import Result, load, optimize, save, verify
    from graphwright.bisection import bisect
    from graphwright.difference import Difference, diff
    from graphwright.incrementing import Incremental, incremental, save_incremental
    from graphwright.ir.contracts import Approximate, Exact, Tolerance
    from graphwright.ir.errors import ModelError
    from graphwright.ir.graph import Graph
    from graphwright.ir.parse import parse
    from graphwright.ir.text import show
    from graphwright.outputs import with_last_token, with_outputs
    from graphwright.passes.normalizer import normalizer
    from graphwright.passes.pattern import var
    from graphwright.passes.rule import Example, need, rule
    from graphwright.passes.technique import technique
    from graphwright.torch_models import finetune, from_torch, to_torch
    from graphwright.triton_models import compile
    from graphwright.unfusing import unfuse

__version__ = "0.1.0"

__all__ = [
    "Approximate",
    "Difference",
    "Exact",
    "Example",
    "Graph",
    "Incremental",
    "ModelError",
    "Result",
    "Tolerance",
    "attentions",
    "bisect",
    "compile",
    "diff",
    "finetune",
    "from_torch",
    "incremental",
    "load",
    "need",
    "normalizer",
    "optimize",
    "parse",
    "rule",
    "save",
    "save_incremental",
    "show",
    "technique",
    "to_torch",
    "unfuse",
    "var",
    "verify",
    "with_last_token",
    "with_outputs",
]

# Imported when they are asked for, so that importing graphwright takes no time.
_HOMES = {
    "api": ("Result", "attentions", "load", "optimize", "save", "verify"),
    "bisection": ("bisect",),
    "difference": ("Difference", "diff"),
    "incrementing": ("Incremental", "incremental", "save_incremental"),
    "ir.contracts": ("Approximate", "Exact", "Tolerance"),
    "ir.errors": ("ModelError",),
    "ir.graph": ("Graph",),
    "ir.parse": ("parse",),
    "ir.text": ("show",),
    "outputs": ("with_last_token", "with_outputs"),
    "passes.pattern": ("var",),
    "passes.normalizer": ("normalizer",),
    "passes.rule": ("Example", "need", "rule"),
    "passes.technique": ("technique",),
    "torch_models": ("finetune", "from_torch", "to_torch"),
    "triton_models": ("compile",),
    "unfusing": ("unfuse",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "testing":
        return import_module("graphwright.testing")
    if name not in _HOME:
        raise AttributeError(f"module 'graphwright' has no attribute '{name}'")
    found = globals()[name] = getattr(import_module(f"graphwright.{_HOME[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
