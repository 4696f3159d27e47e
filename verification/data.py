"""The user's own data as inputs of a graph, once it is clear that it fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from graphwright.ir.const import Array
from graphwright.ir.dims import Sym, atoms_of
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Value
from graphwright.ir.substitution import evaluate
from graphwright.ir.types import FLOATS, NAMES, NUMPY, TensorType
from graphwright.verification.feeds import Feed

BATCH = 8


Data: TypeAlias = "Mapping[str, Any] | Array | Iterable[Mapping[str, Any] | Array]"
"""Arrays by the names of inputs, or several such sets; for a model of one input, its array.

Sets may be loaded one by one, by whatever begins anew each time that it is gone over.
"""


def read_data(data: Data, graph: Graph, batch: int = BATCH) -> list[Feed]:
    """Inputs for `graph` out of arrays that hold samples along axis 0, by the names of inputs.

    Samples run `batch` at a time, or as many as the model takes; where arrays have one axis more
    than the inputs, each sample is a run of its own. One array alone will do for a model of one
    input. Of several sets each is read for itself, so their lengths may differ. What does not fill
    a batch of a fixed size is left out. Raises ModelError with a sentence on what does not fit.
    """
    return list(each_feed(data, graph, batch))


def each_feed(data: Data, graph: Graph, batch: int = BATCH) -> Iterator[Feed]:
    """As `read_data`, one after the other: of several sets one at a time is held."""
    if isinstance(data, Mapping | np.ndarray):
        yield from _read(data, graph, batch)
        return
    if isinstance(data, Iterator):
        raise ModelError(
            "the data can be gone over only once, and it is read several times: give a list, or an "
            "object whose __iter__ begins anew"
        )
    number = 0
    for number, each in enumerate(data, 1):
        try:
            yield from _read(each, graph, batch)
        except ModelError as error:
            raise ModelError(f"set {number} of the data: {error}") from None
    if not number:
        raise ModelError("the data is empty")


def _read(data: Mapping[str, Any] | Array, graph: Graph, batch: int) -> Iterator[Feed]:
    wanted = [v for v in graph.inputs if v not in graph.defaults]
    arrays = {v: _typed(v, array) for v, array in _named(data, wanted).items()}
    extra = {array.ndim - _rank(v) for v, array in arrays.items() if array.ndim or _rank(v)}
    if not extra <= {0, 1}:
        _check_shapes(arrays, whole=False)
    if len(extra) > 1:
        raise ModelError("in some of the data each sample is a batch, and in some it is not")
    whole = extra == {1}
    count = _count(arrays)
    _check_shapes(arrays, whole)
    fixed = None if whole else _fixed(wanted, count)
    step = 1 if whole else fixed or batch
    for at in range(0, count - count % step if fixed else count, step):
        yield _feed(arrays, slice(at, min(at + step, count)), whole)


def _named(data: Mapping[str, Any] | Array, wanted: list[Value]) -> dict[Value, Array]:
    names = [v.name for v in wanted]
    listed = ", ".join(f"'{name}'" for name in names)
    if not isinstance(data, Mapping):
        if len(wanted) != 1:
            raise ModelError(f"the data is one array, and the model has the inputs {listed}")
        data = {names[0]: data}
    missing = [f"'{name}'" for name in names if name not in data]
    unknown = [f"'{name}'" for name in data if name not in names]
    if missing:
        raise ModelError(f"the data has nothing for the inputs {', '.join(missing)}")
    if unknown:
        raise ModelError(f"the data has {', '.join(unknown)}, and the model's inputs are {listed}")
    return {v: np.asarray(data[v.name]) for v in wanted}


def _rank(value: Value) -> int:
    rank = value.type.rank if isinstance(value.type, TensorType) else None
    if rank is None:
        raise ModelError(
            f"the input '{value.name}' has no shape, so that data cannot be held to it"
        )
    return rank


def _typed(value: Value, array: Array) -> Array:
    """The data in the input's element type, where that loses nothing but digits of floats."""
    if not isinstance(value.type, TensorType):
        raise ModelError(f"the input '{value.name}' is {value.type}, and data is made of arrays")
    if array.dtype.kind in "iufc":
        array = array.astype(array.dtype.newbyteorder("="), copy=False)  # as other machines write
    dtype, kind = value.type.dtype, NAMES.get(array.dtype, str(array.dtype))
    if dtype == "str" and array.dtype.kind in "OUS":
        return array.astype(object)
    with np.errstate(over="ignore", invalid="ignore"):
        found = array.astype(NUMPY[dtype]) if array.dtype.kind in "biufV" else None
    same_kind = (dtype in FLOATS) == (kind in FLOATS)
    if found is None or not same_kind or (kind not in FLOATS and not (found == array).all()):
        raise ModelError(f"the input '{value.name}' is {dtype}, and its data is {kind}")
    if dtype in FLOATS and np.isnan(found.astype(np.float64)).any():
        raise ModelError(f"the data for '{value.name}' holds NaN")
    return found


