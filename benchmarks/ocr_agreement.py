"""How far each technique moves a real text recogniser from what it was: a table in Markdown.

    python benchmarks/ocr_agreement.py --out agreement.md

PP-OCRv4's recogniser (Apache-2.0, out of rapidocr-onnxruntime) reads lines of news that Pillow
draws. A row says how many lines it still reads as the original does, at how many of the places
along the lines it gives the same character, and how many lines it reads as they were drawn.
Statistics are taken of other lines. It has two attentions, behind convolutions.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from minilm_quality import SETTINGS, request
from minilm_texts import Array, fetch

REQUIREMENT = "rapidocr-onnxruntime==1.4.4"
MODEL = "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"
LINES, CALIBRATION, LETTERS = 100, 16, 28
HEIGHT, MARGIN, FONT = 48, 8, 32


@dataclass(frozen=True)
class Agreement:
    """One setting: where it applied, and the shares of lines and places that stayed."""

    setting: str
    applied: int
    lines: float
    places: float
    right: float


def recogniser(folder: Path) -> Path:
    """The model, downloaded once."""
    path = folder / MODEL
    if not path.exists():
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder)]
        subprocess.run([*pip, REQUIREMENT], check=True)
        (wheel,) = folder.glob("rapidocr_onnxruntime-*.whl")
        with zipfile.ZipFile(wheel) as packed:
            packed.extract(MODEL, folder)
        wheel.unlink()
    return path


def lines(folder: Path, count: int) -> list[str]:
    """The beginnings of news, cut between words."""
    rows = (
        (folder / "orangecontrib/text/datasets/reuters-r8-test.tab").read_text("utf-8").split("\n")
    )
    texts = [row.split("\t", 1)[1] for row in rows[3:] if "\t" in row][:count]
    return [text[: text[: LETTERS + 1].rfind(" ")] for text in texts]


def drawn(text: str) -> Array:
    """A line as the recogniser reads it, [1, 3, 48, width]: dark on white, from -1 to 1."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(FONT)
    image = Image.new("RGB", (int(font.getlength(text)) + 2 * MARGIN, HEIGHT), "white")
    ImageDraw.Draw(image).text((MARGIN, MARGIN), text, fill="black", font=font)
    return np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 127.5 - 1


def characters(path: Path) -> list[str]:
    """What each class of the recogniser is; the first is none."""
    import onnx

    said = {p.key: p.value for p in onnx.load(str(path)).metadata_props}
    return ["", *said["character"].splitlines(), " "]


def read(model: Path, images: Sequence[Array]) -> list[Array]:
    """The likeliest class at each place of each line."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return [np.asarray(session.run(None, {"x": image})[0])[0].argmax(-1) for image in images]


def said(classes: Array, known: Sequence[str]) -> str:
    """The text that classes spell, repeated ones once."""
    before = [-1, *classes[:-1].tolist()]
    pairs = zip(classes.tolist(), before, strict=True)
    return "".join(known[at] for at, last in pairs if at != last).strip()


def measured(
    setting: str, model: Path, images: list[Array], was: list[Array], texts: list[str], data: Any
) -> Agreement:
    """One setting applied to the model, beside what it gave as it `was`."""
    import graphwright as gw

    known = characters(model)
    result = gw.optimize(str(model), apply=[setting] if setting else [], data=data, verify=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        gw.save(result.graph, path)
        now = read(path, images)
    same = np.concatenate([a == b for a, b in zip(was, now, strict=True)])
    before, after = ([said(each, known) for each in found] for found in (was, now))
    return Agreement(
        setting,
        sum(each.count for each in result.report.applied),
        float(np.mean([a == b for a, b in zip(before, after, strict=True)])),
        float(same.mean()),
        float(np.mean([a == b for a, b in zip(after, texts, strict=True)])),
    )


def main() -> None:
    """Measure every setting and write the table."""
    parser = argparse.ArgumentParser(description="How far techniques move a text recogniser.")
    parser.add_argument("--cache", type=Path, default=Path(".demo/quality"), help="for downloads")
    parser.add_argument("--only", nargs="*", default=[], choices=sorted(SETTINGS))
    parser.add_argument("--out", type=Path, default=Path(".demo/quality/agreement.md"))
    asked = parser.parse_args()
    fetch(asked.cache)
    model = recogniser(asked.cache)
    texts = lines(asked.cache, LINES + CALIBRATION)
    images = [drawn(text) for text in texts]
    data = [{"x": image} for image in images[LINES:]]
    images, texts = images[:LINES], texts[:LINES]
    was = read(model, images)
    rows = [
        "| setting | lines as before | places as before | lines read right | places applied |",
        "|---|--:|--:|--:|--:|",
    ]
    chosen = {
        name: knobs for name, knobs in SETTINGS.items() if not asked.only or name in asked.only
    }
    for setting in ["", *(request(name, knob) for name, knobs in chosen.items() for knob in knobs)]:
        found = measured(setting, model, images, was, texts, data)
        shares = " | ".join(f"{n:.3f}" for n in (found.lines, found.places, found.right))
        named = f"`{setting}`" if setting else "a default run"
        rows.append(f"| {named} | {shares} | {found.applied} |")
        print(rows[-1], file=sys.stderr)
    asked.out.write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
