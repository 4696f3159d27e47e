"""What operators that are attentions already compute, for the rows of a survey."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite
from typing import Any

from graphwright.ir.dims import Dim
from graphwright.ir.graph import Node, Value
from graphwright.ir.quotients import exact_quotient
from graphwright.ir.types import TensorType
from graphwright.passes.hiding import most_negative

ADDED = "what the scores give with the mask added"
Fields = dict[str, Any]


def native_fields(node: Node) -> Fields:
    """The fields of a row for an operator that is an attention; what is not known is left out."""
    op = node.op.partition("@")[0]
    reader = READERS.get("Attention@" if "@" in node.op else op)
    found = {} if reader is None else reader(node)
    return {name: value for name, value in found.items() if value is not None}


def mask_of(node: Node) -> Value | None:
    """The mask, or the bias that may be one, of the IR's or ONNX's Attention."""
    if node.op == "Attention":
        return _input(node, 4) or _input(node, 3)
    return _input(node, 3) if "@" in node.op else None


def _own(node: Node) -> Fields:
    """Of the IR's Attention."""
    q, k, v = (_shape(node, i) for i in range(3))
    hides, bias = _is_given(node, 4), _input(node, 3)
    filler = node.attrs.get("filler", -inf) if hides else bias and most_negative(bias)
    return {
        **_heads(_at(q, -3), _at(k, -3), _at(q, -1), _at(v, -1)),
        "scale": _number(node, "scale", None),
        "mask": _mask(boolean=hides, additive=False),
        "cap": _number(node, "cap", 0.0) or None,
        "bias": _is_given(node, 3),
        "sinks": _is_given(node, 5),
        "dead_rows": _dead(filler, node.attrs.get("guard")) if hides or bias else None,
    }


def _dead(filler: object, guard: object) -> str:
    """What a row gives whose keys all get the number `filler`, or a bias that hides none."""
    if filler is None or (isinstance(filler, float) and isfinite(filler)):
        return ADDED
    return "zero" if guard else "NaN"


def _onnx(node: Node) -> Fields:
    """Of ONNX's Attention."""
    q, k, v = (_shape(node, i) for i in range(3))
    if q is not None and len(q) == 3:
        many, few = _number(node, "q_num_heads", None), _number(node, "kv_num_heads", None)
        widths = _quotient(_at(q, 2), many), _quotient(_at(v, 2), few)
    else:
        many, few, widths = _at(q, 1), _at(k, 1), (_at(q, 3), _at(v, 3))
    boolean = _dtype(node, 3) == "bool"
    masked = _is_given(node, 3) or _is_given(node, 6)
    return {
        **_heads(many, few, *widths),
        "scale": _scale(node, widths[0]),
        "mask": _mask(boolean=boolean or _is_given(node, 6), additive=masked and not boolean),
        "causal": bool(_number(node, "is_causal", 0)),
        "cap": _number(node, "softcap", 0.0) or None,
        "bias": None if masked and not boolean else False,
        "sinks": False,
        "cache": _is_given(node, 4),
        "dead_rows": "zero" if masked else None,
    }


def _multi(node: Node) -> Fields:
    """Of ONNX Runtime's MultiHeadAttention."""
    heads = _number(node, "num_heads", None)
    q, v = _shape(node, 0), _shape(node, 2)
    flat = q is not None and len(q) == 3
    width = _quotient(_at(q, 2), heads) if flat else _at(q, 4)
    value_width = _at(v, 3) if v is not None and len(v) == 4 else _quotient(_at(v, 2), heads)
    return {
        **_heads(heads, heads, width, value_width if flat else width),
        **_filtered(node, width, mask=4, added=5),
        "cache": _is_given(node, 6),
    }


