from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tests.models import encoder

from graphwright.backends.onnx.reference import evaluate64
from graphwright.backends.ort import pack
from graphwright.backends.ort.session import evaluate as run
from graphwright.frontends.onnx import from_proto
from graphwright.ir.contracts import Approximate, Exact
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.ir.ops import apply
from graphwright.ir.provenance import Origin
from graphwright.verification.drift import begins, drift, exposed
from graphwright.verification.verify import runnable, verify


def evaluate(graph: Graph, feeds: Sequence[Any]) -> list[list[Any]]:
    return run(pack(graph), feeds)


def changed(change: Callable[[onnx.ModelProto], None]) -> Graph:
    model = encoder(layers=2)
    change(model)
    return from_proto(model)


def weight(model: onnx.ModelProto, index: int) -> onnx.TensorProto:
    floats = [t for t in model.graph.initializer if t.data_type == 1 and len(t.dims) == 2]
    return floats[index]


def scale(tensor: onnx.TensorProto, factor: float) -> None:
    array = numpy_helper.to_array(tensor) * np.float32(factor)
    tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float32), tensor.name))


BEFORE = from_proto(encoder(layers=2))


def test_a_model_is_itself() -> None:
    found = verify(BEFORE, from_proto(encoder(layers=2)), evaluate, evaluate64, contract=Exact())
    assert found.ok
    assert (found.why, found.runs, found.skipped) == ("", 12, 0)
    assert [o.name for o in found.outputs] == ["hidden", "logits"]
    assert found.inputs == "made from seed 0, sizes as the operators want them"


def gelus(model: onnx.ModelProto) -> None:
    """Each GELU by Erf becomes another real function, near it, or the same otherwise rounded."""
    for node in model.graph.node:
        if node.op_type == "Div" and node.output[0] in _read_by(model, "Erf"):
            node.op_type = "Mul"
            name = f"{node.name}_inverse"
            model.graph.initializer.append(numpy_helper.from_array(np.float32(0.5**0.5), name))
            node.input[1] = name


def _read_by(model: onnx.ModelProto, op: str) -> set[str]:
    return {name for node in model.graph.node if node.op_type == op for name in node.input}


def test_the_same_function_rounded_otherwise_passes() -> None:
    after = changed(gelus)
    found = verify(BEFORE, after, evaluate, evaluate64)
    assert found.ok, found.why
    assert max(o.verdict.distance.relative for o in found.outputs if o.verdict.distance) < 1e-5
    assert not verify(BEFORE, after, evaluate, evaluate64, contract=Exact()).ok


def test_another_function_is_caught_and_the_inputs_named() -> None:
    found = verify(BEFORE, changed(lambda m: scale(weight(m, -1), 1.001)), evaluate, evaluate64)
    assert not found.ok
    assert found.why.startswith("'logits': it is ")
    assert "the float64 answer" in found.why
    assert "batch=" in found.why
    assert [o.verdict.ok for o in found.outputs] == [True, False]
    assert found.outputs[1].verdict.distance is not None
    assert found.outputs[1].verdict.distance.relative == pytest.approx(1e-3, rel=0.01)


