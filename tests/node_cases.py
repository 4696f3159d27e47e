"""The node tests of the onnx package: models of an operator each, and who can run which of them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.reference import ReferenceEvaluator

from graphwright.backends.ort.pack import Packed
from graphwright.backends.ort.session import run, session
from graphwright.ir.errors import ModelError

ORT, REFERENCE, NOBODY, OLD, CHANCE = "ort", "reference", "nobody", "old", "chance"


@dataclass(frozen=True)
class Case:
    """A model with one set of inputs; `judge` says who can run it, `expected` what that gave."""

    name: str
    model: onnx.ModelProto
    feed: Mapping[str, Any]
    judge: str
    expected: Sequence[Any] = ()

    def outputs(self, model: onnx.ModelProto) -> Sequence[Any]:
        """What the judge of this case computes with another model."""
        return (on_ort if self.judge == ORT else on_reference)(model, self.feed)


@functools.cache
def cases() -> tuple[Case, ...]:
    """All of them, each with its judge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # making the cases overflows, on purpose
        found = load_model_tests(kind="node")
        return tuple(_case(each) for each in found)


def _case(test: Any) -> Case:
    model, given = test.model, [_array(x) for x in test.data_sets[0][0]]
    names = [i.name for i in model.graph.input]
    feed = {n: x for n, x in zip(names, given, strict=False) if x is not None}
    if any(o.version < 7 for o in model.opset_import if not o.domain):
        return Case(test.name, model, feed, OLD)
    refusals = {on_ort: ModelError, on_reference: Exception}  # the latter raises what it likes
    for judge, outputs in ((ORT, on_ort), (REFERENCE, on_reference)):
        try:
            expected = outputs(model, feed)
        except refusals[outputs]:
            continue
        again = outputs(model, feed)
        if not same(expected, again):
            return Case(test.name, model, feed, CHANCE)
        return Case(test.name, model, feed, judge, expected)
    return Case(test.name, model, feed, NOBODY)


def _array(given: Any) -> Any:
    return numpy_helper.to_array(given) if isinstance(given, onnx.TensorProto) else given


def on_ort(model: onnx.ModelProto, feed: Mapping[str, Any]) -> Sequence[Any]:
    """The outputs on ONNX Runtime, as it was told."""
    onnxruntime.set_seed(7)
    if any(isinstance(x, np.ndarray) and x.dtype.kind == "S" for x in feed.values()):
        raise ModelError("not fed here")
    return run(session(Packed(model.SerializeToString()), threads=1), feed)


def on_reference(model: onnx.ModelProto, feed: Mapping[str, Any]) -> Sequence[Any]:
    """The outputs by onnx.reference."""
    with np.errstate(all="ignore"):
        found: Sequence[Any] = ReferenceEvaluator(model).run(None, dict(feed))
    return found


def same(a: Any, b: Any) -> bool:
    """Whether two outputs have the same bits, any NaN being as good as another."""
    if isinstance(a, list | tuple):
        return (
            isinstance(b, list | tuple)
            and len(a) == len(b)
            and all(same(x, y) for x, y in zip(a, b, strict=True))
        )
    if a is None or b is None or isinstance(a, dict):
        return bool(a == b)
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype == object:
        return bool(a.tolist() == b.tolist())
    return a.tobytes() == b.tobytes() or bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
