"""A part of a graph cut out as a graph of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import return_node

Reads = Mapping[Node, tuple[Value | None, ...]]


def cut(
    outputs: Sequence[Value],
    inputs: Iterable[Value],
    *,
    name: str = "cut",
    reads: Reads | None = None,
) -> Graph:
    """A copy of what `outputs` are made of, down to `inputs`, which become the inputs of the copy.

    `reads` says what nodes read at another time than now. Bodies are shared with the original.
    Raises ValueError when something is read that is made neither of `inputs` nor of constants.
    """
    copies: dict[Value, Value] = {}
    given = list(dict.fromkeys(inputs))
    for i, value in enumerate(given):
        copies[value] = Value(value.type, name=f"in{i}", contents=value.contents)
    reads = reads or {}
    for output in outputs:
        _copy(output, copies, reads)
    names = [f"out{i}" for i in range(len(outputs))]
    return Graph(
        name, tuple(copies[v] for v in given), return_node([copies[v] for v in outputs], names)
    )


def _copy(root: Value, copies: dict[Value, Value], reads: Reads) -> None:
    stack = [root]
    while stack:
        value = stack[-1]
        if value in copies:
            stack.pop()
            continue
        if value.const is not None:
            copies[value] = Value(value.type, const=value.const, contents=value.contents)
            stack.pop()
            continue
        node = value.producer
        if node is None:
            raise ValueError(f"the part cut out reads '{value.name}', which is outside of it")
        operands = reads.get(node, node.operands())
        missing = [v for v in operands if v is not None and v not in copies]
        if missing:
            stack += missing
            continue
        _copy_node(node, operands, copies)
        stack.pop()


def _copy_node(node: Node, operands: Sequence[Value | None], copies: dict[Value, Value]) -> None:
    read = [None if v is None else copies[v] for v in operands]
    count = len(node.inputs)
    # Names stay: an output without one was left out, and one that is merely unread was not.
    outputs = tuple(Value(v.type, name=v.name, contents=v.contents) for v in node.outputs)
    Node(
        node.op,
        tuple(read[:count]),
        node.attrs,
        outputs,
        tuple(v for v in read[count:] if v is not None),
        node.bodies,
        node.origin,
        node.name,
        node.place,
    )
    copies.update(zip(node.outputs, outputs, strict=True))
