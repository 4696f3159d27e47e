"""Runs variants of one model in turn and prints what each took, as one line of JSON.

Started by attention_latency.py with a JSON request, in the peers' interpreter where there is one.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from attention_models import Array, Feed, Size, feed

PLAIN, AGAIN, OPENVINO, BIG = "plain", "plain again", "openvino", "big product"
THREADS = 2
WARM_UP = 2
LEAST, MOST = 5, 300  # rounds
ALLOWED = 1e-3  # a variant may be so far from plain, of plain's largest value
PRODUCT = (512, 1024, 4096)  # rows, depth and columns of the big product

Run = Callable[[Feed], list[Array]]


def session(path: str, *, profile: str = "") -> onnxruntime.InferenceSession:
    """A session at the highest level, or with no optimization at all where it is profiled."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_DISABLE_ALL if profile else level.ORT_ENABLE_ALL
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def ort_run(path: str) -> Run:
    made = session(path)
    names = {each.name for each in made.get_inputs()}
    return lambda given: made.run(None, {k: v for k, v in given.items() if k in names})


def openvino_run(path: str) -> Run:
    """OpenVINO in the same arithmetic: it would use bfloat16 where the processor has it."""
    import openvino

    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    settings = {**hints, "INFERENCE_NUM_THREADS": THREADS}
    made = openvino.Core().compile_model(path, "CPU", settings)
    names = {name for each in made.inputs for name in each.names}
    return lambda given: list(made({k: v for k, v in given.items() if k in names}).values())


def product_run() -> Run:
    """A big matrix product alone: the rate that it reaches is the limit here."""
    from onnx import TensorProto, helper, numpy_helper

    rows, depth, columns = PRODUCT
    weight = np.ones((depth, columns), np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (rows, depth))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (rows, columns))],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model.SerializeToString())
        file.flush()
        made = session(file.name)
    x = np.ones((rows, depth), np.float32)
    return lambda _: made.run(None, {"x": x})


def flops(path: str, given: Feed) -> float:
    """Of all products and convolutions of the model as it is written, by the shapes of one run."""
    with tempfile.TemporaryDirectory() as folder:
        made = session(path, profile=str(Path(folder) / "run"))
        made.run(None, given)
        events = json.loads(Path(made.end_profiling()).read_text())
    return sum(_flops(each["args"]) for each in events if "output_type_shape" in each["args"])


def _flops(event: dict[str, Any]) -> float:
    kind = event["op_name"]
    if kind not in ("MatMul", "Gemm", "Conv"):
        return 0.0
    inputs = [next(iter(each.values())) for each in event["input_type_shape"]]
    made = next(iter(event["output_type_shape"][0].values()))
    depth = np.prod(inputs[1][1:]) if kind == "Conv" else inputs[0][-1]
    return float(2 * np.prod(made) * depth)


def distance(ours: Sequence[Array], plain: Sequence[Array], mask: Array | None) -> float:
    """The largest difference where no token is hidden, in terms of plain's largest value."""
    worst = 0.0
    for a, b in zip(ours, plain, strict=True):
        if a.shape != b.shape or np.isnan(a).any():
            return float("inf")
        if mask is not None and a.shape[:2] == mask.shape:
            a, b = a[mask == 1], b[mask == 1]
        top = float(np.abs(b.astype(np.float64)).max()) or 1.0
        worst = max(worst, float(np.abs(a.astype(np.float64) - b).max()) / top)
    return worst


@dataclass
class Variant:
    """One way to run the model; `fault` says why it is not to be timed."""

    name: str
    run: Run | None = None
    fault: str = ""

    @classmethod
    def opened(cls, name: str, make: Callable[[], Run]) -> Variant:
        try:
            return cls(name, make())
        except Exception as error:  # whatever a tool's result does to a runtime
            return cls(name, fault=f"does not load: {_short(error)}")

    def check(self, feeds: Iterable[tuple[Feed, list[Array]]]) -> tuple[str, float]:
        """Why it is not to be timed on these, or nothing, and how far it is from plain."""
        far = 0.0
        if self.run is None:
            return self.fault, far
        try:
            for given, plain in feeds:
                far = max(far, distance(self.run(given), plain, given.get("attention_mask")))
        except Exception as error:
            return f"fails: {_short(error)}", far
        return ("" if far <= ALLOWED else f"wrong: {far:.0e} away"), far


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160].replace("|", "/")


def timed(variants: dict[str, Run], given: Feed, seconds: float) -> dict[str, dict[str, Any]]:
    """The wall and processor time of each run of each variant, in turn, in an order drawn anew."""
    taken: dict[str, dict[str, Any]] = {name: {"wall": [], "cpu": []} for name in variants}
    order = list(variants)
    chance = random.Random(0)
    for run in variants.values():
        for _ in range(WARM_UP):
            run(given)
    end = time.perf_counter() + seconds
    for turn in range(MOST):
        if turn >= LEAST and time.perf_counter() > end:
            break
        chance.shuffle(order)
        for name in order:
            cpu, wall = time.process_time(), time.perf_counter()
            variants[name](given)
            taken[name]["wall"].append(time.perf_counter() - wall)
            taken[name]["cpu"].append(time.process_time() - cpu)
    return taken


def cell(path: str, size: Size, variants: list[Variant], seconds: float) -> dict[str, Any]:
    """One size: who is right, how long those take, and what the products alone would."""
    plain = variants[0]
    assert plain.run is not None
    inputs = session_inputs(path)
    feeds = [feed(inputs, size, padded=padded) for padded in (False, True)]
    known = [(given, plain.run(given)) for given in feeds]
    found = {each.name: each.check(known) for each in variants}
    right = {v.name: v.run for v in variants if v.run is not None and not found[v.name][0]}
    before = os.getloadavg()
    times = timed({**right, BIG: product_run()}, feeds[0], seconds)
    return {
        "size": size,
        "flops": flops(path, feeds[0]),
        "product": {"flops": 2.0 * float(np.prod(PRODUCT)), **times.pop(BIG)},
        "faults": {name: fault for name, (fault, _) in found.items() if fault},
        "distance": {name: far for name, (_, far) in found.items()},
        "times": times,
        "load": [before, os.getloadavg()],
    }


def session_inputs(path: str) -> list[Any]:
    """What a model takes."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return list(onnxruntime.InferenceSession(path, options).get_inputs())


def main() -> None:
    """Answer one request: `paths` by variant, `sizes`, `seconds` for each, `openvino` or not."""
    request = json.loads(sys.argv[1])
    paths: dict[str, str] = request["paths"]
    plain = paths[PLAIN]
    variants = [
        Variant.opened(name, lambda path=path: ort_run(path))  # type: ignore[misc]
        for name, path in {PLAIN: plain, **paths, AGAIN: plain}.items()
    ]  # plain first and last: where a session's weights lie depends on when it was opened
    if request["openvino"]:
        variants.append(Variant.opened(OPENVINO, lambda: openvino_run(plain)))
    for size in request["sizes"]:
        print(json.dumps(cell(plain, tuple(size), variants, request["seconds"])), flush=True)


if __name__ == "__main__":
    main()
