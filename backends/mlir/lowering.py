"""From ONNX's operators to linalg on tensors, and on to what LLVM compiles, with torch-mlir."""

from __future__ import annotations

import re
from typing import Any

import onnx
from torch_mlir import ir
from torch_mlir.dialects import torch as torch_dialect
from torch_mlir.extras import onnx_importer
from torch_mlir.passmanager import PassManager

from graphwright.ir.errors import ModelError

TO_LINALG = (
    "torch-onnx-to-torch-backend-pipeline",
    "torch-backend-to-linalg-on-tensors-backend-pipeline",
)

EXPANDED = {"Attention", "MeanVarianceNormalization"}
"""What torch-mlir lowers once it is written out as ONNX's text defines it."""

TO_LLVM = (
    "func.func(refback-generalize-tensor-pad)",
    "func.func(refback-generalize-tensor-concat)",
    "func.func(tm-tensor-bufferize)",
    # Without copies before writes what scatters and sorts writes would be read as it was before.
    "one-shot-bufferize{copy-before-write bufferize-function-boundaries "
    "function-boundary-type-conversion=identity-layout-map}",
    "refback-mlprogram-bufferize",
    "inline",
    "func.func(tm-tensor-to-loops)",
    "func.func(refback-munge-memref-copy)",
    "func.func(convert-linalg-to-loops)",
    "func.func(lower-affine)",
    "convert-scf-to-cf",
    "func.func(expand-strided-metadata)",
    "func.func(math-extend-to-supported-types)",
    "func.func(refback-expand-ops-for-llvm)",
    # bfloat16 is computed in float32 and rounded by hand: the engine lacks the function that does.
    "func.func(arith-emulate-unsupported-floats{source-types=bf16 target-type=f32})",
    "func.func(arith-expand{include-bf16=true})",
    "func.func(convert-math-to-llvm)",
    "convert-math-to-libm",
    "expand-strided-metadata",
    "lower-affine",
    "convert-arith-to-llvm",
    "finalize-memref-to-llvm",
    "convert-func-to-llvm",
    "convert-cf-to-llvm",
    "canonicalize",
    "reconcile-unrealized-casts",
)


def linalg(model: onnx.ModelProto) -> ir.Module:
    """The module whose function `main` computes the model.

    Raises ModelError, which names the operator that is in the way.
    """
    context = ir.Context()
    torch_dialect.register_dialect(context)
    expanded = onnx_importer.Config(function_expansion_allowlists_by_domain={"": EXPANDED})
    info = onnx_importer.ModelInfo(model, config=expanded)
    try:
        module = info.create_module(context=context)
        importer = onnx_importer.NodeImporter.define_function(info.main_graph, module.operation)
        importer.import_all()
        module.operation.verify()
    except Exception as error:  # it raises what it likes
        raise ModelError(f"torch-mlir cannot read the model: {_line(str(error))}") from None
    for each in TO_LINALG:
        run_passes(module, each)
    return module


def run_passes(module: ir.Module, *passes: str) -> None:
    """Run passes on a module. Raises ModelError, which names the operator that is in the way."""
    said: list[tuple[str, str]] = []

    def hear(diagnostic: Any) -> bool:
        if diagnostic.severity == ir.DiagnosticSeverity.ERROR:
            said.append((diagnostic.message, str(diagnostic.location)))
        return True

    with module.context as context:
        handler = context.attach_diagnostic_handler(hear)
        try:
            PassManager.parse(f"builtin.module({','.join(passes)})").run(module.operation)
        except ir.MLIRError as error:
            first = [(d.message, str(d.location)) for d in error.error_diagnostics]
            message, where = (said + first or [(str(error), "")])[0]
            raise ModelError(f"torch-mlir cannot lower {refused(message, where)}") from None
        finally:
            handler.detach()


def refused(message: str, where: str) -> str:
    """The operator that a diagnostic speaks of, where in the model it is, and what was said."""
    named = re.search(r'"onnx\.(\w+)"', message) or re.search(r"'(?:torch\.)?([\w.]+)' op", message)
    legal = re.search(r"failed to legalize(?: unresolved materialization)?[^']*'([\w.]+)'", message)
    op = named[1] if named else legal[1] if legal else ""
    node = re.search(r'loc\("([^"]+)"', where)
    at = f" at '{node[1]}'" if node else ""
    if named and "failed to legalize" in message:
        return f"the operator {op}{at}"
    return f"the operator {op}{at}: {_line(message)}" if op else f"the model{at}: {_line(message)}"


def _line(text: str) -> str:
    said = " ".join(text.split())
    return said if len(said) <= 200 else f"{said[:197]}..."
