"""Kernels compiled for a GPU that need not be here, and what they take of one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any

DTYPES = {"f32": "fp32", "f16": "fp16", "bf16": "bf16"}


@dataclass(frozen=True)
class Compiled:
    """The code of a kernel for one architecture, and what one program takes of the hardware.

    `shared` is bytes of shared memory; `registers` and `spilled`, which is bytes, are a thread's.
    """

    ptx: str
    shared: int
    registers: int
    spilled: int


def compiled(
    module: ModuleType,
    dtype: str,
    capability: int,
    config: tuple[int, int, int, int],
    entry: str = "forward",
) -> Compiled:
    """A kernel's module compiled for `capability` 80, 90 and so on, without a GPU.

    `config` is as the module's `configs` gives it: rows, keys, warps, stages. `entry` is the
    function, `forward` or another kernel that the module has. Raises what Triton
    raises where it does not compile.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    rows, keys, warps, stages = config
    constants = {"WIDE": False, "BLOCK_S": rows, "BLOCK_T": keys}
    kernel: Any = getattr(module, entry)
    constants |= {"KEEP": True} if "KEEP" in kernel.arg_names else {}
    known = {"mask_at": "*u8", "bounds_at": "*i32", "tables_at": "*fp32"}
    known |= {"lse_at": "*fp32", "delta_at": "*fp32"}
    if entry == "forward_part":
        known |= {"y_at": "*fp32", "top_at": "*fp32", "total_at": "*fp32"}
    signature = {
        name: "constexpr" if name in constants else known.get(name) or _type(name, dtype)
        for name in kernel.arg_names
    }
    index = {name: i for i, name in enumerate(kernel.arg_names)}
    # As at run time, where tensors are aligned and widths of rows are multiples of 16.
    aligned = [n for n in signature if n.endswith("_at") or re.search(r"^[qkvy]_", n)]
    source = ASTSource(
        kernel,
        signature=signature,
        constexprs={(index[name],): value for name, value in constants.items()},
        attrs={(index[name],): [["tt.divisibility", 16]] for name in aligned},
    )
    made = triton.compile(
        source,
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": warps, "num_stages": stages},
    )
    registers, spilled = _taken(made.asm["cubin"])
    return Compiled(made.asm["ptx"], made.metadata.shared, registers, spilled)


def _type(name: str, dtype: str) -> str:
    return f"*{DTYPES[dtype]}" if name.endswith("_at") else "i32"


def _taken(cubin: bytes) -> tuple[int, int]:
    """Registers of a thread, and bytes of them that did not fit, as the cubin says."""
    import subprocess
    import tempfile
    from pathlib import Path

    from triton.knobs import nvidia

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        command = [nvidia.cuobjdump.path, "-res-usage", str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    registers = re.search(r"REG:(\d+)", said)
    local = re.search(r"LOCAL:(\d+)", said)
    stack = re.search(r"STACK:(\d+)", said)
    assert registers is not None, said
    return int(registers[1]), sum(int(each[1]) for each in (local, stack) if each is not None)
