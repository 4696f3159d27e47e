"""Small causal decoders, each with what one family of models has, written as exporters do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper
from tests.models import Builder, feed_forward

WIDTH, HEADS, DEPTH, WORDS, MOST = 16, 4, 4, 23, 96
LOWEST = np.finfo(np.float32).min


@dataclass(frozen=True)
class Kind:
    """What a decoder has; `mixes` is an operator that mixes tokens, beside attention."""

    positions: str = "learnt"
    key_heads: int = HEADS
    window: int = 0
    cap: float = 0.0
    sinks: bool = False
    cross: bool = False
    masked: bool = True
    ahead: int = 0
    mixes: str = ""
    pooled: bool = False
    tokens: str | int = "seq"


KINDS = {
    "gpt2": Kind(),
    "llama": Kind("rotary", key_heads=2),
    "mistral": Kind("rotary", key_heads=2, window=5),
    "gemma2": Kind("rotary", key_heads=2, window=5, cap=30.0),
    "bloom": Kind("alibi"),
    "gpt_oss": Kind("rotary", key_heads=2, sinks=True),
    "t5": Kind("relative", cross=True),
    "no mask": Kind(masked=False),
}


class Decoder(Builder):
    """The parts of a decoder; `at` are the positions, of queries and of keys."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(1)
        self.kind = kind
        shape = self.op("Shape", "input_ids")
        self.length = self.op("Gather", shape, self.ints(1))
        self.range = self.op("Range", self.ints(0), self.length, self.ints(1))
        self.queries = self.op("Unsqueeze", self.range, self.ints([0, 1, 3]))
        self.keys = self.op("Unsqueeze", self.range, self.ints([0, 1, 2]))

    def ints(self, value: object) -> str:
        return self.constant(value, np.int64)

    def bias(self) -> str:
        """What is added to the scores, [batch or 1, heads or 1, seq, seq]."""
        kind = self.kind
        seen = self.op("Less", self.keys, self.op("Add", self.queries, self.ints(1 + kind.ahead)))
        if kind.window:
            oldest = self.op("Sub", self.queries, self.ints(kind.window))
            seen = self.op("And", seen, self.op("Greater", self.keys, oldest))
        if kind.masked:
            wide = self.op("Unsqueeze", "attention_mask", self.ints([1, 2]))
            seen = self.op("And", seen, self.op("Cast", wide, to=TensorProto.BOOL))
        mask = self.op("Where", seen, self.constant(0.0), self.constant(LOWEST))
        if kind.positions == "alibi":
            mask = self.op("Add", mask, self.slopes())
        if kind.positions == "relative":
            apart = self.op("Sub", self.queries, self.keys)
            near = self.op("Clip", apart, self.ints(0), self.ints(7))
            table = self.op("Gather", self.weight(8, HEADS), near)
            flat = self.op("Squeeze", table, self.ints([0]))
            mask = self.op("Add", mask, self.op("Transpose", flat, perm=[0, 3, 1, 2]))
        return mask

    def slopes(self) -> str:
        """ALiBi as BLOOM has it: keys are counted by the mask, [batch, heads, 1, seq]."""
        counted = self.op("CumSum", "attention_mask", self.ints(-1))
        places = self.op("Mul", self.op("Sub", counted, self.ints(1)), "attention_mask")
        wide = self.op("Unsqueeze", self.op("Cast", places, to=TensorProto.FLOAT), self.ints([1]))
        slopes = self.constant([[2.0**-i] for i in range(1, HEADS + 1)])
        return self.op("Unsqueeze", self.op("Mul", slopes, wide), self.ints([2]))

    def heads(self, x: str, count: int) -> str:
        made = self.linear(x, WIDTH, count * DEPTH)
        apart = self.op("Reshape", made, self.ints([0, 0, count, DEPTH]))
        return self.op("Transpose", apart, perm=[0, 2, 1, 3])

    def turned(self, x: str) -> str:
        """Rotary embedding by the range of positions."""
        speeds = self.constant(10.0 ** -np.arange(DEPTH // 2))
        at = self.op("Unsqueeze", self.op("Cast", self.range, to=TensorProto.FLOAT), self.ints([1]))
        angles = self.op("Mul", at, speeds)
        angles = self.op("Concat", angles, angles, axis=-1)
        half, end, axis = (self.ints([n]) for n in (DEPTH // 2, DEPTH, -1))
        front = self.op("Slice", x, self.ints([0]), half, axis)
        back = self.op("Neg", self.op("Slice", x, half, end, axis))
        swapped = self.op("Concat", back, front, axis=-1)
        cos, sin = self.op("Cos", angles), self.op("Sin", angles)
        return self.op("Add", self.op("Mul", x, cos), self.op("Mul", swapped, sin))

    def repeated(self, x: str) -> str:
        times = HEADS // self.kind.key_heads
        if times == 1:
            return x
        wide = self.op("Unsqueeze", x, self.ints([2]))
        wide = self.op("Expand", wide, self.ints([1, 1, times, 1, 1]))
        shape = self.op("Shape", x)
        parts = [self.op("Gather", shape, self.ints([i])) for i in (0, 2, 3)]
        want = self.op("Concat", parts[0], self.ints([HEADS]), *parts[1:], axis=0)
        return self.op("Reshape", wide, want)

    def attention(self, x: str, source: str, bias: str) -> str:
        q, k, v = (
            self.heads(each, count)
            for each, count in (
                (x, HEADS),
                (source, self.kind.key_heads),
                (source, self.kind.key_heads),
            )
        )
        if self.kind.positions == "rotary":
            q, k = self.turned(q), self.turned(k)
        k, v = self.repeated(k), self.repeated(v)
        scores = self.op("MatMul", q, self.op("Transpose", k, perm=[0, 1, 3, 2]))
        scores = self.op("Mul", scores, self.constant(DEPTH**-0.5))
        if self.kind.cap:
            cap = self.constant(self.kind.cap)
            scores = self.op("Mul", self.op("Tanh", self.op("Div", scores, cap)), cap)
        scores = self.op("Add", scores, bias) if bias else scores
        weights = self.weights_of(scores)
        mixed = self.op("Transpose", self.op("MatMul", weights, v), perm=[0, 2, 1, 3])
        return self.linear(self.op("Reshape", mixed, self.ints([0, 0, WIDTH])), WIDTH, WIDTH)

    def weights_of(self, scores: str) -> str:
        if not self.kind.sinks:
            return self.op("Softmax", scores, axis=-1)
        shape = self.op("Slice", self.op("Shape", scores), self.ints([0]), self.ints([3]))
        want = self.op("Concat", shape, self.ints([1]), axis=0)
        sink = self.op("Expand", self.weight(1, HEADS, 1, 1), want)
        wide = self.op("Softmax", self.op("Concat", scores, sink, axis=-1), axis=-1)
        ends = (self.ints([n]) for n in (0, -1, 3))
        return self.op("Slice", wide, *ends)

    def mixed(self, x: str) -> str:
        """What meets other tokens beside attention."""
        match self.kind.mixes:
            case "Conv":
                turned = self.op("Transpose", x, perm=[0, 2, 1])
                made = self.op("Conv", turned, self.weight(WIDTH, WIDTH, 3), pads=[1, 1])
                return self.op("Add", x, self.op("Transpose", made, perm=[0, 2, 1]))
            case "ReduceMean":
                return self.op("Add", x, self.op("ReduceMean", x, axes=[1]))
            case "CumSum":
                return self.op("CumSum", x, self.ints(1))
            case "Softmax":
                return self.op("Softmax", x, axis=1)
        return x


def decoder(kind: Kind, layers: int = 2) -> onnx.ModelProto:
    """A model of ids and, where it is masked, a mask, all [batch, seq], into logits."""
    b = Decoder(kind)
    x = b.op("Gather", b.weight(WORDS, WIDTH), "input_ids")
    if kind.positions == "learnt":
        x = b.op("Add", x, b.op("Gather", b.weight(MOST, WIDTH), b.range))
    x, bias = b.mixed(x), b.bias()
    read = b.linear("encoded", WIDTH, WIDTH) if kind.cross else ""
    for _ in range(layers):
        y = b.norm(x, WIDTH)
        x = b.op("Add", x, b.attention(y, y, bias))
        if kind.cross:
            x = b.op("Add", x, b.attention(b.norm(x, WIDTH), read, ""))
        x = b.op("Add", x, feed_forward(b, b.norm(x, WIDTH), WIDTH))
    if kind.pooled:
        x = b.op("ReduceMean", x, axes=[1], keepdims=0)
    b.nodes.append(helper.make_node("MatMul", [x, b.weight(WIDTH, WORDS)], ["logits"], "head"))
    return _model(b, kind)


def _model(b: Decoder, kind: Kind) -> onnx.ModelProto:
    names = ["input_ids", *(["attention_mask"] if kind.masked else [])]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", kind.tokens])
        for name in names
    ]
    if kind.cross:
        shape = ["batch", "read", WIDTH]
        inputs.append(helper.make_tensor_value_info("encoded", TensorProto.FLOAT, shape))
    shape = ["batch", WORDS] if kind.pooled else ["batch", kind.tokens, WORDS]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)
    graph = helper.make_graph(b.nodes, "decoder", inputs, [output], b.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model
