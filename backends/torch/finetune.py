"""A graph that learns to give what another gives: distillation, short and plain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from graphwright.backends.torch.module import taken_back, to_module
from graphwright.ir.clone import clone
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import return_node
from graphwright.ir.types import FLOATS, TensorType

HIDDEN = ("LayerNormalization", "RMSNormalization", "Attention")
"""Operators whose results are hidden states, where both graphs have one from the same place."""

Feed = Mapping[str, Any]


def finetune(
    graph: Graph,
    feeds: Iterable[Feed],
    teacher: Graph,
    steps: int,
    rate: float,
    hidden: float,
    seed: int,
    progress: Callable[[str], None],
) -> Graph:
    """A copy of `graph` whose weights were trained for so many steps to give what `teacher` gives.

    The loss is the divergence of the first outputs, taken as logits, and `hidden` times the mean
    squared distance of hidden states, relative to those of the teacher.
    Source: Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network",
    arXiv:1503.02531, section 2; Sun et al. 2019, "Patient Knowledge Distillation for BERT Model
    Compression", arXiv:1908.09355, equation 7, for hidden states.
    """
    batches = list(feeds)
    if not batches:
        raise ModelError("there is no data to learn from")
    _check_logits(graph, teacher)
    learner, master = clone(graph), clone(teacher)
    pairs = paired(learner, master)
    student = to_module(_giving(learner, [a for a, _ in pairs]), straight_through=True)
    guide = to_module(_giving(master, [b for _, b in pairs]))
    if not list(student.parameters()):
        raise ModelError("the graph has no weights that could learn")
    torch.manual_seed(seed)
    order = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(student.parameters(), lr=rate)
    picks: list[int] = []
    for step in range(steps):
        picks = picks or order.permutation(len(batches)).tolist()
        feed = batches[picks.pop()]
        with torch.no_grad():
            wanted = _run(guide, master, feed)
        found = _run(student, learner, feed)
        loss = _loss(found, wanted, len(pairs), hidden)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress(f"step {step + 1} of {steps}: loss {loss.item():.4g}")
    return taken_back(graph, student)


def _check_logits(graph: Graph, teacher: Graph) -> None:
    """Raise ModelError where the first outputs cannot be compared as logits."""
    first = [None if not g.outputs else g.outputs[0] for g in (graph, teacher)]
    if not all(v is not None and _is_float(v) and _rank(v) != 0 for v in first):
        raise ModelError("the first output has to be floats along an axis, to be taken as logits")


def _rank(value: Value) -> int | None:
    shape = value.type.shape if isinstance(value.type, TensorType) else None
    return None if shape is None else len(shape)


def paired(student: Graph, teacher: Graph) -> list[tuple[Value, Value]]:
    """Hidden states that stand in both graphs for the same place of the user's model."""
    known = {_place(node): node.outputs[0] for node in teacher.nodes() if node.op in HIDDEN}
    found = []
    for node in student.nodes():
        other = known.get(_place(node)) if node.op in HIDDEN else None
        if other is not None and other.type == node.outputs[0].type and _is_float(other):
            found.append((node.outputs[0], other))
    return found


def _place(node: Node) -> tuple[str, tuple[str, ...]]:
    return node.op, tuple(sorted(node.origin.sources))


def _is_float(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype in FLOATS


def _giving(graph: Graph, more: Sequence[Value]) -> Graph:
    """A graph, which is nobody else's, with more outputs."""
    outputs = [*graph.outputs, *more]
    graph.result = return_node(outputs, [f"output_{i}" for i in range(len(outputs))])
    return graph


def _run(module: Any, graph: Graph, feed: Feed) -> list[Any]:
    missing = [v.name for v in graph.inputs if v not in graph.defaults and v.name not in feed]
    if missing:
        raise ModelError(f"the data has no input '{missing[0]}'")
    given = [feed[v.name] for v in graph.inputs if v not in graph.defaults]
    found = module(*(x if isinstance(x, torch.Tensor) else torch.as_tensor(x) for x in given))
    return [found] if isinstance(found, torch.Tensor) else list(found)


def _loss(found: list[Any], wanted: list[Any], pairs: int, hidden: float) -> Any:
    functional = torch.nn.functional
    if found[0].shape != wanted[0].shape:
        shapes = " and ".join(str(tuple(x[0].shape)) for x in (found, wanted))
        raise ModelError(f"the first outputs of graph and teacher have other shapes: {shapes}")
    logits, target = (x[0].reshape(-1, x[0].shape[-1]).log_softmax(-1) for x in (found, wanted))
    loss = functional.kl_div(logits, target, log_target=True, reduction="batchmean")
    count = len(found) - pairs
    for a, b in zip(found[count:], wanted[count:], strict=True):
        loss = loss + hidden / pairs * (a - b).square().mean() / b.square().mean().clamp_min(1e-12)
    return loss
