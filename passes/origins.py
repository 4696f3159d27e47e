"""What the queries of an attention are made of: what its layer reads."""

from __future__ import annotations

from graphwright.ir.graph import Node, Value
from graphwright.ir.rows import POINTWISE
from graphwright.passes.attention.native_parts import dims_of
from graphwright.passes.attention.steps import STEPS
from graphwright.passes.rule import need
from graphwright.passes.shapes import dtype_of
from graphwright.passes.weights import PRODUCTS, is_constant

LOOK = 256  # nodes looked at behind the queries
THROUGH = (
    POINTWISE
    | STEPS.keys()
    | {
        *("LayerNormalization", "RMSNormalization", "RotaryEmbedding", "Softmax"),
        *("ReduceMax", "ReduceMean", "ReduceSum"),
    }
)
"""What may stand between the projection of the queries and the attention."""


def layer_input(node: Node) -> Value:
    """What the projection of an attention's queries reads: [B, S, C] where they are [B, H, S, D].

    It looks through layout, rotations, norms and what works element by element. Refuses where
    there is no such projection, or more than one, or where what it reads is laid out otherwise.
    """
    q, result = node.inputs[0], node.outputs[0]
    assert q is not None
    found = _read_by_products(q)
    need(found, "its queries are no product with a weight")
    need(len(found) == 1, "its queries are made of more than one product with a weight")
    (x,) = found
    have, want = dims_of(x, "input"), dims_of(result, "result")
    flat = len(want) == 4 and len(have) == 3 and have[:2] == (want[0], want[2])
    need(flat and isinstance(have[2], int), "what its layer reads is not [B, S, C]")
    need(dtype_of(x) == dtype_of(result), "its layer reads another type than it gives")
    return x


def _read_by_products(q: Value) -> list[Value]:
    """What the nearest products with constant weights behind `q` read."""
    found: dict[Value, None] = {}
    work, seen = [q], {q}
    while work and len(seen) < LOOK:
        node = work.pop().producer
        if node is None:
            continue
        read = [v for v in node.inputs if v is not None]
        if node.op in PRODUCTS and len(read) > 1:
            if is_constant(read[1]) and not is_constant(read[0]):
                found[read[0]] = None
        elif node.op in THROUGH:
            work += [v for v in read if v not in seen]
            seen.update(read)
    return list(found)
