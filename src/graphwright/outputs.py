"""What is asked of a model: fewer outputs, or the last token alone."""

from __future__ import annotations

from collections.abc import Sequence

from graphwright.ir.clone import clone
from graphwright.ir.dims import Dim, product
from graphwright.ir.equalities import named
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, Graph, Value, drop_unread
from graphwright.ir.ops import constant, node_of, return_node
from graphwright.ir.renaming import one_name_each
from graphwright.ir.types import TensorType
from graphwright.passes.axes.packing import apart, laid_out, places, those_that_count
from graphwright.passes.shapes import shape_of
from graphwright.requests import nearest
from graphwright.verification.arrays import slots_of

BATCHED = 12  # the opset from which on GatherND knows batches


def with_outputs(graph: Graph, names: Sequence[str]) -> Graph:
    """The graph with the outputs `names` alone, in that order; its inputs stay.

    Raises ModelError for a name that no output has, or none at all.
    """
    have = dict(zip(_names(graph), graph.outputs, strict=True))
    for name in names:
        if name not in have:
            meant = nearest(name, have, f"it has {', '.join(have)}")
            raise ModelError(f"the model has no output '{name}'; {meant}")
    if not names:
        raise ModelError("a model needs an output")
    made = clone(graph)
    have = dict(zip(_names(made), made.outputs, strict=True))
    return _returning(made, {name: have[name] for name in names})


def with_last_token(graph: Graph) -> Graph:
    """The graph with an output NAME_last beside each that has an axis of tokens.

    NAME: [B, S, ...], NAME_last: [B, ...], what stands at the last position whose mask is 1, or at
    the last of all where the model has no mask; of a row without any, at the first. Raises
    ModelError where no output has the axes of the mask, or of the tokens.
    """
    made = clone(graph)
    with one_name_each(made):
        mask, dims = tokens(made)
        have = dict(zip(_names(made), made.outputs, strict=True))
        long = [(n, v) for n, v in have.items() if v is not None and _has_tokens(v, dims)]
        if not long:
            raise ModelError(NO_TOKENS)
        last = None if mask is None else _last(mask, dims[0])
        for name, value in long:
            have[f"{name}_last"] = _at(value, last, made)
        return _returning(made, have)


def with_zero_padding(graph: Graph) -> Graph:
    """The graph whose outputs are 0 for each token that its mask hides.

    The mask is [B, S], outputs of tokens [B, S, ...]; others stay. Raises ModelError where the
    model has no mask of tokens, or no output of tokens.
    """
    made = clone(graph)
    with one_name_each(made):
        mask, dims = tokens(made)
        if mask is None:
            raise ModelError("the model has no mask of tokens, so none of them is padding")
        have = dict(zip(_names(made), made.outputs, strict=True))
        counts = _counting(mask)
        if shape_of(counts) != dims:
            counts = _made("Reshape", counts, _size(dims))
        index = those_that_count(_made, counts)
        at = places(_made, index)
        long = [(n, v) for n, v in have.items() if v is not None and _has_tokens(v, dims)]
        for name, value in long:
            rest = (shape_of(value) or ())[2:]
            if not all(isinstance(n, int) for n in rest):
                raise ModelError(f"the output '{name}' has a width that is known only at run time")
            rows = _made("Reshape", value, constant([-1, product(rest)], "i64"))
            full = laid_out(_made, _made("Gather", rows, index, axis=0), at)
            have[name] = apart(_made, full, _size((*dims, *rest)), _opset(made))
        if not long:
            raise ModelError(NO_TOKENS)
        return _returning(made, have)


NO_TOKENS = "no output of the model has the axes of its tokens, [batch, tokens]"


def tokens(graph: Graph) -> tuple[Value | None, tuple[Dim, Dim]]:
    """The mask of a model's tokens, if it has one, and the axes of the tokens, [batch, tokens].

    Those are the axes of its indices, or else of the mask. Raises ModelError where there are none,
    or several.
    """
    slots = [s for s in slots_of(graph) if len(s.dims) == 2]
    masks = [s for s in slots if s.kind == "mask"]
    found = [s for s in slots if s.kind == "index"] or masks
    if len({s.dims for s in found}) != 1 or len(masks) > 1:
        what = "several inputs that may be tokens or their mask" if found else "no axis of tokens"
        raise ModelError(f"the model has {what}, so which tokens count is not known")
    batch, length = found[0].dims
    for slot in masks:
        if slot.dims[1] != length and None in (named(slot.dims[1]), named(length)):
            raise ModelError(
                f"the mask is for {slot.dims[1]} tokens where there are {length}, so which of them "
                "it counts is not known"
            )
    return (masks[0].value if masks else None), (batch, length)


def _names(graph: Graph) -> list[str]:
    names = graph.result.attrs["names"]
    assert isinstance(names, tuple)
    return [str(name) for name in names]


def _has_tokens(value: Value, dims: tuple[Dim, Dim]) -> bool:
    shape = shape_of(value) or ()
    return len(shape) > 2 and shape[:2] == dims


def _counting(mask: Value) -> Value:
    """A mask as True and False."""
    is_bool = isinstance(mask.type, TensorType) and mask.type.dtype == "bool"
    return mask if is_bool else _made("Cast", mask, to="bool")


def _last(mask: Value, batch: Dim) -> Value:
    """In each of `batch` rows the last position that counts, [B, 1]."""
    rows, length = shape_of(mask) or (1, 1)
    every = _made("Range", constant(0, "i64"), _size(length), constant(1, "i64"))
    counted = _made("Where", _counting(mask), every, constant(0, "i64"))
    last = _made("ReduceMax", counted, axes=(1,), keepdims=1)
    # Two names for the size of the batch are one from here on, as a Reshape proves.
    return last if rows == batch else _made("Reshape", last, _size((batch, 1)))


def _made(op: str, *inputs: Value, **attrs: Attr) -> Value:
    return node_of(op, inputs, attrs).outputs[0]


def _size(dims: Dim | tuple[Dim, ...]) -> Value:
    numbers = dims if isinstance(dims, tuple) else (dims,)
    if all(isinstance(n, int) for n in numbers):
        return constant(dims, "i64")
    return _made("Sizes", dims=dims)


def _opset(graph: Graph) -> int:
    return graph.header.opsets.get("", BATCHED) if graph.header else BATCHED


def _at(value: Value, last: Value | None, graph: Graph) -> Value:
    if last is None:
        return _made("Gather", value, constant(-1, "i64"), axis=1)
    opset = _opset(graph)
    if opset < BATCHED:
        raise ModelError(
            f"the model has opset {opset}, and choosing in each batch needs {BATCHED}; write it "
            "with a newer --opset first"
        )
    return _made("GatherND", value, last, batch_dims=1)


def _returning(graph: Graph, outputs: dict[str, Value | None]) -> Graph:
    """The graph with other outputs; what nothing reads any more is let go of."""
    before = graph.result
    graph.result = return_node(list(outputs.values()), list(outputs))
    before.detach()
    for value in before.inputs:
        if value is not None:
            drop_unread(value, graph.kept)
    return graph
