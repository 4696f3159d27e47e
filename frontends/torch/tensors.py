"""PyTorch's tensors and sizes as ours."""

from __future__ import annotations

from typing import Any

import torch

from graphwright.ir.const import Array, Const
from graphwright.ir.dims import Dim, Sym, least, sym
from graphwright.ir.errors import ModelError
from graphwright.ir.types import NUMPY, TensorType

DTYPES = {
    torch.float16: "f16",
    torch.float32: "f32",
    torch.float64: "f64",
    torch.bfloat16: "bf16",
    torch.int8: "i8",
    torch.int16: "i16",
    torch.int32: "i32",
    torch.int64: "i64",
    torch.uint8: "u8",
    torch.uint16: "u16",
    torch.uint32: "u32",
    torch.uint64: "u64",
    torch.bool: "bool",
    torch.complex64: "c64",
    torch.complex128: "c128",
    torch.float8_e4m3fn: "f8e4m3fn",
    torch.float8_e5m2: "f8e5m2",
}
"""Our names of PyTorch's element types."""

_FOREIGN = {"bf16": torch.int16, "f8e4m3fn": torch.uint8, "f8e5m2": torch.uint8}


def dtype_of(dtype: Any) -> str:
    """Our name of an element type. Raises ModelError for one that no graph has."""
    found = DTYPES.get(dtype)
    if found is None:
        raise ModelError(f"the element type {dtype} is not read")
    return found


def const_of(tensor: Any) -> Const:
    """A constant over the memory of a tensor, which is looked at when somebody asks."""
    type_ = TensorType(dtype_of(tensor.dtype), tuple(tensor.shape))

    def read() -> Array:
        if tensor.is_meta:
            raise ModelError("the weights are not there: the module is on the device 'meta'")
        whole = tensor.detach().cpu().contiguous()
        foreign = _FOREIGN.get(type_.dtype)
        if foreign is not None:
            found: Array = whole.view(foreign).numpy().view(NUMPY[type_.dtype])
        else:
            found = whole.numpy()
        return found

    return Const(type_, read, payload=tensor)


class Sizes:
    """PyTorch's symbolic sizes as ours; `names` says what symbols are called."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def type_of(self, tensor: Any) -> TensorType:
        """The type of a tensor, or of what stands for one."""
        return TensorType(dtype_of(tensor.dtype), tuple([self.dim(n) for n in tensor.shape]))

    def dim(self, size: Any) -> Dim:
        """A size. Raises ModelError for one that depends on data, or is no sum of products."""
        return int(size) if isinstance(size, int) else self._formula(size.node.expr)

    def _formula(self, expr: Any) -> Dim:
        if expr.is_Integer:
            return int(expr)
        if expr.is_Symbol:
            if expr.name.startswith("u"):
                raise ModelError("a size depends on what a tensor holds, which is not read")
            return sym(self.names.get(expr.name, expr.name))
        if expr.is_Pow and expr.exp.is_Integer and int(expr.exp) > 0:
            whole: Dim = 1
            for _ in range(int(expr.exp)):
                whole = whole * self._formula(expr.base)
            return whole
        parts = [self._formula(arg) for arg in expr.args]
        match type(expr).__name__:
            case "Add":
                return sum(parts[1:], parts[0])
            case "Mul":
                total = parts[0]
                for part in parts[1:]:
                    total = total * part
                return total
            case "FloorDiv" | "CleanDiv" | "PythonFloorDiv":
                return parts[0] // parts[1]
            case "Mod" | "PythonMod":
                return parts[0] - parts[1] * (parts[0] // parts[1])
            case "Min":
                return _least(parts)
        raise ModelError(f"the size {expr} is not read")


def _least(parts: list[Dim]) -> Dim:
    numbers = [p for p in parts if isinstance(p, int)]
    sizes = [p for p in parts if isinstance(p, Sym)]
    if len(sizes) != 1 or not numbers:
        raise ModelError(f"the smallest of {', '.join(map(str, parts))} is not read")
    return least(sizes[0], min(numbers))
