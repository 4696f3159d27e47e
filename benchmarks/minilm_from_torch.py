"""A sentence encoder from its safetensors to ONNX, without torch.onnx, scored before and after.

    python benchmarks/minilm_from_torch.py
    python benchmarks/minilm_from_torch.py --texts 300 200 --target onnx

MiniLM-L6 is loaded by transformers, read by torch.export, optimized, written, and run by ONNX
Runtime. Its embeddings are scored as PyTorch's own are: by the class of Reuters R8 texts that the
five nearest neighbours vote for, and by how well they agree with people on the Lee documents. It
needs torch and transformers; packages are fetched by pip.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
from minilm_texts import Array, Feed, Task, encoder, fetch

NAMES = ("input_ids", "attention_mask")


def written(module: Any, task: Task, target: str, path: Path) -> str:
    """Write the optimized model to `path`; what was found and done, in a sentence."""
    import torch

    import graphwright as gw

    example = tuple(torch.from_numpy(task.calibration[0][name][:2]) for name in NAMES)
    sizes = {0: "batch", 1: "tokens"}
    graph = gw.load(module, example, dynamic_shapes=(sizes, sizes))
    result = gw.optimize(graph, target=target, data=task.calibration[:1])
    assert result.report.ok, result.report
    gw.save(result.graph, path)
    found = len(gw.attentions(graph).found)
    return f"{found} attentions found, {len(graph.nodes())} -> {len(result.graph.nodes())} nodes"


def main() -> None:
    """Both, side by side."""
    parser = argparse.ArgumentParser(description="A sentence encoder from PyTorch to ONNX.")
    parser.add_argument("--cache", type=Path, default=Path(".demo/quality"), help="for downloads")
    parser.add_argument(
        "--texts", type=int, nargs=2, default=(1500, 1000), help="to vote, to class"
    )
    parser.add_argument("--target", default="ort", choices=["ort", "onnx"])
    parser.add_argument("--attention", default="sdpa", choices=["sdpa", "eager"])
    asked = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    fetch(asked.cache)
    import onnxruntime
    import torch

    task = Task(asked.cache, *asked.texts)
    module = encoder(asked.cache, asked.attention)
    path = asked.cache / f"minilm-l6.{asked.attention}.{asked.target}.onnx"
    print(written(module, task, asked.target, path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def by_torch(feed: Feed) -> Array:
        with torch.inference_mode():
            return np.asarray(module(*(torch.from_numpy(feed[name]) for name in NAMES)))

    def by_onnx(feed: Feed) -> Array:
        return np.asarray(session.run(None, feed)[0])

    print("| model | R8 5-NN accuracy | Lee correlation |\n|---|--:|--:|")
    for name, run in (("PyTorch", by_torch), ("graphwright's ONNX", by_onnx)):
        print(f"| {name} | {task.accuracy(run):.4f} | {task.correlation(run):.4f} |", flush=True)
    apart = max(float(np.abs(by_torch(f) - by_onnx(f)).max()) for f in task.lee.feeds)
    print(f"vectors of tokens are at most {apart:.1e} apart on the Lee documents")


if __name__ == "__main__":
    main()
