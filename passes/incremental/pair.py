"""The two graphs that generate text: one for the prompt, one for what follows it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from graphwright.ir.clone import clone
from graphwright.ir.dims import Dim, Sym, atoms_of, sym
from graphwright.ir.fixed import resize
from graphwright.ir.graph import Graph, Node, Value, drop_unread
from graphwright.ir.ops import return_node
from graphwright.ir.renaming import readable_sizes
from graphwright.ir.types import TensorType
from graphwright.passes.incremental.places import Place
from graphwright.passes.incremental.rows import (
    NewRows,
    Refused,
    Tokens,
    called,
    depending,
    mixer,
)
from graphwright.passes.rule import Budget
from graphwright.passes.shapes import shape_of

PAST = "past_sequence_length"


@dataclass(frozen=True)
class Cache:
    """Keys or values [B, K, T, D] of one layer, under the names that take and give them.

    `own` says that they are of the tokens, and grow; others are of an encoder, and stay.
    """

    value: Value
    past: str
    present: str
    own: bool


@dataclass(frozen=True)
class Pair:
    """A graph for the prompt, which gives keys and values, and one that goes on from those."""

    prefill: Graph
    step: Graph
    caches: tuple[Cache, ...]
    attentions: tuple[Node, ...]


def pair(graph: Graph, length: str, given: Collection[str], budget: Budget) -> Pair:
    """The graphs for a prompt and for what follows, of one for all tokens at once.

    `length` names the size of the tokens, and `given` the inputs that say what they are; in the
    second graph these hold the new tokens alone, and all others speak of past and new ones. Each
    `Attention` is one operator. Raises Refused with the operator that mixes tokens otherwise.
    """
    caches, attentions = _caches(graph, sym(length), given)
    prefill = _prefill(graph, caches)
    return Pair(prefill, _step(graph, length, given, caches, budget), caches, attentions)


def _caches(
    graph: Graph, length: Sym, given: Collection[str]
) -> tuple[tuple[Cache, ...], tuple[Node, ...]]:
    """What has to be kept of each attention of tokens, and those that see the tokens' own keys."""
    tokens = depending(graph, [v for v in graph.inputs if v.name in given])
    fed = depending(graph, graph.inputs)
    read = [n for n in graph.nodes() if n.op == "Attention" and n.inputs[0] in tokens]
    pairs: dict[bool, dict[tuple[Value | None, Value | None], Node]] = {True: {}, False: {}}
    for node in read:
        k, v = node.inputs[1], node.inputs[2]
        if (k in tokens) is not (v in tokens):
            raise Refused(f"{called(node)} has keys of tokens and values of none, or the reverse")
        lasting = k in fed and v in fed and length not in (*_dims(k), *_dims(v))
        if k in tokens or lasting:
            pairs[k in tokens].setdefault((k, v), node)
    if not pairs[True]:
        by = mixer(graph.outputs[0], tokens, {str(length)})
        why = "" if by is None else f"; {called(by)} mixes the tokens"
        raise Refused(f"no attention is found in which tokens see those before them{why}")
    kinds = {True: ".decoder" if pairs[False] else "", False: ".encoder"}
    found: list[Cache] = []
    for own, layers in pairs.items():
        for i, each in enumerate(layers):
            for what, value in zip(("key", "value"), each, strict=True):
                assert value is not None
                name = f"{i}{kinds[own]}.{what}"
                found.append(Cache(value, f"past_key_values.{name}", f"present.{name}", own))
    return tuple(found), tuple(pairs[True].values())


def _dims(value: Value | None) -> tuple[object, ...]:
    return shape_of(value) or ()


def _prefill(graph: Graph, caches: Collection[Cache]) -> Graph:
    """The graph as it was, which gives what is to be kept too."""
    made, copies = _copy(graph)
    outputs = list(zip(made.outputs, _names(made), strict=True))
    outputs += [(copies[each.value], each.present) for each in caches]
    made.result.detach()
    made.result = return_node([v for v, _ in outputs], [name for _, name in outputs])
    return made


