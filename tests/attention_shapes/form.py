"""What an attention may look like: the axes of variation, and which choices go together."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

AXES: dict[str, tuple[str, ...]] = {
    "layout": ("bhsd", "merged", "bshd", "grouped", "rows", "windows", "matrix"),
    "product": (
        "swap",  # Transpose(0, 1, 3, 2) of keys whose heads stand in front
        "direct",  # one Transpose(0, 2, 3, 1)
        "between",  # a 3-D Transpose between two Reshapes
        "double",  # three Transposes where one would do
        "scores",  # keys times queries, and the scores transposed
        "fused",  # FusedMatMul with transB
        "fused_swap",
        "gemm",
        "einsum",
        "einsum_bqhk",  # scores with the heads behind the queries
    ),
    "source": ("given", "projected"),
    "split": (
        "apart",
        "packed_split",
        "packed_slice",
        "packed_permute",  # (B, N, 3, H, D), permuted, each taken by Gather
        "packed_unbind",  # the same, taken by Split and Squeeze
        "packed_heads",  # (B, N, H, 3 D), split behind the heads
        "packed_five",  # (B, N, H, 3, D), each taken by Gather
    ),
    "groups": (
        "one",
        "expand",
        "tile",
        "tile_heads",
        "gather",
        "concat",
        "multi_query",
        "broadcast",
    ),
    "length": ("self", "cross", "cache", "cache_flat"),
    "width": ("same", "other"),
    "sizes": ("static", "batch", "all"),
    "reshapes": ("zeros", "numbers", "computed"),
    "scale": (
        "div",
        "mul",
        "mul_left",
        "on_q",
        "on_q_flat",
        "on_k",
        "both",
        "run_time",
        "run_time_both",
        "none",
        "custom",
        "twice",
        "alpha",
    ),
    "cap": ("none", "tanh"),
    "bias": ("none", "per_head", "alibi", "table"),
    "mask": (
        "none",
        "given_b11t",
        "given_b1st",
        "given_11st",
        "given_st",
        "int_lowest",
        "int_1e4",
        "where_lowest",
        "where_inf",
        "where_1e9",
        "where_hidden",
        "where_int",
        "causal_trilu",
        "causal_range",
        "causal_buffer",
        "causal_added",
        "padded_causal",
        "two_adds",
        "sliding",
        "windows_added",
        "windows_where",
    ),
    "side": ("right", "left"),  # of Add, for masks and biases
    "at": ("view", "flat"),  # where batch and heads are one axis: how masks meet the scores
    "softmax": ("last", "positive", "written", "written_plain", "of_log", "upcast"),
    "sinks": ("none", "column", "column_first"),
    "after": ("none", "dropout", "identity", "head_mask", "nan_guard"),
    "epilogue": ("joined", "projected", "einsum", "none"),
    "kind": ("f32", "f16"),
    "opset": ("17", "13", "18", "20"),
    "constants": ("initializer", "node"),
}


@dataclass(frozen=True)
class Form:
    """One choice of each axis."""

    layout: str = "bhsd"
    product: str = "swap"
    source: str = "given"
    split: str = "apart"
    groups: str = "one"
    length: str = "self"
    width: str = "same"
    sizes: str = "static"
    reshapes: str = "zeros"
    scale: str = "div"
    cap: str = "none"
    bias: str = "none"
    mask: str = "none"
    side: str = "right"
    at: str = "view"
    softmax: str = "last"
    sinks: str = "none"
    after: str = "none"
    epilogue: str = "joined"
    kind: str = "f32"
    opset: str = "17"
    constants: str = "initializer"

    def __str__(self) -> str:
        """The choices that are not the plainest, by axis."""
        said = [
            f"{f.name}={getattr(self, f.name)}"
            for f in fields(self)
            if getattr(self, f.name) != f.default
        ]
        return " ".join(said) or "plain"

    def chosen(self) -> dict[str, str]:
        return asdict(self)


EINSUMS = ("einsum", "einsum_bqhk")
HEADS_FIRST = ("packed_permute", "packed_unbind")
PACKED_HEADS = (*HEADS_FIRST, "packed_heads", "packed_five")
ADDED = ("int_lowest", "int_1e4", "causal_added", "two_adds", "windows_added")
GIVEN = ("given_b11t", "given_b1st", "given_11st", "given_st")
