"""What the outputs of an exported program are called."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch


def output_names(program: Any) -> list[str]:
    """A name for each output: its key in what the module returns, or its number."""
    spec = program.call_spec.out_spec
    keys = [".".join(_step(key) for key in path) for path in _paths(spec)]
    plain = all(key.replace(".", "").isdigit() or not key for key in keys)
    if plain:
        return ["output"] if len(keys) == 1 else [f"output_{key}" for key in keys]
    counts = Counter(keys)
    return [key if counts[key] == 1 else f"{key}_{i}" for i, key in enumerate(keys)]


def _paths(spec: Any) -> list[Any]:
    leaves = list(range(spec.num_leaves))
    tree = torch.utils._pytree.tree_unflatten(leaves, spec)
    found, _ = torch.utils._pytree.tree_flatten_with_path(tree)
    by_leaf = {leaf: path for path, leaf in found}
    return [by_leaf.get(leaf, ()) for leaf in leaves]


def _step(key: Any) -> str:
    for name in ("key", "name", "idx"):
        if hasattr(key, name):
            return str(getattr(key, name))
    return str(key)
