"""The written-out forms are many, valid, and compute what they are said to."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator
from tests.spellings import Spelling, doubtful, near_misses, spellings

OPERATORS = ("Gelu", "Softmax", "LayerNormalization", "RMSNormalization", "Swish")
SIZES = {"B": 3, "S": 5}


@functools.cache
def _all(generator: Callable[[], Iterator[Spelling]]) -> tuple[Spelling, ...]:
    return tuple(generator())


def _feeds(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    feeds = {}
    for given in model.graph.input:
        kind = onnx.helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
        dims = [d.dim_value or SIZES[d.dim_param] for d in given.type.tensor_type.shape.dim]
        feeds[given.name] = rng.normal(0, 1.5, dims).astype(kind)
    return feeds


def _run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """The first output, as the graph is written: ONNX Runtime is to fuse nothing."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    stored = model.SerializeToString()
    try:
        session = onnxruntime.InferenceSession(stored, options, ["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        return np.asarray(next(iter(ReferenceEvaluator(model).run(None, feeds))))
    return np.asarray(session.run(None, feeds)[0])


def test_there_are_many_of_every_operator() -> None:
    counts = Counter(spelling.wanted for spelling in _all(spellings))
    assert set(counts) == set(OPERATORS)
    assert counts.total() >= 400
    assert min(counts.values()) >= 50
    missed = Counter(spelling.wanted for spelling in _all(near_misses))
    assert set(missed) == set(OPERATORS)
    assert missed.total() >= 60


def test_names_are_unique() -> None:
    names = [s.name for source in (spellings, near_misses, doubtful) for s in _all(source)]
    assert len(set(names)) == len(names)


def test_forms_are_unique() -> None:
    assert len({s.model.SerializeToString() for s in _all(spellings)}) == len(_all(spellings))


@pytest.mark.parametrize("generator", [spellings, near_misses, doubtful])
def test_models_are_valid(generator: Callable[[], Iterator[Spelling]]) -> None:
    for spelling in _all(generator):
        onnx.checker.check_model(spelling.model, full_check=True)


def test_every_way_of_storing_occurs_for_every_operator() -> None:
    seen: Counter[tuple[object, ...]] = Counter()
    for spelling in _all(spellings):
        graph = spelling.model.graph
        has_nodes = any(node.op_type == "Constant" for node in graph.node)
        kind = graph.input[0].type.tensor_type.elem_type
        seen[spelling.wanted, spelling.model.opset_import[0].version] += 1
        seen[spelling.wanted, kind, has_nodes] += 1
    for wanted in OPERATORS:
        assert all(seen[wanted, opset] for opset in (11, 13, 14, 17, 18, 20, 23))
        kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
        assert all(seen[wanted, kind, nodes] for kind in kinds for nodes in (False, True))


@pytest.mark.parametrize("wanted", OPERATORS)
@pytest.mark.parametrize("generator", [spellings, doubtful])
def test_forms_compute_their_operator(
    generator: Callable[[], Iterator[Spelling]], wanted: str
) -> None:
    for spelling in _all(generator):
        if spelling.wanted != wanted or spelling.expected is None:
            continue
        feeds = _feeds(spelling.model)
        found = _run(spelling.model, feeds)
        tolerance = 1e-5 if found.dtype == np.float32 else 5e-3
        assert found.dtype == feeds["x"].dtype
        expected = spelling.expected(feeds["x"].astype(np.float64))
        np.testing.assert_allclose(found, expected, tolerance, tolerance, err_msg=spelling.name)


def test_positive_forms_say_what_they_compute() -> None:
    assert all(s.expected for source in (spellings, doubtful) for s in _all(source))


def test_near_misses_run() -> None:
    for spelling in _all(near_misses):
        found = _run(spelling.model, _feeds(spelling.model))
        assert np.isfinite(found).any(), spelling.name
