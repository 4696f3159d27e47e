"""Sizes for the symbols of a graph's inputs, for which arrays can be made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from graphwright.ir.dims import Dim, Sym, atoms_of, sym
from graphwright.ir.equalities import Equalities
from graphwright.ir.graph import Graph, Value
from graphwright.ir.ops import contents_of
from graphwright.ir.substitution import evaluate
from graphwright.ir.types import TensorType
from graphwright.verification.equalities import equalities

BATCHES = (2, 1, 3)
SMALL = (5, 8, 17, 6, 11, 4, 13)  # none divides another, so that no mix-up of axes goes unseen
ROUND = (32, 64, 96)  # what images and blocks want
TRIES = 3
HINTS, LARGEST_HINT = 4, 1024
TOTAL = "total_sequence_length", ("past_sequence_length", "sequence_length")

Sizes = dict[str, int]
Groups = Mapping[str, str]


@dataclass(frozen=True)
class Scheme:
    """Which symbols get the same size, and several choices of sizes made so."""

    about: str
    choices: tuple[Sizes, ...]


def sizes_of(graph: Graph) -> tuple[str, ...]:
    """The names of the sizes that the graph's inputs leave open, in the order they are met."""
    found: dict[str, None] = {}
    for _, dim in _dims(graph):
        found.update(dict.fromkeys(sorted(atoms_of(dim))))
    return tuple(found)


def schemes(graph: Graph, seed: int = 0, given: Mapping[str, int] | None = None) -> list[Scheme]:
    """Choices of sizes, the likeliest scheme first; `given` ones are kept to.

    A model may need two sizes to be equal that it calls differently, which only running it tells:
    the schemes make ever more of them equal, or other ones. Sizes of values inside are chosen too.
    """
    found: dict[str, Scheme] = {}
    known = equalities(graph)
    names = dict.fromkeys((*sizes_of(graph), *_inner_names(graph)))
    for about, groups, pool in _rules(graph, names, known):
        choices = tuple(_choice(groups, pool, seed + i, given or {}, known) for i in range(TRIES))
        unlike = tuple({str(choice): choice for choice in choices}.values())
        found.setdefault(str(unlike), Scheme(about, unlike))
    return list(found.values())


def _rules(
    graph: Graph, names: Iterable[str], known: Equalities
) -> Iterator[tuple[str, Groups, Sequence[int]]]:
    """How the names that stand for themselves are grouped, and which numbers the groups get."""
    batch = _batch_names(graph, known)
    axes = {name: str(axis) for axis, name in reversed(list(_plain(graph, known)))}
    free = [name for name in names if name not in known.meanings]
    joined = {name: "batch" if name in batch else name for name in free}
    by_axis = {name: "batch" if g == "batch" else axes.get(name, g) for name, g in joined.items()}
    alike = {name: "batch" if group == "batch" else "all" for name, group in joined.items()}
    one = dict.fromkeys(joined, "all")
    yield "as the operators want them", joined, SMALL
    yield "equal on the same axis", by_axis, SMALL
    yield "equal but for the batch", alike, SMALL
    yield "all equal", one, SMALL
    yield "one each", one, (1,)
    for n in _hints(graph):
        yield f"{n}, as its constants say", alike, (n,)
    yield "as the operators want them, round", joined, ROUND
    yield "equal on the same axis, round", by_axis, ROUND
    yield "as large as pictures", alike, (224,)


def _inner_names(graph: Graph) -> list[str]:
    types = [v.type for node in graph.nodes() for v in node.outputs]
    dims = [d for t in types if isinstance(t, TensorType) for d in t.shape or ()]
    return sorted({name for dim in dims if isinstance(dim, Sym) for name in atoms_of(dim)})


def _dims(graph: Graph) -> Iterator[tuple[Value, Dim]]:
    for value in graph.inputs:
        if value in graph.defaults:
            continue
        if isinstance(value.type, TensorType):
            yield from product((value,), value.type.shape or ())
        contents = value.contents
        if contents is not None:
            yield from product((value,), contents if isinstance(contents, tuple) else (contents,))


def _plain(graph: Graph, known: Equalities) -> Iterator[tuple[int, str]]:
    """Every axis of an input whose size is one symbol, with that symbol's name."""
    for value in graph.inputs:
        shape = value.type.shape if isinstance(value.type, TensorType) else None
        for axis, dim in enumerate(shape or ()):
            meant = known.resolve(dim)
            for name in atoms_of(meant):
                if meant == sym(name):
                    yield axis, name


def _batch_names(graph: Graph, known: Equalities) -> set[str]:
    """The symbols that stand on first axes only."""
    first = {name for axis, name in _plain(graph, known) if not axis}
    return first - {name for axis, name in _plain(graph, known) if axis}


def _hints(graph: Graph) -> list[int]:
    """The sizes that the model reshapes to most often: it may have been exported for one alone."""
    said: Counter[int] = Counter()
    for node in graph.nodes():
        if node.op in ("Reshape", "Expand"):
            found = contents_of(node.inputs[1])
            said.update(
                {d for d in found if isinstance(d, int)} if isinstance(found, tuple) else ()
            )
    return [n for n, _ in said.most_common() if 1 < n <= LARGEST_HINT][:HINTS]


def _choice(
    groups: Groups, pool: Sequence[int], turn: int, given: Mapping[str, int], known: Equalities
) -> Sizes:
    order = {g: i for i, g in enumerate(g for g in dict.fromkeys(groups.values()) if g != "batch")}
    wanted: dict[str, int] = {}
    for name, size in given.items():
        wanted[groups.get(str(known.resolve(sym(name))), name)] = size
    sizes: Sizes = {}
    for name, group in groups.items():
        own = BATCHES if group == "batch" else pool
        sizes[name] = wanted.get(group, own[(turn + order.get(group, 0)) % len(own)])
    for name in (atom for atom in known.meanings if isinstance(atom, str)):
        sizes[name] = evaluate(known.resolve(sym(name)), sizes)
    sizes.update((name, size) for name, size in given.items() if name in sizes)
    for name in sizes:
        if name not in given and (sum_ := _named_sum(name, sizes)) is not None:
            sizes[name] = sum_
    return sizes


def _named_sum(name: str, sizes: Sizes) -> int | None:
    """The size that a name like "past_sequence_length + 1" tells."""
    parts = TOTAL[1] if name == TOTAL[0] else tuple(part.strip() for part in name.split("+"))
    if len(parts) < 2 or not all(part in sizes or part.isdecimal() for part in parts):
        return None
    return sum(int(part) if part.isdecimal() else sizes[part] for part in parts)
