"""The table of readings, by ATen's names of operators: `aten.linear.default`.

A reading is a function of a builder and of the operator's arguments in the order and under the
names of ATen's schema: tensors as values, sizes as `Dim`, element types by our short names. It
gives a value, or a tuple of them. Layouts, devices and memory formats mean nothing here.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias, TypeVar

import graphwright.frontends.aten as package
from graphwright.frontends.aten.builder import Builder, NotRead, dtype_of
from graphwright.frontends.aten.promotion import SCALAR_TYPES
from graphwright.ir.dims import is_open
from graphwright.ir.graph import Value
from graphwright.ir.types import TensorType, Type

Reading: TypeAlias = "Callable[..., Value | Sequence[Value | None]]"
F = TypeVar("F", bound=Reading)
READINGS: dict[str, Reading] = {}


def aten(*names: str) -> Callable[[F], F]:
    """Register a reading of operators: `@aten("linear", "add.Tensor")`."""

    def register(reading: F) -> F:
        for name in names:
            READINGS[_whole(name)] = reading
        return reading

    return register


def _whole(name: str) -> str:
    """The full name of an operator, of ATen and of the overload `default` if it says no other."""
    name = name if "." in name else f"{name}.default"
    return name if name.startswith("prims.") else f"aten.{name}"


@cache
def _load() -> None:
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


def is_known(name: str) -> bool:
    """Whether there is a reading of an operator."""
    _load()
    return name in READINGS


def read(
    name: str,
    b: Builder,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    results: Sequence[Type],
) -> tuple[Value | None, ...]:
    """What the operator `name` gives, made with `b`.

    `results` are the types that it is promised to give, where a size that is open says nothing.
    Raises NotRead for an operator or a use of it that has no reading.
    """
    if not is_known(name):
        raise NotRead(f"there is no reading of {name}")
    b.results = tuple(results)
    reading = READINGS[name]
    try:
        bound = inspect.signature(reading).bind(b, *args, **kwargs)
        dtype = bound.arguments.get("dtype")
        if isinstance(dtype, int):
            bound.arguments["dtype"] = SCALAR_TYPES[dtype]
        found = reading(*bound.args, **bound.kwargs)
    except (NotRead, TypeError, ValueError, KeyError, IndexError) as error:
        raise NotRead(f"{name}: {error}") from error
    values = (found,) if isinstance(found, Value) else tuple(found)
    for value, type_ in zip(values, results, strict=False):
        if value is not None:
            _settle(name, value, type_)
    return values


def _settle(name: str, value: Value, promised: Type) -> None:
    """Give `value` the type that it was promised to have, as far as that says more."""
    if not isinstance(promised, TensorType):
        return
    have = value.type
    if not isinstance(have, TensorType) or have.shape is None or promised.shape is None:
        known = promised if promised.shape is not None or not isinstance(have, TensorType) else have
        value.type = known
        return
    fits = dtype_of(value) == promised.dtype and len(have.shape) == len(promised.shape)
    pairs = list(zip(have.shape, promised.shape, strict=False))
    clash = any(isinstance(h, int) and isinstance(p, int) and h != p for h, p in pairs)
    if not fits or clash:
        raise NotRead(f"{name} was read as {have}, where {promised} was promised")
    if value.producer is not None:
        dims = tuple([h if is_open(p) or isinstance(h, int) else p for h, p in pairs])
        value.type = TensorType(have.dtype, dims)