def _step(
    graph: Graph, length: str, given: Collection[str], caches: Collection[Cache], budget: Budget
) -> Graph:
    """The graph of the new tokens, with what was kept of those before them."""
    made, copies = _copy(graph)
    new, past = sym(length), sym(PAST)
    if any(PAST in atoms_of(d) for v in made.inputs for d in shape_of(v) or ()):
        raise Refused("it has a past already")
    resize(made, {length: past + new})
    fresh: dict[Value, tuple[Value, Place]] = {}
    for value in made.inputs:
        if value.name in given:
            fresh[value] = _of_new_tokens(value, past + new, new)
    held: dict[Value, Value] = {}
    for each in caches:
        whole = copies[each.value]
        held[whole] = Value(_of_past(whole, past, each), name=each.past)
    tokens = Tokens(past + new, past, new, fresh)
    rows = NewRows(made, tokens, replace(budget, sizes=budget.sizes | {PAST}))
    wanted = list(_wanted(made, rows, past + new))
    names = [name for name, _, _ in wanted]
    outputs = rows.all([(value, place) for _, value, place in wanted], held)
    for each in caches:
        if each.own:
            names.append(each.present)
            outputs.append(rows.joined[copies[each.value]])
    return _around(made, fresh, held, outputs, names)


def _around(
    made: Graph,
    fresh: Mapping[Value, tuple[Value, Place]],
    held: Mapping[Value, Value],
    outputs: list[Value],
    names: list[str],
) -> Graph:
    before = made.result
    made.result = return_node(list(outputs), names)
    before.detach()
    for value in before.inputs:
        if value is not None:
            drop_unread(value, made.kept)
    for old in (*held, *fresh):
        drop_unread(old, made.kept)
    inputs = [fresh[v][0] if v in fresh else v for v in made.inputs if v in fresh or v.uses]
    made.inputs = (*inputs, *held.values())
    _need_sizes(made)
    return made


def _wanted(graph: Graph, rows: NewRows, total: Dim) -> Iterator[tuple[str, Value, Place]]:
    """The outputs that there is one of for each token, and where they have those."""
    for value, name in zip(graph.outputs, _names(graph), strict=True):
        if value is None or value not in rows.varies:
            continue  # the prompt gave it
        axes = [axis for axis, dim in enumerate(shape_of(value) or ()) if dim == total]
        if not axes:
            node = mixer(value, rows.varies, atoms_of(total))
            what = "what gives it" if node is None else called(node)
            raise Refused(f"{what} mixes the tokens of the output '{name}'")
        yield name, value, Place(axes[0])


def _of_new_tokens(value: Value, total: Dim, new: Dim) -> tuple[Value, Place]:
    shape = shape_of(value) or ()
    at = shape.index(total)
    assert isinstance(value.type, TensorType)
    kind = TensorType(value.type.dtype, (*shape[:at], new, *shape[at + 1 :]))
    return Value(kind, name=value.name), Place(at)


def _of_past(value: Value, past: Dim, cache: Cache) -> TensorType:
    shape = shape_of(value) or ()
    assert isinstance(value.type, TensorType)
    if not cache.own:
        return value.type
    return TensorType(value.type.dtype, (*shape[:2], past, *shape[3:]))


def _need_sizes(graph: Graph) -> None:
    known = set(readable_sizes(graph))
    for node in graph.everything():
        dims = node.attrs["dims"] if node.op == "Sizes" else ()
        for dim in dims if isinstance(dims, tuple) else (dims,):
            lost = atoms_of(dim) - known if isinstance(dim, Sym) else ()
            for name in lost:
                raise Refused(f"the size '{name}' is not told by what is kept of the prompt")


def _copy(graph: Graph) -> tuple[Graph, dict[Value, Value]]:
    """A copy, and which of its values is which."""
    made = clone(graph)
    found = dict(zip(graph.inputs, made.inputs, strict=True))
    for old, new in zip(graph.nodes(), made.nodes(), strict=True):
        found.update(zip(old.outputs, new.outputs, strict=True))
    return made, found


def _names(graph: Graph) -> list[str]:
    names = graph.result.attrs["names"]
    assert isinstance(names, tuple)
    return [str(name) for name in names]
