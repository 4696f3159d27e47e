"""Two models side by side: how long each takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

from graphwright.ir.dims import Sym, atoms_of
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.ir.types import TensorType
from graphwright.runtime import Runtime
from graphwright.verification.data import Data, read_data
from graphwright.verification.feeds import Feed, make_feeds
from graphwright.verification.verify import runnable, signature_problem

SCHEMA = 1
SECONDS = 10.0
MOST = 1000
USUAL = 128  # of sizes that are not the batch's


@dataclass(frozen=True)
class Times:
    """The time of one run, in seconds: the median, and what half of the runs lie between."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Benchmark:
    """How long two models take on ONNX Runtime: `ratio` above 1 means that the second is faster.

    The ratio is the median of those of neighbouring runs, half of which lie between `low` and
    `high`.
    """

    before: Times
    after: Times
    ratio: float
    low: float
    high: float
    runs: int
    inputs: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The times as plain data, in a form that only grows."""
        return {"schema": SCHEMA, **asdict(self)}


def bench(
    before: Graph,
    after: Graph,
    *,
    data: Data | None = None,
    runs: int | None = None,
    isolated: bool = False,
) -> Benchmark:
    """Run both in turn on the first of `data` or on made inputs, and take the time.

    Without `runs`, as many as fit into ten seconds. Raises ModelError for models that do not run
    on the same inputs.
    """
    problem = signature_problem(before, after)
    if problem:
        raise ModelError(f"the two cannot be compared: {problem}")
    with Runtime(isolated=isolated) as runtime:
        feed = read_data(data, before)[0] if data is not None else usual_feed(before, runtime)
        seconds = SECONDS if runs is None else float("inf")
        times = runtime.interleaved([before, after], feed, runs or MOST, seconds)
    ratios = [a / b for a, b in zip(*times, strict=True)]
    first, second, ratio = (_times(each) for each in (*times, ratios))
    shapes = {name: "x".join(map(str, array.shape)) for name, array in feed.items()}
    return Benchmark(first, second, ratio.median, ratio.low, ratio.high, len(ratios), shapes)


def _times(taken: list[float]) -> Times:
    if len(taken) < 2:
        return Times(taken[0], taken[0], taken[0])
    low, _, high = quantiles(taken, n=4, method="inclusive")
    return Times(median(taken), low, high)


def usual_feed(graph: Graph, runtime: Runtime) -> Feed:
    """Ordinary inputs: one sample, of a usual size where the model leaves it open."""
    feeds = make_feeds(graph, sizes=_usual_sizes(graph))
    try:
        runtime.evaluate(graph, feeds[:1])
    except ModelError:
        feeds = runnable(graph, runtime.evaluate)
    if not feeds:
        raise ModelError("the model runs on none of the inputs made for it; give it --data")
    return feeds[0]


def _usual_sizes(graph: Graph) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in graph.inputs:
        shape = value.type.shape if isinstance(value.type, TensorType) else None
        for axis, dim in enumerate(shape or ()):
            for name in atoms_of(dim) if isinstance(dim, Sym) else ():
                found[name] = max(found.get(name, 0), USUAL if axis else 1)
    return found
