"""The models of attention_latency.py, and inputs for them.

PyTorch and transformers are imported only where a model is exported, in the peers' interpreter:

    python benchmarks/attention_models.py bert-base sdpa bert-base.onnx
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

IDS = 1000  # token ids are below it: every vocabulary here is larger
VIT_TOKENS = 197
Array = np.ndarray[Any, np.dtype[Any]]
Feed = dict[str, Array]
Size = tuple[int, int]  # samples, and tokens of each; with a cache, tokens that it holds


@dataclass(frozen=True)
class Model:
    """What tools want to be told of a model; `transformers_type` is ONNX Runtime's name for it."""

    transformers_type: str
    heads: int
    hidden: int
    tokens: int | None = None  # where the model fixes how many there are


MODELS = {
    "bert-base": Model("bert", 12, 768),
    "vit-b": Model("vit", 12, 768, tokens=VIT_TOKENS),
    "gpt2-small": Model("gpt2", 12, 768),
    "llama-prefill": Model("gpt2", 16, 1024),
    "llama-decode": Model("gpt2", 16, 1024),
    "minilm": Model("bert", 12, 384),
}
FETCHED = "minilm"  # real and trained: not exported here
LLAMA = {
    "hidden_size": 1024,
    "num_hidden_layers": 8,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "intermediate_size": 2816,
}


def feed(inputs: Sequence[Any], size: Size, *, padded: bool) -> Feed:
    """Inputs of a session: full samples, or the last one with a third of its tokens hidden.

    A cache is hidden from its start, as those are that grew from samples padded on the left.
    """
    batch, tokens = size
    rng = np.random.default_rng(0)
    cached = any(each.name.startswith("past") for each in inputs)
    made: Feed = {}
    for each in inputs:
        if each.name.startswith("past"):
            _, heads, _, width = each.shape
            made[each.name] = rng.standard_normal((batch, heads, tokens, width), np.float32)
        elif "pixel" in each.name:
            made[each.name] = rng.standard_normal((batch, *each.shape[1:]), np.float32)
        elif "mask" in each.name:
            mask = np.ones((batch, tokens + cached), np.int64)
            if padded:
                hidden = tokens // 3
                mask[-1, slice(hidden) if cached else slice(tokens - hidden, None)] = 0
            made[each.name] = mask
        elif "position" in each.name:
            made[each.name] = np.full((batch, 1), tokens, np.int64)
        elif "type" in each.name:
            made[each.name] = np.zeros((batch, tokens), np.int64)
        else:
            made[each.name] = rng.integers(4, IDS, (batch, 1 if cached else tokens))
    return made


@dataclass(frozen=True)
class Case:
    """A module with what it is exported with."""

    module: torch.nn.Module
    inputs: dict[str, torch.Tensor]
    outputs: Sequence[str]
    dynamic: dict[str, dict[int, str]]


