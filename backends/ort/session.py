"""Graphs run on ONNX Runtime, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import onnxruntime as ort

from graphwright.backends.ort.arrays import array_of, is_foreign, value_of
from graphwright.backends.ort.pack import Packed
from graphwright.ir.errors import ModelError

Feed: TypeAlias = Mapping[str, Any]
ort.set_default_logger_severity(4)


def options(optimized: bool, threads: int = 0, folder: str = "") -> ort.SessionOptions:
    """Session options: the runtime's own optimizations on or off, and no spinning threads."""
    found = ort.SessionOptions()
    level = ort.GraphOptimizationLevel
    found.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
    found.log_severity_level = 4
    found.intra_op_num_threads = threads
    found.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimized:
        # Packing would copy each weight, and let constants round otherwise than what is computed.
        found.add_session_config_entry("session.disable_prepacking", "1")
    if folder:
        key = "session.model_external_initializers_file_folder_path"
        found.add_session_config_entry(key, folder)
    return found


def session(packed: Packed, *, optimized: bool = False, threads: int = 0) -> ort.InferenceSession:
    """A session for a packed graph. Raises ModelError when the runtime refuses it."""
    chosen = options(optimized, threads, packed.folder)
    try:
        return ort.InferenceSession(packed.model, chosen, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime raises a dozen classes of its own
        raise ModelError(f"ONNX Runtime refuses the model: {sentence(error)}") from None


def run(running: ort.InferenceSession, feed: Feed) -> list[Any]:
    """The outputs for one set of inputs. Raises ModelError when the run fails."""
    inputs = [*running.get_inputs(), *running.get_overridable_initializers()]
    given = {i.name: feed[i.name] for i in inputs if feed.get(i.name) is not None}
    foreign = any(is_foreign(each.type) for each in (*inputs, *running.get_outputs()))
    try:
        if not foreign:
            return list(running.run(None, given))
        values = {name: value_of(each) for name, each in given.items()}
        return [array_of(value) for value in running.run_with_ort_values(None, values)]
    except Exception as error:
        raise ModelError(f"ONNX Runtime cannot run the model: {sentence(error)}") from None


def evaluate(packed: Packed, feeds: Sequence[Feed], optimized: bool = False) -> list[list[Any]]:
    """The outputs for each of several sets of inputs."""
    running = session(packed, optimized=optimized)
    return [run(running, feed) for feed in feeds]


def stream(packed: Packed, feeds: Iterable[Feed]) -> Iterator[list[Any]]:
    """The outputs for each set of inputs, one after the other, the optimizations on."""
    running = session(packed, optimized=True)
    for feed in feeds:
        yield run(running, feed)


def sentence(error: Exception) -> str:
    """What an error says, on one line of bearable length."""
    said = " ".join(str(error).split())
    _, _, said = said.rpartition("[ONNXRuntimeError] : ")
    return said if len(said) <= 300 else f"{said[:297]}..."
