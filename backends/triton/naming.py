"""Names and lines for the values of a body: one line a value, in the order of their making."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

import numpy as np

from graphwright.backends.triton.expressions import FUNCTIONS, dtype_of, expression, number
from graphwright.backends.triton.facts import NoKernel
from graphwright.backends.triton.plan import Plan, is_reduction, operand
from graphwright.ir.const import Array
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import OPS
from graphwright.ir.types import NUMPY

RESERVED = frozenset(
    {
        *FUNCTIONS,
        *("BLOCK_S", "BLOCK_T", "S", "T", "WIDE", "base", "batch", "best", "block", "blocks"),
        *("channels", "columns", "dead", "e", "fade", "first", "float", "forward", "head"),
        *(
            "key_head",
            "last",
            "live",
            "out",
            "part",
            "place",
            "q",
            "row",
            "rows",
            "s",
            "s_sink",
            "scores",
        ),
        *("sink", "start", "tl", "top", "torch", "total", "triton", "v", "w", "y"),
    }
)
PLACES = re.compile(r"((at|bias|bounds|k|mask|q|sink|tables|v|y)_\w+|(table|[bB])\d+)$")
"""Names that the kernel has around what a body computes."""


class Naming:
    """Writes the values of one body as lines.

    A value that differs from key to key is a block, [BLOCK_S, BLOCK_T]; any other is one number for
    each row, [BLOCK_S], or a single number. `tables` are constants that differ from head to head.
    """

    def __init__(self, body: Graph, made: Plan, heads: int) -> None:
        self.scores, self.plan, self.heads = body.inputs[0], made, heads
        self.names: dict[Value, str] = {}
        self.within_names: dict[tuple[Value, str], str] = {}
        self.pairs: dict[Node, tuple[str, str]] = {}
        self.taken: set[str] = set(RESERVED)
        self.tables: list[list[float]] = []
        self.rowwise = self._rowwise(body)

    def fresh(self, hint: str) -> str:
        """A name that nothing has yet, near to the one given."""
        stem = re.sub(r"\W", "_", hint) or "x"
        if not stem[0].isalpha() or keyword.iskeyword(stem) or PLACES.match(stem):
            stem = f"x_{stem}"
        name, n = stem, 0
        while name in self.taken:
            n += 1
            name = f"{stem}{n}"
        self.taken.add(name)
        return name

    def before(self, targets: Iterable[Value]) -> list[str]:
        """Lines that make what blocks read and is no block, to stand before the loop."""
        lines: list[str] = []
        for value in self._made_of(targets):
            for given in value.producer.inputs if value.producer is not None else ():
                if given is not None and given not in self.plan.blocks:
                    self._outside(given, lines)
            if value not in self.plan.blocks:
                self._outside(value, lines)
        return lines

    def within(self, targets: Iterable[Value], scores: str = "s") -> tuple[list[str], list[str]]:
        """Lines that make the targets of a block of scores, and the names that those have.

        With other `scores` than `s` they are one column, [BLOCK_S], that of the sink.
        """
        held, lines = {self.scores: scores}, list[str]()
        column = scores != "s"
        wanted = list(targets)
        for value in self._made_of(wanted):
            node = value.producer
            if node is None or value in held or value not in self.plan.blocks:
                continue
            text = self._weighed(node, held, column) or expression(
                node, [self._read(v, held, column) for v in node.inputs if v is not None]
            )
            if (value, scores) not in self.within_names:
                hint = value.name or "x"
                hint = f"{hint}_sink" if column else hint
                self.within_names[value, scores] = self.fresh(hint)
            held[value] = self.within_names[value, scores]
            lines.append(f"{held[value]} = {text}")
        return lines, [self._read(value, held, column) for value in wanted]

    def known(self, value: Value) -> Array | None:
        """What a value holds that depends on nothing, or None."""
        if value.const is not None:
            return value.const.load()
        node = value.producer
        if node is None or value in self.plan.blocks or value in self.rowwise:
            return None
        given = [None if v is None else self.known(v) for v in node.inputs]
        meaning = OPS[node.op].numpy
        assert meaning is not None
        with np.errstate(all="ignore"):
            return np.asarray(meaning(*given, **node.attrs))

    def _outside(self, value: Value, lines: list[str]) -> str:
        """The name of a row or of a number, and the lines that make it."""
        found = self.names.get(value) or self._literal(value)
        if found is None:
            node = value.producer
            assert node is not None
            given = [self._outside(v, lines) for v in node.inputs if v is not None]
            same = node.op.startswith("Reduce")  # of what is one number a row
            text = given[0] if same else expression(node, given)
            found = self.fresh(value.name or "x")
            lines.append(f"{found} = {text}")
        self.names[value] = found
        return found

    def _literal(self, value: Value) -> str | None:
        array = self.known(value)
        if array is None:
            return None
        if array.size == 1:
            return number(array.reshape(-1)[0].astype(NUMPY[dtype_of(value)]).item())
        if array.ndim < 3 or array.size != array.shape[-3] or array.size != self.heads:
            raise NoKernel("its normalizer has a constant that differs along a batch or the row")
        self.tables.append([float(n) for n in array.reshape(-1)])
        read = f"table{len(self.tables) - 1}"
        return f"({read} != 0)" if array.dtype == bool else read

    def _read(self, value: Value, held: dict[Value, str], column: bool) -> str:
        if value in held:
            return held[value]
        name = self.names[value]
        return f"{name}[:, None]" if value in self.rowwise and not column else name

    def _weighed(self, node: Node, held: dict[Value, str], column: bool) -> str:
        """What a softmax inside the body is, whose greatest and sum are known."""
        if node not in self.pairs:
            return ""
        index = "" if column else "[:, None]"
        top, total = (f"{name}{index}" for name in self.pairs[node])
        x = self._read(operand(node), held, column)
        if node.op == "LogSoftmax":
            return f"({x} - {top}) - tl.log({total})"
        return f"tl.exp({x} - {top}) / {total}"

    def _rowwise(self, body: Graph) -> frozenset[Value]:
        found: set[Value] = set()
        for node in body.nodes():
            result = node.outputs[0]
            if result in self.plan.blocks:
                continue
            if is_reduction(node, self.plan.blocks) or any(v in found for v in node.inputs):
                found.add(result)
        return frozenset(found)

    def _made_of(self, targets: Iterable[Value]) -> list[Value]:
        """The targets and the blocks that they are made of, each after what it is made of."""
        found: dict[Value, None] = {}

        def walk(value: Value) -> None:
            if value in found:
                return
            inputs = value.producer.inputs if value.producer is not None else ()
            for given in inputs if value in self.plan.blocks else ():
                if given is not None and given in self.plan.blocks:
                    walk(given)
            found[value] = None

        for each in targets:
            walk(each)
        return list(found)
