"""Which choices go together."""

from __future__ import annotations

from tests.attention_shapes.form import ADDED, AXES, EINSUMS, GIVEN, HEADS_FIRST, PACKED_HEADS

FUSED = ("fused", "fused_swap")
WINDOW_MASKS = ("windows_added", "windows_where")


def without(axis: str, *left_out: str) -> tuple[str, ...]:
    """The choices of an axis but for some."""
    return tuple(choice for choice in AXES[axis] if choice not in left_out)


PLAIN_MASKS = without("mask", *WINDOW_MASKS)

ONLY: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {
    "layout": {
        "bhsd": {"product": without("product", "gemm"), "mask": PLAIN_MASKS},
        "merged": {
            "product": without("product", "between", "gemm", "einsum_bqhk"),
            "mask": PLAIN_MASKS,
        },
        "bshd": {
            "product": EINSUMS,
            "split": without("split", *HEADS_FIRST),
            "length": without("length", "cache"),
            "mask": PLAIN_MASKS,
        },
        "grouped": {
            "groups": ("broadcast",),
            "product": ("swap", "direct", "double", "einsum"),
            "mask": PLAIN_MASKS,
        },
        "rows": {
            "groups": ("broadcast",),
            "product": ("swap", "direct", "double", *FUSED, "scores", "einsum"),
            "mask": PLAIN_MASKS,
        },
        "windows": {
            "mask": WINDOW_MASKS,
            "groups": ("one",),
            "length": ("self",),
            "sizes": ("static", "batch"),
            "product": without("product", "gemm", "einsum_bqhk", "between"),
        },
        "matrix": {  # one batch and one head, in two axes
            "product": ("gemm", "swap", "double", "fused", "einsum", "scores"),
            "split": ("apart", "packed_split", "packed_slice"),
            "groups": ("one",),
            "length": ("self", "cross"),
            "mask": without("mask", *WINDOW_MASKS, "given_b1st", "given_11st"),
            "epilogue": without("epilogue", "einsum"),
            "sizes": ("static",),
        },
    },
    "product": {
        "gemm": {"layout": ("matrix",)},
        "direct": {"split": without("split", *HEADS_FIRST)},
    },
    "groups": {
        "broadcast": {"layout": ("grouped", "rows")},
        "multi_query": {"layout": ("bhsd",), "product": ("swap", "direct", "double")},
    },
    "split": {
        **{each: {"length": without("length", "cross")} for each in without("split", "apart")},
        **{
            each: {
                "groups": ("one",),
                "width": ("same",),
                "scale": without("scale", "on_q_flat"),
                "length": ("self", "cache") if each in HEADS_FIRST else without("length", "cross"),
            }
            for each in PACKED_HEADS
        },
    },
    "scale": {"alpha": {"product": (*FUSED, "gemm")}},
    "bias": {"table": {"sizes": ("static", "batch")}},
    "mask": {"causal_trilu": {"opset": without("opset", "13")}},
    # The other choice would say the same where no mask is added, and where nothing is merged.
    "side": {"left": {"mask": (*ADDED, *GIVEN)}},
    "at": {"flat": {"layout": ("merged", "rows")}},
    "softmax": {"upcast": {"kind": ("f16",)}},
    # ONNX Runtime has these products for float32 alone, and half precision has no -1e9 and no
    # exponential of ordinary scores that are not shifted.
    "kind": {
        "f16": {
            "product": without("product", *FUSED, "gemm"),
            "mask": without("mask", "where_1e9"),
            "softmax": without("softmax", "written_plain"),
        }
    },
}


def _excluded() -> frozenset[tuple[str, str, str, str]]:
    found = set()
    for axis, choices in ONLY.items():
        for choice, allowed in choices.items():
            for other, fitting in allowed.items():
                for each in without(other, *fitting):
                    found |= {(axis, choice, other, each), (other, each, axis, choice)}
    return frozenset(found)


EXCLUDED = _excluded()


def go_together(axis: str, choice: str, chosen: dict[str, str]) -> bool:
    """Whether a choice may stand beside those that were made."""
    return not any((axis, choice, a, c) in EXCLUDED for a, c in chosen.items())
