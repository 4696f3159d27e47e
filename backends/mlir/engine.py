"""A module compiled and run on this CPU by MLIR's execution engine."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch_mlir import ir, runtime
from torch_mlir.execution_engine import ExecutionEngine

from graphwright.backends.mlir.lowering import TO_LLVM, run_passes
from graphwright.ir.const import Array
from graphwright.ir.errors import ModelError

DType = np.dtype[Any]


class Engine:
    """The function `main` of a linalg module, whose results are of the types given.

    What it allocates for results is copied and not freed, since a result may also be one of the
    arrays given or a constant of the module, which nobody may free; its process ends soon.
    """

    def __init__(self, module: ir.Module, results: Sequence[DType]) -> None:
        functions = module.body.operations
        main = next(each for each in functions if each.attributes["sym_name"].value == "main")
        self.ranks = [ir.RankedTensorType(each).rank for each in main.type.results]
        self.results = results
        with module.context:
            main.attributes["llvm.emit_c_interface"] = ir.UnitAttr.get()
        run_passes(module, *TO_LLVM)
        self.engine = ExecutionEngine(module, opt_level=0)
        try:
            self.engine.lookup("main")
        except RuntimeError:  # which symbol was not found it says on stderr alone
            raise ModelError(
                "what torch-mlir compiled needs a function that the CPU and its libraries lack, as "
                "the one that makes 16 bits of a float64"
            ) from None

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """The results for `arrays`, which stand in the order of the function's arguments."""
        kept = [np.ascontiguousarray(each).reshape(np.shape(each)) for each in arrays]
        fields = [_descriptor(*each) for each in zip(self.ranks, self.results, strict=True)]
        # A function of several results gives a struct of them, and of one the one.
        given = type("Results", (ctypes.Structure,), {"_fields_": _named(fields)})()
        arguments = [given, *map(runtime.get_ranked_memref_descriptor, kept)]
        pointers = [ctypes.pointer(ctypes.pointer(each)) for each in arguments]
        self.engine.invoke("main", *pointers)
        found = [getattr(given, name) for name, _ in _named(fields)]
        return [_array(*each) for each in zip(found, self.ranks, self.results, strict=True)]


def _named(fields: Sequence[type]) -> list[tuple[str, type]]:
    return [(f"result{i}", field) for i, field in enumerate(fields)]


def _descriptor(rank: int, dtype: DType) -> type[ctypes.Structure]:
    element = runtime.as_ctype(dtype)
    made: type[ctypes.Structure] = (
        runtime.make_nd_memref_descriptor(rank, element)
        if rank
        else runtime.make_zero_d_memref_descriptor(element)
    )
    return made


def _array(result: Any, rank: int, dtype: DType) -> Array:
    """A copy of what a descriptor points at."""
    shape = tuple(result.shape) if rank else ()
    strides = tuple(s * dtype.itemsize for s in result.strides) if rank else ()
    start = ctypes.addressof(result.aligned.contents) + result.offset * dtype.itemsize
    reach = sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + dtype.itemsize
    if not all(shape):
        return np.empty(shape, dtype)
    held = (ctypes.c_char * reach).from_address(start)
    return np.ndarray(shape, dtype, held, 0, strides).copy()
