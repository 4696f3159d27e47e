"""Where an operator of an exported program stands in the user's module."""

from __future__ import annotations

import os
import re
from typing import Any

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


def module_path(node: Any) -> str:
    """The path of the submodule that an operator was called in: `encoder.layer.0.attention`."""
    stack = node.meta.get("nn_module_stack") or {}
    path = next((str(entry[0]) for entry in reversed(list(stack.values()))), "")
    path = re.sub(r"^L\['self'\]\.?", "", path)
    return re.sub(r"@\d+", "", path)


def name_of(node: Any) -> str:
    """The name of an operator: the path of its submodule, and its own."""
    path = module_path(node)
    return f"{path}/{node.name}" if path else str(node.name)


def source_of(node: Any) -> str:
    """The name of an operator, with the line of the module's code where that is known."""
    frames = _FRAME.findall(node.meta.get("stack_trace") or "")
    if not frames:
        return name_of(node)
    file, line = frames[-1]
    return f"{name_of(node)} ({os.path.basename(file)}:{line})"
