"""Kernels against PyTorch's attention on this GPU: is it right, how fast is it. One call does all.

    PYTHONPATH=src python benchmarks/triton_attention.py            # about ten minutes
    PYTHONPATH=src python benchmarks/triton_attention.py --quick    # one length, a minute or two

Needs PyTorch with a GPU, Triton, NumPy and ml_dtypes. Every kernel is held to float64 first, then
timed beside scaled_dot_product_attention (its backend named), FlexAttention and eager PyTorch. It
ends in a table in Markdown, with the hardware and the versions.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  everybody calls it so
import triton

from graphwright.backends.triton import Facts, kernel_source
from graphwright.backends.triton.loading import loaded
from graphwright.ir.normalizers import body
from graphwright.ir.types import TensorType
from graphwright.passes.technique import techniques

HEADS = 16
TOKENS = 16384  # of all sequences of a batch together
BODIES = {
    "softmax": "",
    "sigmoid": "Sigmoid(s)",
    "stablemax": "stablemax",
    "clipped": "clipped-softmax",
    "log2": "log2-softmax",
    "threshold": "threshold-softmax",
}
EXACT = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""How far off a kernel may be, of the largest value; the weights are rounded to the type."""


@dataclass(frozen=True)
class Row:
    """What was measured of one case, in milliseconds; None for what cannot do it."""

    body: str
    width: int
    length: int
    causal: bool
    ours: float
    ratios: dict[str, float | None]
    error: float


def formula(name: str) -> str:
    known = techniques().get(BODIES[name])
    if known is None:
        return BODIES[name]
    assert known.formula is not None
    return known.formula()


def facts(name: str, width: int, causal: bool) -> Facts:
    text = formula(name)
    made = body(text, TensorType("f32", (1, HEADS, 64, 64))) if text else None
    scale = 1 / math.sqrt(width)
    return Facts(HEADS, HEADS, width, width, scale=scale, causal=causal, body=made)


def weights(name: str, s: Any) -> Any:
    """The weights in PyTorch, each as its technique says."""
    if name == "softmax":
        return s.softmax(-1)
    if name == "sigmoid":
        return s.sigmoid()
    if name == "stablemax":
        e = torch.where(s >= 0, s + 1, 1 / (1 - s.clamp(max=0)))
        return e / e.sum(-1, keepdim=True)
    p = s.softmax(-1)
    if name == "clipped":
        return (p * 1.03 - 0.03).clamp(0, 1)
    if name == "log2":
        n = torch.round(-torch.log2(p))
        return torch.where(n > 15, 0.0, torch.exp2(-n))
    kept = s >= s.amax(-1, keepdim=True) + math.log(0.01)
    return torch.where(kept, s, -torch.inf).softmax(-1)


def eager(name: str, q: Any, k: Any, v: Any, causal: bool) -> Any:
    s = (q @ k.mT) / math.sqrt(q.shape[-1])
    if causal:
        s = s.masked_fill(
            ~torch.ones(s.shape[-2:], dtype=torch.bool, device=s.device).tril(), -torch.inf
        )
    return weights(name, s).to(v.dtype) @ v


def inputs(width: int, length: int, dtype: Any, batch: int) -> list[Any]:
    torch.manual_seed(0)
    shape = (batch, HEADS, length, width)
    return [torch.randn(shape, device="cuda", dtype=dtype) for _ in range(3)]


def error_of(name: str, width: int, causal: bool, dtype: Any, length: int = 1000) -> float:
    """How far the kernel is from float64, of the largest value; what rounds may jump: its mean."""
    given = inputs(width, length, dtype, 2)
    found = loaded(kernel_source(facts(name, width, causal))).launch(*given).double()
    truth = eager(name, *(x.double() for x in given), causal)
    apart = (found - truth).abs() / truth.abs().max()
    return float(apart.mean() if name in ("log2", "threshold") else apart.max())


def timed(run: Callable[[], Any]) -> float | None:
    """The median of the milliseconds that it takes, or None where it cannot be run."""
    try:
        run()
        return float(triton.testing.do_bench(run, warmup=50, rep=200, return_mode="median"))
    except (RuntimeError, ImportError, NotImplementedError):
        torch.cuda.empty_cache()
        return None


