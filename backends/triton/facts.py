"""What a kernel is made from: all that is known of an attention before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

from graphwright.ir.dims import Dim
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.normalizers import BODY
from graphwright.ir.rows import faults
from graphwright.ir.types import TensorType

WIDEST = 256
TYPES = ("f32", "f16", "bf16")


class NoKernel(Exception):
    """Why an attention is left to PyTorch, as a sentence."""


@dataclass(frozen=True)
class Facts:
    """An attention whose queries are [*B, H, S, D] with `batch` axes B.

    `heads` is H, `shared` how many heads of keys there are, `width` D and `value_width` E. `bias`,
    `mask` and `sink` say which of those it takes. `causal`: a query sees no key behind its own, the
    last query standing at the last key; with a `window` above 0 it sees that many keys, and no
    mask is needed for either. `body` makes the weights, where that is not softmax.
    """

    heads: int
    shared: int
    width: int
    value_width: int
    batch: int = 1
    bias: bool = False
    mask: bool = False
    sink: bool = False
    scale: float = 1.0
    cap: float = 0.0
    filler: float = -inf
    guard: bool = False
    causal: bool = False
    window: int = 0
    body: Graph | None = None

    @property
    def hides(self) -> bool:
        """Whether a key that is hidden has the score -inf, by whatever hides it."""
        return self.filler == -inf

    @property
    def operands(self) -> tuple[str, ...]:
        """What the attention takes beside q, k and v."""
        named = {"bias": self.bias, "mask": self.mask, "sink": self.sink}
        return tuple(name for name, taken in named.items() if taken)


def facts_of(node: Node) -> Facts:
    """What is known of an Attention. Raises NoKernel."""
    q, k, v, bias, mask, sink = (*node.inputs, None, None, None)[:6]
    assert q is not None
    assert k is not None
    assert v is not None
    dtypes = {_type(x).dtype for x in (q, k, v)}
    need(len(dtypes) == 1, "queries, keys and values have different element types")
    dtype = dtypes.pop()
    need(dtype in TYPES, f"kernels compute in float32, float16 and bfloat16, and this in {dtype}")
    heads, shared = (_number(_shape(x)[-3], "heads") for x in (q, k))
    width, value_width = (_number(_shape(x)[-1], "widths") for x in (q, v))
    widest = max(width, value_width)
    need(widest <= WIDEST, f"heads are {widest} wide, and kernels hold at most {WIDEST} channels")
    attrs: dict[str, Any] = dict(node.attrs)
    body = node.bodies.get(BODY)
    for fault in () if body is None else faults(body):
        raise NoKernel(f"its normalizer is no function of a row that can be swept: {fault}")
    return Facts(
        heads,
        shared,
        width,
        value_width,
        len(_shape(q)) - 3,
        bias is not None,
        mask is not None,
        sink is not None,
        float(attrs.get("scale", 1.0)),
        float(attrs.get("cap", 0.0)),
        float(attrs.get("filler", -inf)),
        bool(attrs.get("guard", 0)),
        body=body,
    )


def need(holds: bool, why: str) -> None:
    """Raise NoKernel unless it holds."""
    if not holds:
        raise NoKernel(why)


def _type(value: Value) -> TensorType:
    if not isinstance(value.type, TensorType):
        raise NoKernel("the types of its inputs are not known")
    return value.type


def _shape(value: Value) -> tuple[Dim, ...]:
    shape = _type(value).shape
    if shape is None:
        raise NoKernel("the ranks of its inputs are not known")
    return shape


def _number(dim: Dim, what: str) -> int:
    if not isinstance(dim, int):
        raise NoKernel(f"its {what} are known only when it runs")
    return dim
