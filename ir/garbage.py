"""Python's garbage collector, which would look at every node of a large graph many times."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Run without the garbage collector: what is being made is kept anyway."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            _let_age()
            gc.enable()


def _let_age() -> None:
    """Count all there is as old: else the next few collections, each of young objects, meet all."""
    if not gc.get_freeze_count():  # those that somebody froze would thaw
        gc.freeze()
        gc.unfreeze()
