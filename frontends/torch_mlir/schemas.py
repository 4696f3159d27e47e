"""The arguments of ATen's operators by their schemas, which modules give all in one row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch


@cache
def schema_of(name: str) -> Any:
    """The schema of `aten.clone.default`; None for an operator that PyTorch does not have."""
    namespace, operator, overload = name.split(".", 2)
    found = getattr(getattr(torch.ops, namespace), operator, None)
    found = None if found is None else getattr(found, overload, None)
    return None if found is None else found._schema


def arguments(name: str, given: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments by place and by name, as a program of torch.export has them.

    Those by name that are what the operator takes for granted are left out.
    """
    schema = schema_of(name)
    if schema is None:
        return list(given), {}
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for about, value in zip(schema.arguments, given, strict=False):
        if not about.kwarg_only:
            args.append(value)
        elif not _is_default(value, about):
            kwargs[about.name] = value
    return args, kwargs


def _is_default(value: Any, about: Any) -> bool:
    if not about.has_default_value():
        return False
    default = about.default_value
    return type(value) is type(default) and bool(value == default)
