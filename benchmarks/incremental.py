"""What keeping keys and values gains in generation: a table in Markdown.

    python benchmarks/incremental.py --out incremental.md

A GPT-2 of random weights (of its small size, or as told) writes new tokens after a prompt, one at
a time, on ONNX Runtime: as torch.onnx exports it without a cache; as `graphwright incremental`
makes it go on from kept keys and values; and as torch.onnx exports it with them. All three have to
write the same tokens. Runs take turns, and the fastest of each counts. torch and transformers
export the model.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Way = Callable[[Array, int], Array]
ROUNDS = 3
MOST = 1024


def config(layers: int, width: int, words: int) -> Any:
    """GPT-2, of 64 channels a head."""
    import transformers

    return transformers.GPT2Config(
        vocab_size=words,
        n_embd=width,
        n_layer=layers,
        n_head=width // 64,
        n_positions=MOST,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="eager",
    )


def exported(model: Any, folder: Path) -> tuple[Path, Path]:
    """The model without a cache, and with one, both as torch.onnx writes them."""
    import torch
    from transformers import DynamicCache

    layers, heads = model.config.n_layer, model.config.n_head

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

    class Plain(Whole):
        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            given = {"input_ids": input_ids, "attention_mask": attention_mask}
            return self.model(**given, use_cache=False).logits

    class Cached(Whole):
        def forward(self, input_ids: Any, attention_mask: Any, *past: Any) -> Any:
            cache = DynamicCache()
            for i in range(layers):
                cache.update(past[2 * i], past[2 * i + 1], i)
            given = {"input_ids": input_ids, "attention_mask": attention_mask}
            found = self.model(**given, past_key_values=cache, use_cache=True)
            return (
                found.logits,
                *(t for layer in cache.layers for t in (layer.keys, layer.values)),
            )

    names = [f"{i}.{what}" for i in range(layers) for what in ("key", "value")]
    tokens = {"input_ids": {0: "batch", 1: "new"}}
    ids, past = torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, heads, 5, 64)
    paths = folder / "plain.onnx", folder / "cached.onnx"
    common: dict[str, Any] = {"opset_version": 17, "dynamo": False}
    torch.onnx.export(
        Plain().eval(),
        (ids, torch.ones(1, 3, dtype=torch.long)),
        paths[0],
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_axes={**tokens, "attention_mask": {0: "batch", 1: "new"}},
        **common,
    )
    torch.onnx.export(
        Cached().eval(),
        (ids, torch.ones(1, 8, dtype=torch.long), *(past.clone() for _ in names)),
        paths[1],
        input_names=["input_ids", "attention_mask", *(f"past_key_values.{n}" for n in names)],
        output_names=["logits", *(f"present.{n}" for n in names)],
        dynamic_axes={
            **tokens,
            "attention_mask": {0: "batch", 1: "all"},
            **{f"past_key_values.{n}": {0: "batch", 2: "past"} for n in names},
        },
        **common,
    )
    return paths


def session(path: Path) -> Any:
    """ONNX Runtime, as it comes, with threads that wait without spinning."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def again(path: Path) -> Way:
    """Generation that computes all tokens for each new one."""
    run = session(path)

    def write(prompt: Array, new: int) -> Array:
        ids = prompt
        for _ in range(new):
            (logits,) = run.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
            ids = np.hstack([ids, logits[:, -1:].argmax(-1)])
        return ids

    return write


def going_on(first: Path, then: Path, heads: int) -> Way:
    """Generation that keeps keys and values; the first of two equal files begins with none."""
    prefill = session(first)
    step = prefill if first == then else session(then)
    empty = np.zeros((1, heads, 0, 64), np.float32)
    names = [o.name for o in step.get_outputs()][1:]
    pasts = [name.replace("present", "past_key_values") for name in names]

    def write(prompt: Array, new: int) -> Array:
        ids = token = prompt
        kept = dict.fromkeys(pasts, empty) if step is prefill else {}
        run = prefill
        for _ in range(new):
            given = {"input_ids": token, "attention_mask": np.ones_like(ids), **kept}
            logits, *present = run.run(None, given)
            kept, run = dict(zip(pasts, present, strict=True)), step
            token = logits[:, -1:].argmax(-1)
            ids = np.hstack([ids, token])
        return ids

    return write


def table(ways: dict[str, Way], words: int, prompts: list[int], new: int) -> Iterator[str]:
    """A row for each length of a prompt."""
    heads = " | ".join(f"{name}, s" for name in ways)
    yield f"| prompt | {heads} | faster | of the cached export |"
    yield f"|--:|{'--:|' * (len(ways) + 2)}"
    for length in prompts:
        prompt = np.random.default_rng(length).integers(0, words, (1, length))
        times: dict[str, list[float]] = {name: [] for name in ways}
        wrote: dict[str, Array] = {}
        for turn in range(ROUNDS):
            order = list(ways)[turn % len(ways) :] + list(ways)[: turn % len(ways)]
            for name in order:
                began = time.perf_counter()
                wrote[name] = ways[name](prompt, new)
                times[name].append(time.perf_counter() - began)
        assert len({w.tobytes() for w in wrote.values()}) == 1, "they write other tokens"
        plain, own, cached = (min(each) for each in times.values())
        said = f"{plain:.2f} | {own:.2f} | {cached:.2f}"
        yield f"| {length} | {said} | {plain / own:.1f} | {own / cached:.2f} |"


def report(layers: int, width: int, words: int, prompts: list[int], new: int) -> Iterator[str]:
    """Everything that is measured, as lines of Markdown."""
    import torch
    import transformers

    import graphwright as gw

    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(config(layers, width, words)).eval()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with torch.no_grad():
            plain, cached = exported(model, folder)
        found = gw.incremental(plain)
        assert found.verified is None or found.verified.ok, found.verified
        files = gw.save_incremental(found, folder / "made")
        heads = width // 64
        ways = {
            "no cache": again(plain),
            "incremental": going_on(*files, heads),
            "cached export": going_on(cached, cached, heads),
        }
        yield f"{layers} layers, {width} channels, {words:,} words; {new} new tokens.\n"
        yield from table(ways, words, prompts, new)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description="What keeping keys and values gains.")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--words", type=int, default=50257)
    parser.add_argument("--prompts", type=int, nargs="+", default=[256, 1])
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path(".demo/incremental.md"))
    asked = parser.parse_args()
    lines = report(asked.layers, asked.width, asked.words, asked.prompts, asked.new)
    text = "\n".join(lines) + "\n"
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
