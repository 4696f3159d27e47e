"""What other tools make of a model, in the interpreter that has them.

python benchmarks/attention_peers.py onnxscript bert-base IN OUT
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from attention_models import MODELS, Model


def _transformers(model: Model, src: str, dst: str) -> None:
    from onnxruntime.transformers.optimizer import optimize_model

    made = optimize_model(
        src, model.transformers_type, num_heads=model.heads, hidden_size=model.hidden
    )
    made.save_model_to_file(dst)


def _onnxscript(model: Model, src: str, dst: str) -> None:
    """Its optimizer, then its fusions for ONNX Runtime."""
    import onnx_ir
    from onnxscript import optimizer
    from onnxscript.rewriter import ort_fusions

    loaded = onnx_ir.load(src)
    optimizer.optimize(loaded)
    ort_fusions.optimize_for_ort(loaded)
    onnx_ir.save(loaded, dst)


TOOLS: dict[str, Callable[[Model, str, str], None]] = {
    "transformers": _transformers,
    "onnxscript": _onnxscript,
}


def main() -> None:
    """Run one tool on one file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tool", choices=list(TOOLS))
    parser.add_argument("model", choices=list(MODELS))
    parser.add_argument("src")
    parser.add_argument("dst")
    args = parser.parse_args()
    TOOLS[args.tool](MODELS[args.model], args.src, args.dst)


if __name__ == "__main__":
    main()