def masks_half(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.shape == () and array < -1e30:
            tensor.CopyFrom(numpy_helper.from_array(np.float32(-2), tensor.name))


def test_a_mask_that_no_longer_masks_is_caught() -> None:
    found = verify(BEFORE, changed(masks_half), evaluate, evaluate64)
    assert not found.ok
    assert "padding" in found.outputs[0].inputs
    assert "no padding" not in found.outputs[0].inputs


def test_an_approximation_is_measured_by_what_was_promised() -> None:
    after = changed(lambda m: scale(weight(m, -1), 1.01))
    assert verify(BEFORE, after, evaluate, evaluate64, contract=Approximate("relative", 0.02)).ok
    found = verify(BEFORE, after, evaluate, evaluate64, contract=Approximate("relative", 0.005))
    assert "relative is 0.01, and at most 0.005 was promised" in found.why


def test_the_users_data_is_used() -> None:
    ids = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    data = {"input_ids": ids, "token_type_ids": ids % 2, "attention_mask": np.ones_like(ids)}
    found = verify(BEFORE, BEFORE, evaluate, evaluate64, data)
    assert (found.ok, found.runs, found.inputs) == (True, 1, "the data given")
    assert found.outputs[0].inputs == "samples 0 to 2 of the data"
    with pytest.raises(ModelError, match="nothing for the inputs 'attention_mask'"):
        verify(BEFORE, BEFORE, evaluate, evaluate64, {k: data[k] for k in list(data)[:2]})


def test_inputs_on_which_the_original_fails_are_left_out_and_counted() -> None:
    ids = np.array([[1, 2, 3]] * 8 + [[99, 0, 0]])
    data = {"input_ids": ids, "token_type_ids": ids % 2, "attention_mask": np.ones_like(ids)}
    found = verify(BEFORE, BEFORE, evaluate, evaluate64, data)
    assert (found.ok, found.runs, found.skipped) == (True, 1, 1)
    assert "out of data bounds" in found.skipped_why
    none = verify(BEFORE, BEFORE, evaluate, evaluate64, {k: v[8:] for k, v in data.items()})
    assert (none.ok, none.runs, none.skipped) == (False, 0, 1)
    assert none.why.startswith("nothing was compared, since the original runs on no inputs: ONNX")


def test_a_new_model_that_does_not_run_is_not_ok() -> None:
    def refuses(model: onnx.ModelProto) -> None:
        model.graph.node[-1].op_type = "NoSuchOperator"

    found = verify(BEFORE, changed(refuses), evaluate, evaluate64)
    assert not found.ok
    assert found.why.startswith("ONNX Runtime refuses the model")
    assert "(the original runs; the inputs: batch=2, seq=5, no padding)" in found.why


def test_inputs_and_outputs_stay_what_they_were() -> None:
    def without_logits(model: onnx.ModelProto) -> None:
        del model.graph.output[1]

    def other_input(model: onnx.ModelProto) -> None:
        model.graph.input[0].name = "ids"
        model.graph.node[0].input[1] = "ids"

    said = verify(BEFORE, changed(without_logits), evaluate, evaluate64).why
    assert said == "the outputs were ('hidden', 'logits') and are ('hidden',)"


def test_the_verification_says_why_there_is_no_float64_answer() -> None:
    def no_truth(graph: Graph, feeds: Sequence[Any]) -> list[list[Any]]:
        raise ModelError("the node 'x' (If) has bodies")

    found = verify(BEFORE, changed(lambda m: scale(weight(m, -1), 2)), evaluate, no_truth)
    assert not found.ok
    assert found.truth == "the node 'x' (If) has bodies"
    assert "for want of a float64 answer" in found.why


def test_drift_begins_where_the_models_begin_to_differ() -> None:
    after = changed(lambda m: scale(weight(m, 12), 1.5))
    node = next(n for n in after.nodes() if any(v and v.name == weight_name(12) for v in n.inputs))
    steps = drift(BEFORE, after, evaluate)
    assert len(steps) > 50
    first = begins(steps)
    assert first is not None
    assert first.source == node.name
    assert begins(drift(BEFORE, BEFORE, evaluate)) is None


def weight_name(index: int) -> str:
    return weight(encoder(layers=2), index).name


def test_a_node_made_of_several_is_paired_with_the_last_of_them() -> None:
    after = from_proto(encoder(layers=2))
    last = next(n for n in after.nodes() if n.name == "gelu")
    made = [n for n in after.nodes() if n.op in ("Erf", "Mul", "Add", "Div")]
    inner = [n for n in made if n.place in range(int(last.place) - 4, int(last.place) + 1)]
    x = inner[0].inputs[0]
    origin = Origin.of(inner, "fuse-gelu")
    wrong = apply("Sigmoid", x, origin=origin, place=last.place)
    after.replace(last.outputs[0], wrong.outputs[0])
    first = begins(drift(BEFORE, after, evaluate))
    assert first is not None
    assert (first.source, first.rules) == ("gelu", ("fuse-gelu",))


def test_exposing_values_leaves_the_graph_as_it_is() -> None:
    (feed, *_) = runnable(BEFORE, evaluate)
    values = [n.outputs[0] for n in BEFORE.nodes()[:9]]
    uses = [len(v.uses) for v in values]
    shown = exposed(BEFORE, values)
    assert len(evaluate(shown, [feed])[0]) == 9
    assert [v.name for v in shown.inputs] == [v.name for v in BEFORE.inputs]
    assert uses == [len(v.uses) for v in values]
