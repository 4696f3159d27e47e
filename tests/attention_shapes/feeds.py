"""Inputs that are hard on an attention: padding anywhere, rows without keys, a batch of one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto
from tests.attention_shapes.attention import Written
from tests.attention_shapes.sheet import LOWEST, Axes

PADDINGS = ("none", "left", "middle", "right", "dead")
LARGE = {"f32": 100.0, "f16": 4.0}  # beyond it half precision cannot tell which score is largest
CAUSAL = ("padded_causal", "two_adds")
SYMBOLS = ({"B": 5, "S": 7, "T": 11, "P": 6}, {"B": 1, "S": 3, "T": 9, "P": 4})
"""What symbolic sizes may be: the second has batch 1 and other lengths."""


@dataclass(frozen=True)
class Feed:
    """Arrays by the names of inputs; `dead` says that some queries see no key."""

    about: str
    arrays: Mapping[str, np.ndarray]
    dead: bool = False
    large: bool = False


def feeds(written: Written) -> Iterator[Feed]:
    """The inputs that a form is tried on."""
    masked = any("mask" in name and name != "head_mask" for name in written.given)
    symbolic = written.form.sizes != "static"
    for i, symbols in enumerate(SYMBOLS if symbolic else SYMBOLS[:1]):
        for padding in PADDINGS if masked else PADDINGS[:1]:
            yield _feed(written, symbols, padding, 1.0, i)
        yield _feed(written, symbols, "right" if masked else "none", LARGE[written.form.kind], i)


def _feed(
    written: Written, symbols: Mapping[str, int], padding: str, scale: float, seed: int
) -> Feed:
    rng = np.random.default_rng(seed)
    lengths = {letter: _length(size, symbols) for letter, size in written.sizes.items()}
    kinds = {i.name: i.type.tensor_type.elem_type for i in written.model.graph.input}
    arrays = {
        name: _array(name, axes, lengths, kinds[name], padding, scale, written, rng)
        for name, axes in written.given.items()
    }
    about = f"{padding} padding, scores x {scale:g}, batch {lengths['b']}, {lengths['s']} tokens"
    early = padding == "left" and written.form.mask in CAUSAL  # the first queries see padding only
    return Feed(about, arrays, padding == "dead" or early, scale != 1)


def _length(size: int | str, symbols: Mapping[str, int]) -> int:
    return size if isinstance(size, int) else sum(symbols[each] for each in size.split(" + "))


def _array(
    name: str,
    axes: Axes,
    lengths: Mapping[str, int],
    kind: int,
    padding: str,
    scale: float,
    written: Written,
    rng: np.random.Generator,
) -> np.ndarray:
    shape = [1 if axis == "1" else math.prod(lengths[x] for x in axis) for axis in axes]
    if "mask" not in name or name == "head_mask":
        numbers = rng.normal(size=shape) * (scale if name in ("q", "x", "qkv") else 1.0)
        return numbers.astype(np.float16 if written.form.kind == "f16" else np.float32)
    seen = visible(padding, shape)
    if kind == TensorProto.BOOL:
        return ~seen if name == "hidden_mask" else seen
    if kind == TensorProto.INT64:
        return seen.astype(np.int64)
    fill = LOWEST[written.form.kind] if padding in ("left", "dead") else -1e4
    return np.where(seen, 0.0, fill).astype(np.float16 if kind == TensorProto.FLOAT16 else "f4")


def visible(padding: str, shape: list[int]) -> np.ndarray:
    """Which keys are seen: of the last of the batch fewer, where it is padded."""
    seen = np.ones(shape, bool)
    row, third = seen[-1:] if len(shape) > 1 else seen, max(1, shape[-1] // 3)
    match padding:
        case "left":
            row[..., :third] = False
        case "middle":
            row[..., third : 2 * third] = False
        case "right":
            row[..., -third:] = False
        case "dead":
            row[...] = False
    return seen
