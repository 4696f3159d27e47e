"""What each technique costs a real sentence encoder, with no training: a table in Markdown.

    python benchmarks/minilm_quality.py --out quality.md
    python benchmarks/minilm_quality.py --only magnitude-pruning head-pruning

MiniLM-L6 encodes news: its embeddings are to find the class of Reuters R8 texts by their five
nearest neighbours, and to be as alike as people say the Lee documents are. Every technique runs at
each of its strengths on all layers, and at one of them on each single layer, on 500 texts and Lee;
then the best setting of each of the three best techniques on 2,500 texts. It needs torch and
transformers to export the model, once; packages are fetched by pip. Results are kept beside the
table, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from minilm_texts import Array, Feed, Task, export, fetch

LAYERS = 6
SMALL, LARGE = (300, 200), (1500, 1000)  # texts to vote, and to be classified
BEST = 3

SETTINGS: dict[str, list[str]] = {
    "magnitude-pruning": ["sparsity=0.3", "sparsity=0.5", "sparsity=0.7"],
    "activation-pruning": ["sparsity=0.3", "sparsity=0.5", "sparsity=0.7"],
    "semi-structured-pruning": ["n=2,m=4", "n=2,m=4,by=activation", "n=4,m=8"],
    "block-pruning": ["sparsity=0.1", "sparsity=0.3", "sparsity=0.5"],
    "head-pruning": ["share=0.1", "share=0.25", "share=0.5"],
    "attention-drop": ["number=1", "number=2", "number=3"],
    "log2-softmax": ["bits=2", "bits=3", "bits=4", "bits=8"],
    "log-sqrt2-softmax": ["bits=2", "bits=3", "bits=4", "bits=4,scale=data", "bits=8"],
    "uniform-softmax": ["bits=2", "bits=3", "bits=4", "bits=4,scale=data", "bits=8"],
    "log-int-softmax": ["bits=2", "bits=3", "bits=4"],
    "binarized-softmax": ["share=0.1", "share=0.25", "share=0.5", "share=data"],
    "clipped-softmax": ["gamma=-0.003", "gamma=-0.01", "gamma=-0.03"],
    "threshold-softmax": ["share=0.01", "share=0.1", "share=0.3"],
    "top-k-softmax": ["k=4", "k=8", "k=16"],
    "entmax-softmax": ["alpha=1.2", "alpha=1.5", "alpha=2.0"],
    "softplus-attention": ["phi=exp,power=1", "phi=exp,power=3", "power=3"],
    "sigmoid-attention": ["bias=0.0"],
    "stablemax": [""],
    "doubly-stochastic": ["steps=1", "steps=3"],
    "sliding-window": ["width=8", "width=16", "width=32", "width=16,first=1"],
    "block-mask": ["size=16", "size=32", "size=32,around=1"],
    "binary-attention": ["what=qk"],
    "binary-weights": [""],
    "repquant-layer-norm": ["bits=4", "bits=6", "bits=8"],
}
"""The knobs that each technique is tried with, the middle one on each single layer too.

