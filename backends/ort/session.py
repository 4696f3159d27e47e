"""Graphs run on ONNX Runtime, in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnxruntime as ort

from graphwright.backends.ort.pack import Packed
from graphwright.ir.const import Array, from_slice
from graphwright.ir.errors import ModelError

Feed: TypeAlias = Mapping[str, Any]
ort.set_default_logger_severity(4)


def options(optimized: bool, threads: int = 0) -> ort.SessionOptions:
    """Session options: the runtime's own optimizations on or off, and no spinning threads."""
    found = ort.SessionOptions()
    level = ort.GraphOptimizationLevel
    found.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
    found.log_severity_level = 4
    found.intra_op_num_threads = threads
    found.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return found


def session(packed: Packed, *, optimized: bool = False, threads: int = 0) -> ort.InferenceSession:
    """A session for a packed graph. Raises ModelError when the runtime refuses it."""
    chosen = options(optimized, threads)
    arrays = [from_slice(type_, where).load() for _, type_, where in packed.weights]
    values = [_value(array) for array in arrays]
    if values:
        chosen.add_external_initializers([name for name, _, _ in packed.weights], values)
    try:
        return ort.InferenceSession(packed.model, chosen, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime raises a dozen classes of its own
        raise ModelError(f"ONNX Runtime refuses the model: {sentence(error)}") from None


def _value(array: Array) -> ort.OrtValue:
    try:
        return ort.OrtValue.ortvalue_from_numpy(array)
    except Exception:
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(
            array.view(np.uint8), _onnx_type(array)
        )


def _onnx_type(array: Array) -> int:
    from graphwright.backends.onnx.tensors import NUMBERS
    from graphwright.ir.types import NAMES

    return NUMBERS[NAMES[array.dtype]]


def run(running: ort.InferenceSession, feed: Feed) -> list[Any]:
    """The outputs for one set of inputs. Raises ModelError when the run fails."""
    try:
        return list(
            running.run(
                None, {k: feed[k] for k in (i.name for i in running.get_inputs()) if k in feed}
            )
        )
    except Exception as error:
        raise ModelError(f"ONNX Runtime cannot run the model: {sentence(error)}") from None


def evaluate(packed: Packed, feeds: Sequence[Feed], optimized: bool = False) -> list[list[Any]]:
    """The outputs for each of several sets of inputs."""
    running = session(packed, optimized=optimized)
    return [run(running, feed) for feed in feeds]


def sentence(error: Exception) -> str:
    """What an error says, on one line of bearable length."""
    said = " ".join(str(error).split())
    _, _, said = said.rpartition("[ONNXRuntimeError] : ")
    return said if len(said) <= 300 else f"{said[:297]}..."