def _count(arrays: Mapping[Value, Array]) -> int:
    counts = {v.name: len(array) for v, array in arrays.items() if array.ndim}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{n} of '{name}'" for name, n in counts.items())
        raise ModelError(f"the data is not of the same number of samples: {said}")
    if 0 in counts.values() or any(not array.size for array in arrays.values()):
        raise ModelError("the data holds no samples")
    return next(iter(counts.values()), 1)


def _check_shapes(arrays: Mapping[Value, Array], whole: bool) -> None:
    known: dict[str, tuple[int, str]] = {}
    for value, array in arrays.items():
        assert isinstance(value.type, TensorType)
        dims = value.type.shape or ()
        given = array.shape[1:] if whole else array.shape
        first = 0 if whole else 1
        said = f"the input '{value.name}' is {value.type}, and its data has the shape"
        if len(given) != len(dims) or any(
            isinstance(d, int) and d != n for d, n in list(zip(dims, given, strict=True))[first:]
        ):
            raise ModelError(f"{said} {list(array.shape)}")
        for dim, n in list(zip(dims, given, strict=True))[first:]:
            size, name = known.setdefault(str(dim), (n, value.name))
            if size != n:
                raise ModelError(f"the size {dim} is {size} in '{name}' and {n} in '{value.name}'")
    _check_formulas(known, arrays)


def _check_formulas(known: Mapping[str, tuple[int, str]], values: Iterable[Value]) -> None:
    """Hold sizes that are named by a formula to it."""
    sizes = {name: size for name, (size, _) in known.items()}
    dims = {d for v in values if isinstance(v.type, TensorType) for d in v.type.shape or ()}
    for dim in dims:
        if isinstance(dim, Sym) and str(dim) in known and atoms_of(dim) <= sizes.keys():
            size, name = known[str(dim)]
            if evaluate(dim, sizes) != size:
                raise ModelError(
                    f"the size {dim} is {size} in '{name}' and should be {evaluate(dim, sizes)}"
                )


def _fixed(wanted: list[Value], count: int) -> int | None:
    """How many samples the model takes at a time, where that is not free."""
    first = {v.type.shape[0] for v in wanted if isinstance(v.type, TensorType) and v.type.shape}
    numbers = {n for n in first if isinstance(n, int)}
    if len(numbers) > 1 or max(numbers, default=0) > count:
        taken = " or ".join(map(str, sorted(numbers)))
        raise ModelError(f"the model takes {taken} samples at a time, and the data holds {count}")
    return max(numbers, default=0) or None


def _feed(arrays: Mapping[Value, Array], part: slice, whole: bool) -> Feed:
    def taken(array: Array) -> Array:
        if not array.ndim:
            return array
        return np.asarray(array[part.start]) if whole else array[part]

    last = part.stop - 1
    single = part.start == last
    about = (
        f"sample {last} of the data" if single else f"samples {part.start} to {last} of the data"
    )
    return Feed({v.name: taken(array) for v, array in arrays.items()}, about)