Lossless techniques are not here, nor gates and masks that are trained and change nothing before.
"""


@dataclass(frozen=True)
class Score:
    """How well a setting does, where it applied, and what it made of the weights.

    `seconds` are those of all cores.
    """

    setting: str
    texts: int
    accuracy: float
    correlation: float
    applied: int
    zeros: float
    megabytes: float
    seconds: float


def settings(only: list[str]) -> Iterator[str]:
    """What is tried, as --apply is told it; "" is the model as it was."""
    chosen = {name: knobs for name, knobs in SETTINGS.items() if not only or name in only}
    yield ""
    for name, knobs in chosen.items():
        yield from (request(name, knob) for knob in knobs)
    for name, knobs in chosen.items():
        middle = knobs[(len(knobs) - 1) // 2]
        yield from (f"{request(name, middle)}@layers={layer}" for layer in range(LAYERS))


def request(name: str, knobs: str) -> str:
    """A technique with its knobs, as --apply is told it."""
    return f"{name}:{knobs}" if knobs else name


def scored(setting: str, model: Path, task: Task) -> Score:
    """One setting applied to the model and measured."""
    import onnxruntime as ort

    import graphwright as gw

    began = time.process_time()
    asked = [setting] if setting else []
    result = gw.optimize(str(model), apply=asked, data=task.calibration, verify=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        gw.save(result.graph, path)
        zeros, size = _zeros(path), path.stat().st_size / 1e6
        options = ort.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(feed: Feed) -> Array:
        return session.run(None, feed)[0]

    accuracy, correlation = task.accuracy(run), task.correlation(run)
    count = sum(each.count for each in result.report.applied)
    texts = len(task.labels)
    seconds = time.process_time() - began
    return Score(setting, texts, accuracy, correlation, count, zeros, size, round(seconds, 1))


def _zeros(path: Path) -> float:
    """The share of zeros among the matrices that the model multiplies by."""
    import numpy as np
    import onnx

    proto = onnx.load(str(path)).graph
    read = {name for n in proto.node if n.op_type in ("MatMul", "Gemm") for name in n.input}
    found = [onnx.numpy_helper.to_array(t) for t in proto.initializer if t.name in read]
    matrices = [a for a in found if a.ndim == 2]
    return float(sum((a == 0).sum() for a in matrices) / max(1, sum(map(np.size, matrices))))


def table(scores: list[Score]) -> str:
    """All layers in one table; single layers in another; the best on more texts in a third."""
    small = [s for s in scores if s.texts == sum(SMALL)]
    whole = [s for s in small if "@" not in s.setting]
    lines = [f"On {sum(SMALL)} texts and Lee, all layers:", "", *_rows(whole)]
    single = [s for s in small if "@" in s.setting]
    if single:
        lines += ["", "One layer alone, R8 accuracy / Lee correlation:", "", *_by_layer(single)]
    large = [s for s in scores if s.texts == sum(LARGE)]
    if large:
        lines += ["", f"The best on {sum(LARGE):,} texts and Lee:", "", *_rows(large)]
    return "\n".join(lines) + "\n"


def _rows(scores: list[Score]) -> Iterator[str]:
    yield "| setting | R8 5-NN accuracy | Lee correlation | places | zeros | MB |"
    yield "|---|--:|--:|--:|--:|--:|"
    for s in scores:
        named = f"`{s.setting}`" if s.setting else "as it was"
        numbers = f"{s.accuracy:.4f} | {s.correlation:.4f} | {s.applied} | {s.zeros:.0%}"
        yield f"| {named} | {numbers} | {s.megabytes:.1f} |"


def _by_layer(scores: list[Score]) -> Iterator[str]:
    yield "| setting | " + " | ".join(map(str, range(LAYERS))) + " |"
    yield "|---|" + "--:|" * LAYERS
    rows: dict[str, dict[str, Score]] = {}
    for s in scores:
        name, _, layer = s.setting.partition("@layers=")
        rows.setdefault(name, {})[layer] = s
    for name, found in rows.items():
        cells = [found.get(str(i)) for i in range(LAYERS)]
        said = [f"{s.accuracy:.3f} / {s.correlation:.3f}" if s else "" for s in cells]
        yield f"| `{name}` | " + " | ".join(said) + " |"


def best(scores: list[Score]) -> list[str]:
    """The best setting of each of the best techniques on all layers."""
    whole = [s for s in scores if s.setting and "@" not in s.setting and s.applied]
    ranked = sorted(whole, key=lambda s: -(s.accuracy + s.correlation))
    by_name = {s.setting.partition(":")[0]: s.setting for s in reversed(ranked)}
    return sorted(by_name.values(), key=[s.setting for s in ranked].index)[:BEST]


def main() -> None:
    """Measure what was not measured yet, and write the table."""
    parser = argparse.ArgumentParser(description="What techniques cost a sentence encoder.")
    parser.add_argument("--cache", type=Path, default=Path(".demo/quality"), help="for downloads")
    parser.add_argument("--only", nargs="*", default=[], choices=sorted(SETTINGS))
    parser.add_argument("--out", type=Path, default=Path(".demo/quality/quality.md"))
    asked = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    fetch(asked.cache)
    model = export(asked.cache)
    kept = asked.out.with_suffix(".jsonl")
    scores = (
        [Score(**json.loads(line)) for line in kept.read_text().splitlines()]
        if kept.exists()
        else []
    )
    small = Task(asked.cache, *SMALL)
    wanted = list(settings(asked.only))
    _measure(wanted, small, model, scores, kept)
    mine = [s for s in scores if s.setting in wanted and s.texts == sum(SMALL)]
    _measure(["", *best(mine)], Task(asked.cache, *LARGE), model, scores, kept)
    asked.out.write_text(table(scores))
    print(asked.out.read_text())


def _measure(wanted: list[str], task: Task, model: Path, scores: list[Score], kept: Path) -> None:
    known = {(s.setting, s.texts) for s in scores}
    for setting in wanted:
        if (setting, len(task.labels)) in known:
            continue
        scores.append(scored(setting, model, task))
        with kept.open("a") as file:
            file.write(json.dumps(asdict(scores[-1])) + "\n")
        print(scores[-1], file=sys.stderr)


if __name__ == "__main__":
    main()