def _packed(node: Node) -> Fields:
    """Of ONNX Runtime's Attention, whose weights are packed."""
    heads, sizes = _number(node, "num_heads", None), node.attrs.get("qkv_hidden_sizes")
    third = _quotient(_at(_shape(node, 1), 1), 3)
    widths = sizes if isinstance(sizes, tuple) and len(sizes) == 3 else (third,) * 3
    width, value_width = _quotient(widths[0], heads), _quotient(widths[2], heads)
    return {
        **_heads(heads, heads, width, value_width),
        **_filtered(node, width, mask=3, added=5),
        "cache": _is_given(node, 4),
    }


def _filtered(node: Node, width: object, mask: int, added: int) -> Fields:
    """Where what hides a key is added to its score."""
    masked, biased = _is_given(node, mask), _is_given(node, added)
    return {
        "scale": _scale(node, width),
        "mask": _mask(boolean=False, additive=masked),
        "causal": bool(_number(node, "unidirectional", 0)),
        "bias": biased,
        "sinks": False,
        "dead_rows": ADDED if masked or biased else None,
    }


def _grouped(node: Node) -> Fields:
    """Of ONNX Runtime's GroupQueryAttention."""
    many, few = _number(node, "num_heads", None), _number(node, "kv_num_heads", None)
    whole = _at(_shape(node, 0), 2)
    packed = not _is_given(node, 1)
    share = many + 2 * few if packed and many is not None and few is not None else many
    width, window = _quotient(whole, share), _number(node, "local_window_size", -1)
    return {
        **_heads(many, few, width, width),
        "scale": _scale(node, width),
        "mask": _mask(boolean=False, additive=False),
        "causal": bool(_number(node, "causal", 1)),
        "window": window if window is not None and window > 0 else None,
        "cap": _number(node, "softcap", 0.0) or None,
        "bias": _is_given(node, 10),
        "sinks": _is_given(node, 11) or bool(_number(node, "smooth_softmax", 0)),
        "cache": _is_given(node, 3),
        "dead_rows": "zero" if _is_given(node, 10) else None,
    }


READERS: dict[str, Callable[[Node], Fields]] = {
    "Attention": _own,
    "Attention@": _onnx,
    "com.microsoft::MultiHeadAttention": _multi,
    "com.microsoft::Attention": _packed,
    "com.microsoft::GroupQueryAttention": _grouped,
}


def _heads(many: Any, few: Any, width: Any, value_width: Any) -> Fields:
    return {
        "heads": _said(many),
        "groups": _said(_quotient(many, few)),
        "head_width": _said(width),
        "value_width": _said(value_width),
    }


def _said(dim: Any) -> int | str | None:
    return dim if dim is None or isinstance(dim, int) else str(dim)


def _quotient(dim: Any, by: Any) -> Dim | None:
    return None if dim is None or by is None else exact_quotient(dim, by)


def _scale(node: Node, width: Any) -> float | None:
    """The scale that is said, or else one by the root of the width of a head."""
    said = _number(node, "scale", 0.0)
    if said:
        return float(said)
    return width**-0.5 if isinstance(width, int) and width else None


def _mask(boolean: bool, additive: bool) -> str:
    kinds = [name for name, is_so in (("additive", additive), ("boolean", boolean)) if is_so]
    return " and ".join(kinds) or "none"


def _number(node: Node, name: str, default: Any) -> Any:
    found = node.attrs.get(name, default)
    return found if found is None or isinstance(found, int | float) else None


def _input(node: Node, index: int) -> Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _is_given(node: Node, index: int) -> bool:
    return _input(node, index) is not None


def _type(node: Node, index: int) -> TensorType | None:
    value = _input(node, index)
    return value.type if value is not None and isinstance(value.type, TensorType) else None


def _dtype(node: Node, index: int) -> str:
    found = _type(node, index)
    return "" if found is None else found.dtype


def _shape(node: Node, index: int) -> tuple[Dim, ...] | None:
    found = _type(node, index)
    return None if found is None else found.shape


def _at(shape: tuple[Dim, ...] | None, axis: int) -> Dim | None:
    if shape is None or not -len(shape) <= axis < len(shape):
        return None
    return shape[axis]
