"""Modules as exported programs, in the form that readings are of."""

from __future__ import annotations

import inspect
import logging
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim
from torch.utils._pytree import tree_leaves, tree_map_only

from graphwright.ir.errors import ModelError

Names = dict[int, dict[int, str]]
"""For each input, counted with all in one row, the names of its sizes by axis."""


def export(
    module: Any, example_inputs: Sequence[Any] | Mapping[str, Any], dynamic_shapes: Any = None
) -> tuple[Any, Names]:
    """The exported program of a module, and the names that `dynamic_shapes` gives to sizes.

    Raises ModelError where torch.export cannot follow the module.
    """
    # Each a tensor of its own: one that is given twice would be one input, and torch.export leaves
    # marks on tensors where it fails, which later exports of them would be held to.
    args, kwargs = tree_map_only(torch.Tensor, torch.Tensor.detach, _arguments(example_inputs))
    named = list(_named_sizes(_bound(module, args, kwargs), dynamic_shapes))
    leaves = tree_leaves((args, kwargs))
    names: Names = {}
    for tensor, axis, name in named:
        at = next((i for i, leaf in enumerate(leaves) if leaf is tensor), None)
        if at is not None:
            names.setdefault(at, {})[axis] = name
    try:
        with torch.no_grad(), _quiet():
            program = torch.export.export(
                module, args, kwargs, dynamic_shapes=_without_names(dynamic_shapes), strict=False
            )
    except Exception as error:  # it raises whatever the module's own code raises, and more
        raise ModelError(f"torch.export cannot follow the module: {_sentence(error)}") from error
    return program, names


def taken_apart(program: Any) -> Any:
    """A program whose operators change nothing in place, and are as whole as readings know them."""
    try:
        with torch.no_grad(), _quiet():
            return program.run_decompositions({})
    except Exception as error:
        raise ModelError(
            f"torch.export cannot bring the program to its functional form: {_sentence(error)}"
        ) from error


def opened(path: Path) -> Any:
    """The exported program in a `.pt2` file. Raises ModelError for another file, and OSError."""
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ModelError(f"{path}: no program that torch.export has saved, or damaged")
    try:
        with _quiet():
            return torch.export.load(str(path))
    except Exception as error:
        raise ModelError(
            f"{path}: no program that torch.export has saved, or damaged: {_sentence(error)}"
        ) from None


def _arguments(given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(given, Mapping):
        return (), dict(given)
    if isinstance(given, torch.Tensor):
        return (given,), {}
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ModelError(
            "example inputs are a tuple of the module's arguments, or a mapping of those by name"
        )
    return tuple(given), {}


def _bound(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    try:
        return dict(inspect.signature(module.forward).bind(*args, **kwargs).arguments)
    except TypeError as error:
        raise ModelError(f"the example inputs do not fit the module: {error}") from None


def _named_sizes(inputs: Any, shapes: Any) -> Iterator[tuple[Any, int, str]]:
    """Each size that has a name: of which tensor, along which axis."""
    if isinstance(inputs, torch.Tensor):
        for axis, size in _by_axis(shapes):
            if axis >= inputs.dim():
                raise ModelError(
                    f"dynamic_shapes speak of axis {axis} of a tensor that has {inputs.dim()} axes"
                )
            name = size if isinstance(size, str) else getattr(size, "__name__", None)
            if isinstance(name, str):
                yield inputs, axis, name
        return
    if isinstance(inputs, Mapping):
        if isinstance(shapes, Mapping):
            for key, value in inputs.items():
                if key in shapes:
                    yield from _named_sizes(value, shapes[key])
            return
        inputs = list(inputs.values())
    if isinstance(inputs, list | tuple) and isinstance(shapes, list | tuple):
        for value, each in zip(inputs, shapes, strict=False):
            yield from _named_sizes(value, each)


def _by_axis(shapes: Any) -> Iterator[tuple[int, Any]]:
    if isinstance(shapes, Mapping):
        yield from ((axis, size) for axis, size in shapes.items() if isinstance(axis, int))
    elif isinstance(shapes, list | tuple):
        yield from enumerate(shapes)


def _without_names(shapes: Any) -> Any:
    """What torch.export takes: names become sizes that may be any."""
    if isinstance(shapes, str):
        return Dim.DYNAMIC
    if isinstance(shapes, Mapping):
        return {key: _without_names(value) for key, value in shapes.items()}
    if isinstance(shapes, list | tuple):
        return type(shapes)(_without_names(value) for value in shapes)
    return shapes


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch and the module's own code warn of, and log of what they then raise."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.ERROR))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _sentence(error: Exception) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= 300 else f"{said[:297]}..."
