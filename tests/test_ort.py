"""ONNX Runtime as it is run here: any input, weights left where they are, crashes survived."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.onnx_building import F32, info, model, node, unranked, weight
from tests.test_onnx_external import outside

from graphwright.backends.ort import Packed, Worker, pack, probe
from graphwright.backends.ort.session import evaluate
from graphwright.frontends.onnx import from_proto, load
from graphwright.ir.errors import ModelError

X = np.array([[-1.0, 2.0, 3.0]], np.float32)
IN, OUT = info("x", "B", 3), info("y", "B", 3)
ADD = model([node("Add", ["x", "w"], ["y"])], [IN], [OUT], [weight("w", [1, 2, 3])])

FOREIGN = {
    TensorProto.BFLOAT16: ml_dtypes.bfloat16,
    TensorProto.FLOAT8E4M3FN: ml_dtypes.float8_e4m3fn,
    TensorProto.FLOAT8E5M2FNUZ: ml_dtypes.float8_e5m2fnuz,
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_numbers_that_numpy_lacks_are_given_and_taken(kind: int) -> None:
    made = model(
        [node("Identity", ["x"], ["y"])],
        [info("x", "N", dtype=kind)],
        [info("y", "N", dtype=kind)],
        opset=21,
        ir=10,
    )
    given = np.array([0.5, 1, -2]).astype(FOREIGN[kind])
    ((found,),) = evaluate(pack(from_proto(made)), [{"x": given}])
    assert found.dtype == given.dtype
    assert np.array_equal(found, given)


@pytest.mark.parametrize(
    ("kind", "dtype"), [(TensorProto.INT4, ml_dtypes.int4), (TensorProto.UINT4, ml_dtypes.uint4)]
)
def test_numbers_that_are_packed_are_given(kind: int, dtype: type) -> None:
    made = model(
        [node("DequantizeLinear", ["x", "s"], ["y"])],
        [info("x", 3, dtype=kind)],
        [info("y", 3)],
        [weight("s", 2.0)],
        opset=21,
        ir=10,
    )
    ((found,),) = evaluate(pack(from_proto(made)), [{"x": np.array([1, 7, 2]).astype(dtype)}])
    assert found.tolist() == [2, 14, 4]


def test_text_and_sequences_are_given_and_taken() -> None:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(F32, None))
    nodes = [
        node("Identity", ["t"], ["u"]),
        node("SequenceInsert", ["s", "x"], ["r"]),
    ]
    made = model(
        nodes,
        [unranked("t", TensorProto.STRING), helper.make_value_info("s", kind), IN],
        [unranked("u", TensorProto.STRING), helper.make_value_info("r", kind)],
    )
    text = np.array(["a", "ß"], object)
    ((found, sequence),) = evaluate(pack(from_proto(made)), [{"t": text, "s": [X], "x": X + 1}])
    assert found.tolist() == text.tolist()
    assert [x.tolist() for x in sequence] == [X.tolist(), (X + 1).tolist()]


def test_inputs_with_a_default_may_be_left_out() -> None:
    made = model(
        [node("Add", ["x", "w"], ["y"])], [IN, info("w", 3)], [OUT], [weight("w", [1, 2, 3])]
    )
    packed = pack(from_proto(made))
    first, second = evaluate(packed, [{"x": X}, {"x": X, "w": np.zeros(3, np.float32), "q": X}])
    assert first[0].tolist() == [[0, 4, 6]]
    assert second[0].tolist() == X.tolist()


def test_what_is_missing_is_said() -> None:
    with pytest.raises(ModelError, match="cannot run the model"):
        evaluate(pack(from_proto(ADD)), [{}])


def test_old_models_of_large_weights_are_run() -> None:
    many = weight("many", np.ones((2000, 3)))
    nodes = [
        node("Constant", [], ["many"], value=many),
        node("ReduceMean", ["many"], ["r"], axes=[0]),
        node("Add", ["x", "r"], ["y"]),
    ]
    made = model(nodes, [IN], [OUT], opset=8, ir=3)
    ((found,),) = evaluate(pack(from_proto(made)), [{"x": X}])
    assert found.tolist() == (X + 1).tolist()


MAPPED = """
import sys
import numpy as np
from graphwright.backends.ort.pack import pack
from graphwright.backends.ort.session import run, session
from graphwright.frontends.onnx import load

def anonymous():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    return int(lines["RssAnon"].split()[0]) // 1024

