"""The models of onnx's own node tests come through: read and written, and optimized.

Of onnx 1.23's 1,884 cases ONNX Runtime 1.31 runs 1,453 and 1.32 runs 1,692; onnx.reference runs 414
and 175 more, whose operators are newer or rarer; four draw random numbers, nobody runs 10, and 3
are written in an opset before 7. Where somebody runs a model, what was read and written must give
the same bits; where nobody does, or chance decides, the message itself must come back equal.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from tests.node_cases import CHANCE, NOBODY, OLD, ORT, REFERENCE, Case, cases, same

import graphwright as gw
from graphwright.backends.onnx import to_proto
from graphwright.backends.onnx.tensors import tensor_of
from graphwright.frontends.onnx import from_proto
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph

LEAST = {ORT: 1400, CHANCE: 4, NOBODY: 1, OLD: 1}
JUDGED = 1860  # by ONNX Runtime or onnx.reference: a newer runtime takes over from the latter
RELATIVE = 1e-5  # of the largest value of an output, as rewrites within tolerance promise


@pytest.fixture(autouse=True)
def _overflow() -> Iterator[None]:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx.reference warns of what it computes
        yield


def written(graph: Graph) -> onnx.ModelProto:
    proto, weights = to_proto(graph)
    proto.graph.initializer.extend(tensor_of(const, name) for name, const in weights)
    return proto


def test_each_has_a_judge() -> None:
    found = Counter(case.judge for case in cases())
    print(dict(found))
    assert not {judge: n for judge, n in LEAST.items() if found[judge] < n}, found
    assert found[ORT] + found[REFERENCE] >= JUDGED, found
    assert found[NOBODY] <= 20, found


def test_what_is_read_and_written_computes_the_same() -> None:
    wrong = {case.name: why for case in cases() if (why := round_trip(case))}
    assert not wrong, f"{len(wrong)} of {len(cases())}: {wrong}"


def round_trip(case: Case) -> str:
    """What is wrong with a case that is read and written, if anything."""
    try:
        again = written(from_proto(case.model))
    except ModelError as error:
        return "" if case.judge == OLD else f"refused: {error}"
    if case.judge in (NOBODY, CHANCE):
        return "" if again == case.model else "the message is another one"
    outputs = case.outputs(again)
    return "" if same(case.expected, outputs) else "it computes something else"


def test_what_is_optimized_computes_nearly_the_same() -> None:
    runnable = [case for case in cases() if case.judge in (ORT, REFERENCE)]
    results = {case.name: optimized(case) for case in runnable}
    print(Counter(kind for kind, _ in results.values()))
    wrong = {name: why for name, (_, why) in results.items() if why}
    assert not wrong, f"{len(wrong)} of {len(results)}: {wrong}"
    assert sum(kind == "rewritten" for kind, _ in results.values()) >= 300


def test_what_nobody_runs_is_optimized_into_something_valid() -> None:
    others = [case for case in cases() if case.judge in (NOBODY, CHANCE)]
    assert others
    for case in others:
        proto = written(gw.optimize(from_proto(case.model), verify=False).graph)
        onnx.checker.check_model(proto)


def optimized(case: Case) -> tuple[str, str]:
    """Whether optimizing changes anything, and what is wrong with the result, if anything."""
    result = gw.optimize(from_proto(case.model), verify=False)
    if not result.log.kept:
        return "left as it was", ""
    if case.judge == ORT:
        result = gw.optimize(from_proto(case.model))  # each rewrite and the whole is checked
        if not result.report.ok:
            return "rewritten", "it does not verify"
    after = case.outputs(written(result.graph))
    if len(after) != len(case.expected):
        return "rewritten", "it has other outputs"
    far = [
        d for a, b in zip(case.expected, after, strict=True) if (d := distance(a, b)) > allowed(a)
    ]
    return "rewritten", f"it is {max(far):.2g} apart" if far else ""


def allowed(expected: object) -> float:
    if not isinstance(expected, np.ndarray | np.generic):
        return 0.0
    found = np.asarray(expected)
    if found.dtype == np.float16:
        return 2.0**-9
    return RELATIVE if found.dtype.kind in "fc" else 2.0**-6 if found.dtype.kind == "V" else 0.0


def distance(a: object, b: object) -> float:
    """How far apart two outputs are, of the largest value; 0 for the same bits."""
    if same(a, b):
        return 0.0
    if not isinstance(a, np.ndarray | np.generic):
        return np.inf
    x, y = np.asarray(a), np.asarray(b)
    if x.shape != y.shape or x.dtype != y.dtype or x.dtype == object:
        return np.inf
    x, y = x.astype(np.complex128), y.astype(np.complex128)
    if not np.array_equal(np.isfinite(x), np.isfinite(y)):
        return np.inf
    finite = np.isfinite(x)
    top = float(np.abs(x[finite]).max(initial=1e-30))
    return float(np.abs(x[finite] - y[finite]).max(initial=0.0)) / top
