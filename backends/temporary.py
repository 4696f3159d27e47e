"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from graphwright.ir.errors import ModelError


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """A new file beside `path`; whatever is there under its name at the end goes."""
    while True:
        name = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            # With the permissions that any new file has; mkstemp's are its owner's alone.
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            break
        except FileExistsError:
            continue
    try:
        yield name
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def check_place(path: Path) -> None:
    """Raise ModelError where no file can be put at `path`."""
    if not path.parent.is_dir():
        raise ModelError(f"{path}: the folder '{path.parent}' does not exist")
    if path.exists() and not path.is_file():
        raise ModelError(f"{path}: there is something that is not a file")
