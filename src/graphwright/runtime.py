"""What computes for the driver: ONNX Runtime, in a child process or in this one, and float64."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from graphwright.ir.const import Array
from graphwright.ir.cut import cut
from graphwright.ir.graph import Graph, Node

if TYPE_CHECKING:
    from graphwright.backends.mlir import Mlir
    from graphwright.backends.ort import Packed, Worker

Feed = Mapping[str, Any]


def may_crash(graph: Graph, feeds: Sequence[Feed]) -> bool:
    """Whether ONNX Runtime may end the process: its Einsum divides by the sizes, also by 0."""
    return any(getattr(each, "size", 1) == 0 for feed in feeds for each in feed.values()) and any(
        node.op.startswith("Einsum") for node in graph.everything()
    )


class Runtime:
    """Runs graphs; `isolated` keeps ONNX Runtime in a child process, which bad models may crash."""

    def __init__(self, *, isolated: bool = True) -> None:
        self.isolated = isolated
        self._worker: Worker | None = None
        self._mlir: Mlir | None = None

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in (self._worker, self._mlir):
            if child is not None:
                child.stop()

    def evaluate(self, graph: Graph, feeds: Sequence[Feed]) -> list[list[Array]]:
        """The outputs of `graph` for each set of inputs, the runtime's own optimizations off.

        Raises ModelError when the runtime refuses the graph, fails or crashes.
        """
        from graphwright.backends.ort import pack

        if may_crash(graph, feeds):
            return self._child().evaluate(pack(graph), feeds)
        return self._evaluate(pack(graph), feeds)

    def _evaluate(self, packed: Packed, feeds: Sequence[Feed]) -> list[list[Array]]:
        if not self.isolated:
            from graphwright.backends.ort.session import evaluate

            return evaluate(packed, feeds)
        return self._child().evaluate(packed, feeds)

    def stream(self, graph: Graph, feeds: Iterable[Feed]) -> Iterator[list[Array]]:
        """The outputs for each set of inputs, one after the other, the optimizations on.

        Nothing is kept of a set that was run. Raises ModelError as `evaluate`.
        """
        from graphwright.backends.ort import pack

        if not self.isolated:
            from graphwright.backends.ort.session import stream

            return stream(pack(graph), feeds)
        return self._child().stream(pack(graph), feeds)

    def interleaved(
        self, graphs: Sequence[Graph], feed: Feed, runs: int, seconds: float
    ) -> list[list[float]]:
        """The seconds of each run of each graph, run in turn, the runtime's optimizations on.

        There are `runs` of them, or fewer when `seconds` are over. Raises ModelError as `evaluate`.
        """
        from graphwright.backends.ort import pack

        packed = [pack(graph) for graph in graphs]
        if not self.isolated:
            from graphwright.backends.ort.timing import interleaved

            return interleaved(packed, feed, runs, seconds)
        return self._child().interleaved(packed, feed, runs, seconds)

    def _child(self) -> Worker:
        from graphwright.backends.ort import Worker

        if self._worker is None:
            self._worker = Worker()
        return self._worker

    def evaluate64(self, graph: Graph, feeds: Sequence[Feed]) -> list[list[Array]]:
        """The outputs of `graph` computed in float64. Raises ModelError where that cannot be."""
        from graphwright.backends.onnx.reference import evaluate64

        return evaluate64(graph, feeds)

    def mlir(self) -> Mlir:
        """torch-mlir, which is always in a child process, since it ends that where it fails."""
        from graphwright.backends.mlir import Mlir

        if self._mlir is None:
            self._mlir = Mlir()
        return self._mlir

    def supports(self, op: str, dtype: str, opset: int) -> bool:
        """Whether the ONNX Runtime that is installed runs an operator in `opset`; it is tried."""
        from graphwright.backends.ort.probe import supports

        domain, _, name = op.rpartition("::")
        return supports(name, domain, opset, dtype, evaluate=self._evaluate)

    def compute(self, node: Node, model: Graph | None = None) -> Array:
        """What a node of `model` gives whose inputs are all constants. Raises ModelError.

        It is run in the opsets of the model, since operators meant other things in other ones.
        """
        part = cut([node.outputs[0]], [])
        if model is not None:
            part.functions = model.functions
            part.header = model.header and replace(model.header, source=None)
        return self.evaluate(part, [{}])[0][0]
