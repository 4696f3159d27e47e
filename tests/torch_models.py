"""Thirty tiny architectures of transformers and of torch itself, built here with random weights."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers

WORDS, TOKENS = 128, 16
TINY = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
}
SPECIAL = {"vocab_size": WORDS, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
LLAMA = {**TINY, "max_position_embeddings": 64, "num_key_value_heads": 2}
PATCHES = {**TINY, "image_size": 32, "patch_size": 8}


@dataclass
class Case:
    """A module, its inputs by name, and the names of sizes that may vary, by input and axis."""

    module: Any
    inputs: dict[str, Any]
    sizes: dict[str, dict[int, str]] = field(default_factory=dict)

    @property
    def shapes(self) -> tuple[dict[str, dict[int, str] | None]]:
        """What `dynamic_shapes` is for this case."""
        return ({name: self.sizes.get(name) for name in self.inputs},)


class Named(torch.nn.Module):
    """A model that takes its inputs in a dictionary, and gives some fields of what it returns."""

    def __init__(self, model: Any, fields: tuple[str, ...], **fixed: Any) -> None:
        super().__init__()
        self.model, self.fields, self.fixed = model, fields, fixed

    def forward(self, given: dict[str, Any]) -> dict[str, Any]:
        found = self.model(**given, **self.fixed)
        return {name: getattr(found, name) for name in self.fields}


def words(tokens: int = TOKENS) -> Any:
    return torch.randint(4, WORDS, (2, tokens))


def padding() -> Any:
    mask = torch.ones(2, TOKENS, dtype=torch.long)
    mask[-1, TOKENS - 5 :] = 0
    return mask


def text(name: str, gives: str = "last_hidden_state", kind: str = "Model", **config: Any) -> Any:
    """A model of token ids and a padding mask."""

    def build(attention: str) -> Case:
        settings = getattr(transformers, f"{name}Config")(
            **{**SPECIAL, **TINY, **config}, attn_implementation=attention
        )
        model = getattr(transformers, f"{name}{kind}")(settings)
        fixed = {"use_cache": False} if hasattr(settings, "use_cache") else {}
        inputs = {"input_ids": words(), "attention_mask": padding()}
        sizes = {name: {0: "batch", 1: "seq"} for name in inputs}
        return Case(Named(model, (gives,), **fixed), inputs, sizes)

    return build


def image(name: str, size: int = 32, **config: Any) -> Any:
    """A model of pixels."""

    def build(attention: str) -> Case:
        settings = getattr(transformers, f"{name}Config")(**config, attn_implementation=attention)
        model = getattr(transformers, f"{name}Model")(settings)
        inputs = {"pixel_values": torch.randn(2, 3, size, size)}
        sizes = {"pixel_values": {0: "batch"}}
        return Case(Named(model, ("last_hidden_state",)), inputs, sizes)

    return build


def clip(attention: str) -> Case:
    config = transformers.CLIPConfig(
        text_config={**SPECIAL, **TINY, "max_position_embeddings": 64},
        vision_config=PATCHES,
        projection_dim=32,
        attn_implementation=attention,
    )
    inputs = {
        "input_ids": words(),
        "pixel_values": torch.randn(2, 3, 32, 32),
        "attention_mask": padding(),
    }
    fields = ("logits_per_image", "text_embeds", "image_embeds")
    sizes = {"input_ids": {1: "seq"}, "attention_mask": {1: "seq"}}
    return Case(Named(transformers.CLIPModel(config), fields), inputs, sizes)


BOTH = ("last_hidden_state", "encoder_last_hidden_state")


def t5(attention: str) -> Case:
    config = transformers.T5Config(
        vocab_size=WORDS,
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_heads=4,
        pad_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=0,
        attn_implementation=attention,
    )
    inputs = {
        "input_ids": words(),
        "attention_mask": padding(),
        "decoder_input_ids": words(8),
    }
    sizes = {name: {0: "batch", 1: "seq"} for name in ("input_ids", "attention_mask")}
    sizes["decoder_input_ids"] = {0: "batch", 1: "decoded"}
    return Case(Named(transformers.T5Model(config), BOTH, use_cache=False), inputs, sizes)


def whisper(attention: str) -> Case:
    config = transformers.WhisperConfig(
        vocab_size=WORDS,
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        num_mel_bins=16,
        max_source_positions=32,
        max_target_positions=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        attn_implementation=attention,
    )
    inputs = {"input_features": torch.randn(2, 16, 64), "decoder_input_ids": words(8)}
    sizes = {"input_features": {0: "batch"}, "decoder_input_ids": {0: "batch", 1: "decoded"}}
    model = transformers.WhisperModel(config)
    return Case(Named(model, BOTH, use_cache=False), inputs, sizes)


class Step(torch.nn.Module):
    """One step of a decoder; keys and values so far are inputs, and those after it outputs."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, given: dict[str, Any]) -> dict[str, Any]:
        cache = transformers.DynamicCache()
        for layer in range(2):
            cache.update(given[f"key_{layer}"], given[f"value_{layer}"], layer)
        found = self.model(
            input_ids=given["input_ids"],
            position_ids=given["position_ids"],
            past_key_values=cache,
            use_cache=True,
        )
        result = {"last_hidden_state": found.last_hidden_state}
        for layer, held in enumerate(cache.layers):
            result |= {f"keys_{layer}": held.keys, f"values_{layer}": held.values}
        return result