graph = load(sys.argv[1])
before = anonymous()
running = session(pack(graph))
run(running, {"x": np.ones((1, 256), np.float32)})
print(anonymous() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells memory by its kind")
@pytest.mark.parametrize("offset", [0, 4096, 13])
def test_weights_in_files_are_mapped_and_not_copied(offset: int, tmp_path: Path) -> None:
    size = 256 * (1 << 18) * 4  # 256 MiB of nothing
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(offset + size)
    there = outside("w", "holes", offset, size, 256, 1 << 18)
    made = model(
        [node("MatMul", ["x", "w"], ["t"]), node("ReduceMax", ["t"], ["y"])],
        [info("x", 1, 256)],
        [info("y", 1, 1)],
        [there],
    )
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    done = subprocess.run(
        [sys.executable, "-c", MAPPED, str(tmp_path / "m.onnx")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 64, "MiB more than before"


def test_weights_within_the_models_own_file_are_mapped(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    array = rng.normal(size=(2000, 3)).astype(np.float32)
    made = model(
        [node("ReduceSum", ["w"], ["r"], keepdims=0), node("Add", ["x", "r"], ["y"])],
        [IN],
        [OUT],
        [weight("w", array)],
    )
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    packed = pack(load(path))
    assert len(packed.model) < 1000
    ((found,),) = evaluate(packed, [{"x": X}])
    assert np.allclose(found, X + array.sum(), rtol=1e-4)


class Abort:
    """What ends the process that unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return os.abort, ()


def test_a_crash_of_the_runtime_is_a_sentence_and_the_next_model_is_run() -> None:
    with Worker() as worker:
        with pytest.raises(ModelError, match=r"ONNX Runtime crashed on the model \(SIGABRT\)"):
            worker.evaluate(pack(from_proto(ADD)), [{"x": Abort()}])
        ((found,),) = worker.evaluate(pack(from_proto(ADD)), [{"x": X}])
    assert found.tolist() == [[0, 4, 6]]


def test_a_child_that_was_killed_is_a_sentence() -> None:
    with Worker() as worker:
        worker.evaluate(pack(from_proto(ADD)), [{"x": X}])
        assert worker.child is not None
        worker.child.kill()
        worker.child.wait()
        with pytest.raises(ModelError, match="SIGKILL"):
            worker.evaluate(pack(from_proto(ADD)), [{"x": np.ones((100_000, 3), np.float32)}])


def test_what_the_runtime_refuses_is_a_sentence() -> None:
    with Worker() as worker:
        with pytest.raises(ModelError, match="ONNX Runtime refuses the model") as error:
            worker.evaluate(Packed(b"no model"), [{}])
        assert "\n" not in str(error.value)
        with pytest.raises(ModelError, match="Nope"):
            worker.evaluate(
                pack(from_proto(model([node("Nope", ["x"], ["y"])], [IN], [OUT]))), [{"x": X}]
            )


def test_what_lies_in_the_folder_it_is_run_from_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("onnx.py", "numpy.py", "pickle.py"):
        (tmp_path / name).write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    with Worker() as worker:
        ((found,),) = worker.evaluate(pack(from_proto(ADD)), [{"x": X}])
    assert found.tolist() == [[0, 4, 6]]


def test_what_the_runtime_supports_is_learnt_by_trying_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "KNOWN", {})
    with Worker() as worker:
        for op in ("Gelu", "FastGelu", "QuickGelu"):
            assert probe.supports(op, "com.microsoft", 13, evaluate=worker.evaluate), op
        assert probe.supports("LayerNormalization", opset=11, evaluate=worker.evaluate)
        assert probe.supports("Gelu", opset=20, evaluate=worker.evaluate)
        assert not probe.supports("Gelu", opset=17, evaluate=worker.evaluate)
        assert not probe.supports("Gelu", "com.nobody", 17, evaluate=worker.evaluate)
        assert not probe.supports("Erf", opset=17, dtype="f8e4m3fn", evaluate=worker.evaluate)
    assert len(probe.KNOWN) == 8
    assert probe.supports("Gelu", opset=20), "known by now, so that no child is started"


def test_the_answer_is_that_of_the_installed_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "KNOWN", {})
    monkeypatch.setattr(probe, "runtime_version", lambda: "another")
    key = ("another", "Relu", "", "13", "f32")
    probe.KNOWN[key] = False
    assert not probe.supports("Relu", opset=13)
