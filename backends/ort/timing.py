"""How long models take on ONNX Runtime, with its own optimizations on."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from graphwright.backends.ort.pack import Packed
from graphwright.backends.ort.session import Feed, run, session

WARM_UP = 3
LEAST = 5


def interleaved(
    models: Sequence[Packed], feed: Feed, runs: int, seconds: float
) -> list[list[float]]:
    """The seconds of each run of each model, which run in turn so that all meet the same machine.

    There are `runs` of them, or fewer when `seconds` are over. Raises ModelError when one fails.
    """
    sessions = [session(model, optimized=True) for model in models]
    for each in sessions:
        for _ in range(WARM_UP):
            run(each, feed)
    times: list[list[float]] = [[] for _ in sessions]
    end = perf_counter() + seconds
    for turn in range(runs):
        if turn >= LEAST and perf_counter() > end:
            break
        order = list(zip(sessions, times, strict=True))
        for each, taken in order if turn % 2 else reversed(order):
            start = perf_counter()
            run(each, feed)
            taken.append(perf_counter() - start)
    return times