def _by_name(model: torch.nn.Module, names: Sequence[str], **fixed: object) -> torch.nn.Module:
    """`model`, taking tensors in order and giving its last hidden state alone."""
    import torch

    class ByName(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *args: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = self.model(
                **dict(zip(names, args, strict=True)), **fixed
            ).last_hidden_state
            return hidden

    return ByName()


def _text(model: torch.nn.Module, *names: str, **fixed: object) -> Case:
    """A model of token ids and of masks and types of the same shape."""
    import torch

    inputs = {name: torch.ones(2, 16, dtype=torch.long) for name in names}
    inputs["input_ids"] = torch.randint(4, IDS, (2, 16))
    dynamic = {name: {0: "batch", 1: "seq"} for name in ("hidden", *names)}
    return Case(_by_name(model, names, **fixed), inputs, ["hidden"], dynamic)


def _bert(attention: str) -> Case:
    from transformers import BertConfig, BertModel

    config = BertConfig(attn_implementation=attention)
    model = BertModel(config, add_pooling_layer=False)
    return _text(model, "input_ids", "attention_mask", "token_type_ids")


def _gpt2(attention: str) -> Case:
    from transformers import GPT2Config, GPT2Model

    model = GPT2Model(GPT2Config(attn_implementation=attention))
    return _text(model, "input_ids", "attention_mask", use_cache=False)


def _llama(attention: str) -> torch.nn.Module:
    from transformers import LlamaConfig, LlamaModel

    model: torch.nn.Module = LlamaModel(LlamaConfig(**LLAMA, attn_implementation=attention))
    return model


def _prefill(attention: str) -> Case:
    return _text(_llama(attention), "input_ids", "attention_mask", use_cache=False)


def _vit(attention: str) -> Case:
    import torch
    from transformers import ViTConfig, ViTModel

    model = ViTModel(ViTConfig(attn_implementation=attention), add_pooling_layer=False)
    inputs = {"pixel_values": torch.randn(2, 3, 224, 224)}
    dynamic = {name: {0: "batch"} for name in ("pixel_values", "hidden")}
    return Case(_by_name(model, ["pixel_values"]), inputs, ["hidden"], dynamic)


def _decode(attention: str) -> Case:
    """One token for each sample, with the keys and values of those before as inputs and outputs."""
    import torch
    from transformers import DynamicCache

    layers, heads = LLAMA["num_hidden_layers"], LLAMA["num_key_value_heads"]
    width = LLAMA["hidden_size"] // LLAMA["num_attention_heads"]
    model, past = _llama(attention), 12

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *args: torch.Tensor) -> tuple[torch.Tensor, ...]:
            ids, mask, positions, *flat = args
            cache = DynamicCache()
            for layer in range(layers):
                cache.update(flat[2 * layer], flat[2 * layer + 1], layer)
            given = {"attention_mask": mask, "position_ids": positions}
            made = self.model(input_ids=ids, past_key_values=cache, use_cache=True, **given)
            present = [each for layer in cache.layers for each in (layer.keys, layer.values)]
            return (made.last_hidden_state, *present)

    inputs = {
        "input_ids": torch.randint(4, IDS, (2, 1)),
        "attention_mask": torch.ones(2, past + 1, dtype=torch.long),
        "position_ids": torch.full((2, 1), past),
    }
    dynamic = {"hidden": {0: "batch"}, "input_ids": {0: "batch"}, "position_ids": {0: "batch"}}
    dynamic["attention_mask"] = {0: "batch", 1: "all"}
    outputs = ["hidden"]
    for name in (f"{layer}.{part}" for layer in range(layers) for part in ("key", "value")):
        inputs[f"past.{name}"] = torch.randn(2, heads, past, width)
        dynamic[f"past.{name}"] = {0: "batch", 2: "past"}
        dynamic[f"present.{name}"] = {0: "batch", 2: "all"}
        outputs.append(f"present.{name}")
    return Case(Step(), inputs, outputs, dynamic)


BUILDERS: dict[str, Callable[[str], Case]] = {
    "bert-base": _bert,
    "vit-b": _vit,
    "gpt2-small": _gpt2,
    "llama-prefill": _prefill,
    "llama-decode": _decode,
}


def _spread_constants(module: torch.nn.Module) -> None:
    """Noise on weights that start as all ones or zeros, which a tool might drop or fold away."""
    import torch

    with torch.no_grad():
        for weight in module.parameters():
            if weight.numel() > 1 and bool((weight == weight.flatten()[0]).all()):
                weight.add_(torch.randn_like(weight) * 0.05)


def export(name: str, attention: str, path: Path) -> None:
    """Write a model with weights from a seed of its name, in opset 17 with dynamic axes."""
    import torch

    torch.manual_seed(zlib.crc32(name.encode()))
    case = BUILDERS[name](attention)
    _spread_constants(case.module)
    with torch.no_grad():
        torch.onnx.export(
            case.module.eval(),
            tuple(case.inputs.values()),
            str(path),
            input_names=list(case.inputs),
            output_names=list(case.outputs),
            dynamic_axes=case.dynamic,
            opset_version=17,
            dynamo=False,
        )


def main() -> None:
    """Export one model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", choices=list(BUILDERS))
    parser.add_argument("attention", choices=["sdpa", "eager"])
    parser.add_argument("path", type=Path)
    args = parser.parse_args()
    export(args.model, args.attention, args.path)


if __name__ == "__main__":
    main()
