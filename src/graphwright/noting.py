"""What a user should know of a model beside what was done to it, as sentences."""

from __future__ import annotations

from graphwright.frontends import onnx as onnx_front
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.runtime import Runtime
from graphwright.verification.data import Data
from graphwright.verification.drift import begins, drift


def not_run(before: Graph, why: str, data: Data | None) -> str:
    """Why the whole was not verified, since the original does not run here.

    Raises ModelError where that is the data's fault, or the model's.
    """
    if data is not None:
        raise ModelError(f"the model runs on none of the data: {why}")
    fault = onnx_front.first_fault(before)
    if fault:
        raise ModelError(fault)
    return (
        f"the whole was not verified, since the original does not run here ({why}); each rewrite "
        "was checked on the part that it changed"
    )


def notes_of(graph: Graph) -> list[str]:
    """What was left alone because callers may change it."""
    if not graph.defaults:
        return []
    count = len(graph.defaults)
    are = "1 weight is also an input" if count == 1 else f"{count} weights are also inputs"
    return [f"{are}, which callers may change, so it was left alone; --freeze makes it constant"]


def where_drift_begins(before: Graph, after: Graph, runtime: Runtime) -> str:
    """Where two graphs begin to differ, as a sentence; empty where that cannot be told."""
    try:
        step = begins(drift(before, after, runtime.evaluate))
    except ModelError:
        return ""
    if step is None:
        return ""
    how = f", made by {', '.join(step.rules)}" if step.rules else ""
    return f"it begins at '{step.source}' ({step.op}{how}): {step.distance.max_abs:.1e} apart"