def sdpa(backend: Any, q: Any, k: Any, v: Any, causal: bool) -> Callable[[], Any]:
    from torch.nn.attention import sdpa_kernel

    def run() -> Any:
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

    return run


def flex(name: str, q: Any, k: Any, v: Any, causal: bool) -> Callable[[], Any]:
    """FlexAttention, which knows softmax alone."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    if name != "softmax":
        raise NotImplementedError
    mask = None
    if causal:
        size = q.shape[-2]
        mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, size, size, device="cuda")
    compiled = torch.compile(flex_attention)
    return lambda: compiled(q, k, v, block_mask=mask)


def measured(name: str, width: int, length: int, causal: bool, dtype: Any, error: float) -> Row:
    from torch.nn.attention import SDPBackend

    given = inputs(width, length, dtype, max(1, TOKENS // length))
    kernel: Any = loaded(kernel_source(facts(name, width, causal)))
    kernel.tune(*given)
    ours = timed(lambda: kernel.launch(*given))
    assert ours is not None
    others: dict[str, float | None] = {}
    for label, backend in (
        ("flash", SDPBackend.FLASH_ATTENTION),
        ("cudnn", SDPBackend.CUDNN_ATTENTION),
    ):
        others[label] = timed(sdpa(backend, *given, causal))
    try:
        others["flex"] = timed(flex(name, *given, causal))
    except (ImportError, NotImplementedError):
        others["flex"] = None
    others["eager"] = timed(lambda: eager(name, *given, causal))
    ratios = {label: None if ms is None else ms / ours for label, ms in others.items()}
    return Row(name, width, length, causal, ours, ratios, error)


def cases(quick: bool) -> Iterator[tuple[str, int, int, bool]]:
    for name in BODIES:
        for width in (64, 128):
            for causal in (False, True):
                for length in (4096,) if quick else (1024, 4096, 16384):
                    yield name, width, length, causal


def table(rows: list[Row]) -> str:
    labels = list(rows[0].ratios)
    heads = ["body", "width", "length", "causal", "ms", "TFLOP/s", *(f"{x} / ours" for x in labels)]
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    for row in rows:
        flops = 4 * max(1, TOKENS // row.length) * HEADS * row.length**2 * row.width
        rate = flops / (2 if row.causal else 1) / row.ours / 1e9
        ratios = ["-" if x is None else f"{x:.2f}" for x in row.ratios.values()]
        cells = [row.body, row.width, row.length, "yes" if row.causal else "no", f"{row.ours:.3f}"]
        lines.append(" | ".join(map(str, [*cells, f"{rate:.0f}", *ratios])))
    return "\n".join(f"| {line} |" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one length")
    parser.add_argument("--json", type=Path, help="write what was measured to this file as well")
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        print("there is no GPU here", file=sys.stderr)
        return 2
    wrong, errors = [], {}
    for name, width, causal in sorted({(n, w, c) for n, w, _, c in cases(True)}):
        for dtype, bound in EXACT.items():
            error = error_of(name, width, causal, dtype)
            errors[name, width, causal, dtype] = error
            if not error <= bound:
                wrong.append(f"{name}, {width} wide, causal={causal}, {dtype}: {error:.2e}")
    print(
        f"right: {len(errors) - len(wrong)} of {len(errors)} kernels",
        *wrong,
        sep="\n  ",
        flush=True,
    )
    dtype = torch.bfloat16
    rows = []
    for name, width, length, causal in cases(asked.quick):
        rows.append(
            measured(name, width, length, causal, dtype, errors[name, width, causal, dtype])
        )
        print(rows[-1], flush=True)
    device, versions = torch.cuda.get_device_name(), f"PyTorch {torch.__version__}"
    print(
        f"\n{device}, {versions}, Triton {triton.__version__}, {dtype}, {HEADS} heads, batches of"
    )
    print(
        f"{TOKENS} tokens. Above 1 the kernel is faster; `flash` and `cudnn` are those backends of"
    )
    print("scaled_dot_product_attention, whose body is softmax whatever stands in the row.\n")
    print(table(rows))
    if asked.json:
        asked.json.write_text(json.dumps([row.__dict__ for row in rows], indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
