"""What `optimize` did to a model, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from graphwright.backends.onnx.expand import LATER, expansion
from graphwright.backends.onnx.header import Model, model_of
from graphwright.backends.onnx.shape_lists import is_computed
from graphwright.driver import Log
from graphwright.ir.graph import Graph, Node
from graphwright.ir.ops import return_node
from graphwright.ir.order import reachable
from graphwright.ir.types import TensorType
from graphwright.passes.rewrite import Application
from graphwright.verification.judge import Verdict
from graphwright.verification.verify import Verification

if TYPE_CHECKING:
    from graphwright.applying import Applied
    from graphwright.tuning import Measured

SCHEMA = 1


@dataclass(frozen=True)
class RuleReport:
    """How often one rule was applied, and how far apart old and new were at worst."""

    rule: str
    contract: str
    count: int
    worst: float | None


@dataclass(frozen=True)
class LeftOut:
    """A rewrite that was not kept: where in the user's model, and why."""

    rule: str
    where: tuple[str, ...]
    why: str


@dataclass
class Report:
    """What was done to a model.

    `nodes_before` and `nodes_after` count operators; `verified` says whether the whole was run,
    how, and how far apart the two were; `drift` where they begin to differ when they do; `notes`
    are sentences that a user should know; `measured` what each lowering was worth, where tuned;
    `applied` what each technique did.
    """

    nodes_before: dict[str, int]
    nodes_after: dict[str, int]
    rewrites: list[RuleReport]
    left_out: list[LeftOut]
    verified: Verification | None = None
    drift: str = ""
    notes: list[str] = field(default_factory=list)
    bytes_before: int | None = None
    bytes_after: int | None = None
    written: str | None = None
    runs_on: str = ""
    measured: Sequence[Measured] = ()
    applied: list[Applied] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the whole model was found to be the same function, or was not asked to be."""
        return self.verified is None or self.verified.ok

    @property
    def is_approximate(self) -> bool:
        """Whether a technique made another function of it."""
        return any(each.count and not each.lossless for each in self.applied)

    def as_json(self) -> dict[str, Any]:
        """The report as plain data, in a form that only grows."""
        apart = ("rewrites", "left_out", "verified", "measured", "applied")
        found = {
            "schema": SCHEMA,
            "ok": self.ok,
            **{k: v for k, v in self.__dict__.items() if k not in apart},
            "rewrites": [asdict(r) for r in self.rewrites],
            "left_out": [asdict(r) for r in self.left_out],
            "measured": [asdict(each) for each in self.measured],
            "applied": [asdict(each) for each in self.applied],
            "verified": None if self.verified is None else asdict(self.verified),
        }
        return {k: plain(v) for k, v in found.items()}


def plain(value: Any) -> Any:
    """Nested data without what JSON lacks: tuples become lists, NaN and infinity text."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, float) and not (abs(value) < float("inf")):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def count_operators(graph: Graph) -> dict[str, int]:
    """How many nodes of each operator a file of `graph` has, in bodies too."""
    found: Counter[str] = Counter()
    _count(graph, found, model_of(graph, None))
    plain: Counter[str] = Counter()
    for op, count in found.items():
        plain[op.rpartition("::")[2].partition("@")[0]] += count
    return {op: count for op, count in sorted(plain.items()) if count}


def _count(graph: Graph, found: Counter[str], model: Model) -> None:
    nodes = graph.reachable()
    found.update([node.op for node in nodes])
    others = {op for op in found if op in ("Sizes", "Linear") or LATER.get(op, 0) > model.opset}
    for node in nodes:
        if node.op in others:
            found.subtract([node.op])
            found.update(_written_as(node, model))
        if node.bodies and node.op != "Attention":  # whose body is part of the operator
            for body in node.bodies.values():
                _count(body, found, model)


def _written_as(node: Node, model: Model) -> list[str]:
    """The operators that a node is written in, if it is not one that files have."""
    if node.op == "Sizes":
        return ["Shape"] if is_computed(node) else []
    if node.op == "Linear":
        return _linear(node)
    if model.has_functions:
        return [node.op]
    _, result = expansion(node)
    return [part.op for part in reachable([return_node([result], [""])])[:-1]]


def _linear(node: Node) -> list[str]:
    """The operators that a Linear is written in."""
    x = node.inputs[0]
    added = ["Add"] if len(node.inputs) > 2 else []
    if added and x is not None and isinstance(x.type, TensorType) and x.type.rank == 2:
        return ["Gemm"]
    return ["MatMul", *added, *(["Transpose"] if node.attrs["transposed"] else [])]


def summarize(log: Log) -> tuple[list[RuleReport], list[LeftOut]]:
    """The log by rule, and what was left out."""
    by_rule: dict[str, list[tuple[Application, Verdict | None]]] = {}
    for application, verdict in log.kept:
        by_rule.setdefault(application.rule, []).append((application, verdict))
    kept = [
        RuleReport(name, str(done[0][0].contract), len(done), _worst([v for _, v in done]))
        for name, done in by_rule.items()
    ]
    left_out = [LeftOut(a.rule, sources_of(a), v.why) for a, v in log.left_out]
    return kept, left_out


def left_out_for_all(wrong: Application, whole: Verification | None) -> LeftOut:
    """The note of a rule that was left out everywhere, since the whole went wrong with it there."""
    why = "" if whole is None else f": {whole.why}"
    return LeftOut(
        wrong.rule,
        sources_of(wrong),
        f"with it the whole is another function, so it was left out everywhere{why}",
    )


def sources_of(application: Application) -> tuple[str, ...]:
    """The nodes of the user's model that a rewrite replaces."""
    return tuple(sorted({s for node in application.matched for s in node.origin.sources}))


def _worst(verdicts: Sequence[Verdict | None]) -> float | None:
    checked = [v.distance for v in verdicts if v is not None]
    return max((0.0 if d is None else d.max_abs for d in checked), default=None)
