"""Whether blocks of keys that are all hidden may be left out: what a body makes of the score -inf.

The statistics of the row are not known, so what depends on one is not, but where it cannot matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np

from graphwright.backends.triton.facts import Facts
from graphwright.backends.triton.plan import Ending, Plan, is_reduction, operand
from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import OPS, scalar
from graphwright.ir.rows import traits

IDENTITY = {
    "ReduceSum": 0.0,
    "ReduceMax": -inf,
    "ReduceMin": inf,
    "Softmax": -inf,
    "LogSoftmax": -inf,
}
"""What adds nothing to a reduction."""
MET = {Ending.RESCALED: -inf, Ending.DIVIDED: 0.0, Ending.PLAIN: 0.0}
"""What gives a weight of 0."""

Known = float | bool | None


def skips(facts: Facts, made: Plan) -> bool:
    """Whether a block of hidden keys changes nothing, neither a statistic nor what is given."""
    if not facts.hides:
        return False
    if facts.body is None:
        return True
    if traits(facts.body).dead == "other" and not facts.sink:
        return False
    held: dict[Value, Known] = {facts.body.inputs[0]: -inf}
    for node in facts.body.nodes():
        held[node.outputs[0]] = _hidden(node, [_known(v, held) for v in node.inputs], made)
    for node in (node for sweep in made.sweeps for node in sweep):
        if held.get(operand(node)) != IDENTITY.get(node.op, "none"):
            return False
    return held.get(made.meets) == MET[made.ending]


def _known(value: Value | None, held: dict[Value, Known]) -> Known:
    if value is None:
        return None
    return scalar(value) if value.const is not None else held.get(value)


def _hidden(node: Node, given: Sequence[Known], made: Plan) -> Known:
    """What a node gives at a hidden key, or None where that depends on the row."""
    if is_reduction(node, made.blocks):
        if node.op == "Softmax" and given[0] == -inf:
            return 0.0
        return -inf if node.op == "LogSoftmax" and given[0] == -inf else None
    if node.op == "Where" and given[0] is not None:
        return given[1] if given[0] else given[2]
    if (node.op == "Greater" and given[0] == -inf) or (node.op == "Less" and given[1] == -inf):
        return False  # nothing lies below it
    if node.op == "And" and False in given:
        return False
    meaning = OPS[node.op].numpy
    if meaning is None or None in given:
        return None
    with np.errstate(all="ignore"):
        arrays = [np.asarray(n, bool if isinstance(n, bool) else np.float32) for n in given]
        found: Known = np.asarray(meaning(*arrays, **node.attrs)).reshape(-1)[0].item()
    return found
