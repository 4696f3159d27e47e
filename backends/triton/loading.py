"""Kernels as modules of Python: written where the user's caches are, and imported from there.

Triton reads the text of a kernel from its file, and keeps what it compiled by that text.
"""

from __future__ import annotations

import os
from functools import cache
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from graphwright.backends.temporary import temporary


def cache_folder() -> Path:
    """Where what can be made again is kept."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "graphwright" / "triton"


@cache
def loaded(source: str) -> ModuleType:
    """The module of a kernel's file. Raises ImportError where Triton or PyTorch is missing."""
    name = f"attention_{sha256(source.encode()).hexdigest()[:16]}"
    path = cache_folder() / f"{name}.py"
    if not path.exists() or path.read_text(encoding="utf-8") != source:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary(path) as new:
            new.write_text(source, encoding="utf-8")
            new.replace(path)
    spec = spec_from_file_location(f"graphwright_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
