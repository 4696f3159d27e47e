"""Which rules run by default, and in which order."""

from __future__ import annotations

from dataclasses import replace

from graphwright.passes.rewrite import Group
from graphwright.passes.rule import rules


def _group(name: str, *names: str, producers_first: bool = False, since: int = 0) -> Group:
    known = rules()
    return Group(name, tuple(known[each] for each in names), producers_first, since)


SIMPLIFY: tuple[Group, ...] = (
    _group(
        "canonical",
        "fold-sizes",
        "fold-constants",
        "drop-identity",
        "drop-dropout",
        "drop-view",
        "drop-cast",
        "drop-neutral",
        "drop-double-negation",
        "drop-where",
        "merge-casts",
        "merge-transposes",
        "merge-views",
        "merge-unsqueeze",
        "merge-equal",
        producers_first=True,
    ),
    _group("forms", "fuse-exp", "fuse-sigmoid", "fuse-mean"),
    _group(
        "fuse",
        "fuse-gelu",
        "fuse-silu",
        "fuse-gelu-tanh",
        "fuse-softmax",
        "fuse-log-softmax",
        "fuse-exp-of-log",
        "drop-shift",
        "drop-log-softmax",
        "drop-log-in-softmax",
        "move-projection",
        "fuse-layer-norm",
        "fuse-rms-norm",
        "drop-flattening",
    ),
)
"""What brings the many spellings of a thing to one."""

BARE = _group("bare", "fuse-bare-softmax")
"""For the survey of attention, which also sees a softmax that a default run leaves as it is."""

RAISE: tuple[Group, ...] = (*SIMPLIFY, _group("attention", "raise-attention"))
"""What brings a model to the form that techniques are applied to."""

TRIM: tuple[Group, ...] = (
    _group("biases", "drop-open-mask", "drop-key-bias", "move-value-bias"),
    _group("rows", "move-rows"),
)
"""What an attention does not need, and rows that nobody reads; after techniques, since some of it
holds for softmax alone."""

RAGGED = _group("ragged", "drop-hidden-tokens", "move-rows", "merge-equal")
"""Tokens that a mask hides left out, once the outputs say nothing of them; only when asked for."""

DEFAULT: tuple[Group, ...] = (*RAISE, *TRIM)
"""The groups of a default run, each to its fixed point; every rule in it is lossless."""

LINEAR = _group("linear", "fuse-linear")
"""Linear layers in one form, for passes that speak of them; `--apply fuse-linear` shows it."""

ROTARY = _group("rotary", "fuse-rotary", "fuse-split-rotary", "fuse-partial-rotary")
"""Rotary position embedding in one form, for passes that speak of it, and to be lowered."""

STANDARD = _group("standard", "lower-standard-rotary", since=23)
"""What newer opsets have an operator for, whose name in a graph is not ours."""

TIDY = _group(
    "tidy",
    "fold-sizes",
    "drop-view",
    "merge-transposes",
    "merge-views",
    "merge-equal",
    producers_first=True,
)
"""What techniques and lowering leave to be merged with what stood there."""

MASKS = _group("masks", "fold-masks")
"""What pruning put beside weights, multiplied into them when all that may ask for it is done."""

LOWER: dict[str, tuple[Group, ...]] = {
    "onnx": (
        replace(ROTARY, since=23),
        STANDARD,
        _group("lower", "lower-attention-onnx", "lower-attention"),
        MASKS,
        TIDY,
    ),
    "ort": (
        ROTARY,
        STANDARD,
        _group(
            "lower",
            "lower-gelu",
            "lower-swish",
            "lower-rotary",
            "lower-masked-attention",
            "lower-attention-ort",
            "lower-attention-onnx",
            "lower-attention",
        ),
        MASKS,
        TIDY,
    ),
}
"""The groups that follow, by target: `onnx` is for any runtime, `ort` for ONNX Runtime alone."""

RAISE_FUSED = _group(
    "raise",
    "raise-native-attention",
    "raise-multi-head-attention",
    "raise-packed-attention",
    "raise-group-query-attention",
    "raise-gelu",
    "raise-swish",
    "raise-matmul",
    "raise-skip-norm",
)
"""What others have fused, as operators that rules speak of."""

BEFORE_TECHNIQUES: tuple[Group, ...] = (RAISE_FUSED, *RAISE, SIMPLIFY[0])
"""The groups before techniques: each attention as one operator, and no layout that is undone."""

UNFUSE: tuple[Group, ...] = (RAISE_FUSED, _group("write out", "lower-attention"), TIDY)
"""The groups that give a written-out graph back, in place of those of a default run."""

LOWER["mlir"] = UNFUSE
"""Linalg has no fused operators: what others have fused is written out too."""

LOWER["triton"] = (RAISE_FUSED, MASKS, TIDY)
"""Attention stays one operator, of which kernels are made."""