def llama_decode(attention: str) -> Case:
    config = transformers.LlamaConfig(**SPECIAL, **LLAMA, attn_implementation=attention)
    inputs = {"input_ids": words(1), "position_ids": torch.full((2, 1), 12)}
    sizes = {"input_ids": {0: "batch"}, "position_ids": {0: "batch"}}
    for layer in range(2):
        for part in ("key", "value"):
            inputs[f"{part}_{layer}"] = torch.randn(2, 2, 12, 16)
            sizes[f"{part}_{layer}"] = {0: "batch", 2: "past"}
    return Case(Step(transformers.LlamaModel(config)), inputs, sizes)


class Encoder(torch.nn.Module):
    """Two of torch's own encoder layers."""

    def __init__(self, norm_first: bool) -> None:
        super().__init__()
        layer = torch.nn.TransformerEncoderLayer(
            64, 4, 128, batch_first=True, norm_first=norm_first
        )
        self.encoder = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, given: dict[str, Any]) -> Any:
        return self.encoder(given["x"])


def torch_encoder(norm_first: bool) -> Any:
    def build(attention: str) -> Case:
        torch.backends.mha.set_fastpath_enabled(False)
        inputs = {"x": torch.randn(2, TOKENS, 64)}
        return Case(Encoder(norm_first), inputs, {"x": {0: "batch", 1: "seq"}})

    return build


NO_SDPA = ("deberta_v2", "bloom", "gemma2", "gpt_oss")
BUILDERS: dict[str, Callable[[str], Case]] = {
    "bert": text("Bert", max_position_embeddings=64),
    "distilbert": text(
        "DistilBert", dim=64, n_layers=2, n_heads=4, hidden_dim=128, max_position_embeddings=64
    ),
    "roberta": text("Roberta", max_position_embeddings=64),
    "albert": text("Albert", embedding_size=32, max_position_embeddings=64),
    "deberta_v2": text(
        "DebertaV2",
        max_position_embeddings=64,
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
        position_buckets=8,
        type_vocab_size=0,
    ),
    "modernbert": text(
        "ModernBert",
        max_position_embeddings=64,
        local_attention=8,
        global_attn_every_n_layers=2,
        reference_compile=False,
    ),
    "gpt2": text("GPT2", n_embd=64, n_layer=2, n_head=4, n_positions=64),
    "gptj": text("GPTJ", n_embd=64, n_layer=2, n_head=4, n_positions=64, rotary_dim=8),
    "bloom": text("Bloom", n_layer=2, n_head=4),
    "llama_mha": text("Llama", **{**LLAMA, "num_key_value_heads": 4}),
    "llama_gqa": text("Llama", **LLAMA),
    "llama_causal_lm": text("Llama", "logits", "ForCausalLM", **LLAMA),
    "mistral": text("Mistral", sliding_window=8, **LLAMA),
    "qwen2": text("Qwen2", **LLAMA),
    "qwen3": text("Qwen3", head_dim=16, **LLAMA),
    "gemma2": text("Gemma2", head_dim=16, sliding_window=8, **LLAMA),
    "stablelm": text("StableLm", **LLAMA),
    "gpt_oss": text(
        "GptOss",
        head_dim=16,
        num_local_experts=4,
        num_experts_per_tok=2,
        experts_implementation="batched_mm",
        sliding_window=8,
        **LLAMA,
    ),
    "vit": image("ViT", **PATCHES),
    "deit": image("DeiT", **PATCHES),
    "beit": image("Beit", use_relative_position_bias=True, **PATCHES),
    "dinov2": image("Dinov2", mlp_ratio=2, **PATCHES),
    "swin": image(
        "Swin",
        64,
        image_size=64,
        patch_size=4,
        embed_dim=32,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=4,
    ),
    "segformer": image(
        "Segformer",
        64,
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[32, 64],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
    ),
    "clip": clip,
    "t5": t5,
    "whisper": whisper,
    "llama_decode": llama_decode,
    "torch_encoder": torch_encoder(False),
    "torch_encoder_pre": torch_encoder(True),
}
ATTENTIONS = {"swin": 4, "t5": 6, "whisper": 6, "clip": 4}
"""How many attentions a builder has, where that is not 2."""


def built(name: str, attention: str = "eager") -> Case:
    """A builder's case with weights and inputs that its name alone decides, and not in training."""
    torch.manual_seed(zlib.crc32(name.encode()))
    case = BUILDERS[name](attention)
    with torch.no_grad():
        for parameter in case.module.parameters():  # so that no norm or bias does nothing
            if parameter.is_floating_point() and parameter.numel() > 1:
                parameter.add_(torch.randn_like(parameter) * 0.02)
    case.module.eval()
    return case


def implementations(name: str) -> tuple[str, ...]:
    """The kinds of attention that a builder has."""
    return ("eager",) if name in NO_SDPA else ("eager", "sdpa")
