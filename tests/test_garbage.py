"""What is made without the garbage collector, and what the collector makes of it after that."""

from __future__ import annotations

import gc

import pytest

from graphwright.ir.garbage import uncollected


def test_the_collector_rests_and_is_put_back() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), uncollected():
        raise KeyError
    assert gc.isenabled()


def test_what_was_made_is_not_young_after_that() -> None:
    with uncollected():
        made: list[list[int]] = [[i] for i in range(10_000)]
    young = {id(each) for each in gc.get_objects(0)}
    assert not any(id(each) in young for each in made)
    assert not gc.get_freeze_count()


def test_what_somebody_froze_stays_frozen() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with uncollected():
            pass
        assert gc.get_freeze_count() == frozen > 0
    finally:
        gc.unfreeze()
