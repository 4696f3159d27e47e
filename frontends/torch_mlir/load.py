"""A module of torch-mlir, or the text of one in a file, as a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch_mlir import ir
from torch_mlir.dialects import torch as torch_dialect

from graphwright.frontends.torch_mlir.literals import Blobs, Weights
from graphwright.frontends.torch_mlir.read import Signature, read_function
from graphwright.frontends.torch_mlir.trial import check
from graphwright.ir.errors import ModelError
from graphwright.ir.garbage import uncollected
from graphwright.ir.graph import Graph

BYTECODE = b"ML\xefR"


def load(model: Any, program: Any = None) -> Graph:
    """The graph of a module of the torch dialect, or of the text of one in the file at a path.

    `program` is the exported program that the module was made from: it gives names, and its tensors
    stand for literals that hold the same, so that no weight is there twice. Raises ModelError for
    what is no such module, and one that lists all operators that have no reading.
    """
    with uncollected():
        if isinstance(model, ir.Module):
            return _read(model, None, program)
        path = Path(model)
        try:
            data = path.read_bytes()
            check(path)
            return _read(*_parsed(data), program)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None


def _parsed(data: bytes) -> tuple[Any, str | None]:
    """A module and its text, where it was text."""
    context = ir.Context()
    torch_dialect.register_dialect(context)
    try:
        if data.startswith(BYTECODE):
            return ir.Module.parse(data, context), None
        text = data.decode("utf-8")
        return ir.Module.parse(text, context), text
    except UnicodeDecodeError:
        raise ModelError("neither text nor bytecode of MLIR") from None
    except Exception as error:  # a RuntimeError too, of names that are no text
        told = getattr(error, "error_diagnostics", ())
        first = next((str(d) for d in told), str(error))
        raise ModelError(
            f"no module of MLIR's torch dialect: {' '.join(first.split())[:200]}"
        ) from None


def _read(module: Any, text: str | None, program: Any) -> Graph:
    functions = [op for op in module.body.operations if op.operation.name == "func.func"]
    main = next((f for f in functions if f.attributes["sym_name"].value == "main"), None)
    if main is None:
        main = functions[0] if len(functions) == 1 else None
    if main is None:
        raise ModelError(f"{len(functions)} functions are there, and none is called main")
    weights, known = Weights({}), Signature()
    if program is not None:
        from graphwright.frontends.torch_mlir.program import signature_of, tensors_of

        weights, known = Weights(tensors_of(program)), signature_of(program)
    return read_function(main, Blobs(module, text), weights, known)
