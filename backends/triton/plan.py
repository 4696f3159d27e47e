"""In how many sweeps over the keys a body is computed, and what is found in each.

A reduction of what depends on the scores alone takes one sweep; a reduction of what depends on
such a reduction takes another, and so on. The last sweep meets the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.normalizers import ALONG_ROW, REDUCTIONS
from graphwright.ir.rows import exponent, numerator


class Ending(Enum):
    """What the last sweep does with a block of what it meets."""

    RESCALED = "exponentials less the greatest so far, divided by their sum in the end"
    DIVIDED = "numerators, divided by their sum in the end"
    PLAIN = "weights as they are"


@dataclass(frozen=True)
class Plan:
    """The reductions found in each sweep but the last, and what the last one `meets` and how.

    `blocks` are the values that differ from key to key; all others are one number a row, or less.
    """

    sweeps: tuple[tuple[Node, ...], ...]
    ending: Ending
    meets: Value
    blocks: frozenset[Value]

    @property
    def count(self) -> int:
        """How often the keys are read."""
        return len(self.sweeps) + 1


def plan(body: Graph) -> Plan:
    """The sweeps that a body needs."""
    (result,) = body.outputs
    assert result is not None
    nodes = list(body.nodes())
    blocks = _blocks(body.inputs[0], nodes)
    ending, meets = _ending(result, blocks)
    levels: dict[Value, int] = {}
    found: dict[int, list[Node]] = {}
    for node in nodes:
        below = max((levels.get(v, 0) for v in node.inputs if v is not None), default=0)
        reduces = is_reduction(node, blocks)
        if reduces:
            found.setdefault(below, []).append(node)
        levels[node.outputs[0]] = below + reduces
    sweeps = tuple(tuple(found.get(i, ())) for i in range(levels.get(meets, 0)))
    return Plan(sweeps, ending, meets, blocks)


def is_reduction(node: Node, blocks: frozenset[Value]) -> bool:
    """Whether it reads the row as a whole, rather than what is the same for all of it already."""
    return (node.op in REDUCTIONS or node.op in ALONG_ROW) and operand(node) in blocks


def operand(node: Node) -> Value:
    """The first input of a node."""
    value = node.inputs[0]
    assert value is not None
    return value


def _blocks(scores: Value, nodes: Sequence[Node]) -> frozenset[Value]:
    found = {scores}
    for node in nodes:
        if node.op not in REDUCTIONS and any(v in found for v in node.inputs):
            found.add(node.outputs[0])
    return frozenset(found)


def _ending(result: Value, blocks: frozenset[Value]) -> tuple[Ending, Value]:
    shared = numerator(result) if result in blocks else None
    if shared is None:
        return Ending.PLAIN, result
    if isinstance(shared, Node):
        return Ending.RESCALED, operand(shared)
    below = exponent(shared)
    return (Ending.DIVIDED, shared) if below is None else (Ending.RESCALED, below)
