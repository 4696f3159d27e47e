"""Latency on the CPU of attention models: as exported, ours, and what other tools make of them.

    python benchmarks/attention_latency.py --peers-python PATH --models bert-base --sizes 1x128

The interpreter at PATH needs torch, transformers, onnxscript, onnxruntime and openvino. Without it
only models that need no export run, and only plain and ours; ``--folder`` keeps exported models.
All variants of a model are sessions of one process and run in turn, at the runtime's highest level
on two threads. What differs from plain, also with padded inputs, is named and not timed. Times
are wall times and, in brackets, processor times, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import onnxruntime
from attention_models import FETCHED, MODELS, Size, feed

HERE = Path(__file__).parent
PLAIN, AGAIN, OPENVINO = "plain", "plain again", "openvino"
OURS, OURS_ORT, TUNED = "ours", "ours ort", "ours tuned"
PEERS = ("transformers", "onnxscript")
OURS_MAKE = {OURS: [], OURS_ORT: ["--target", "ort"], TUNED: ["--target", "ort", "--tune"]}
ON_ORT = (OURS_ORT, TUNED)
MADE_IN = 1800.0  # seconds: no tool may take longer over one model
CLOCKS = ("wall", "cpu")
SIZES = ["1x16", "1x128", "8x128", "1x512"]


class Failed(Exception):
    """A process ended without what it was started for; the text says why."""


def spawn(*command: str) -> str:
    """What a process prints."""
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=MADE_IN,
            check=False,
            env={**os.environ, **quiet},
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"over {MADE_IN:.0f} s") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise Failed(said[-1][:160].replace("|", "/"))
    return done.stdout


@dataclass(frozen=True)
class Bench:
    """One run of the benchmark: where models are kept, who has the peers, and what is asked."""

    folder: Path
    peers_python: str
    attention: str
    seconds: float
    tools: list[str]
    options: list[str]

    def source(self, name: str) -> Path:
        """The model as it was exported, made where it is not there yet."""
        if name == FETCHED:
            fetch = HERE.parent / "examples" / "fetch_minilm.py"
            return Path(spawn(sys.executable, str(fetch), str(self.folder)).splitlines()[-1])
        path = self.folder / f"{name}.{self.attention}.onnx"
        if not path.exists():
            if not self.peers_python:
                raise Failed("to export it takes --peers-python")
            models = str(HERE / "attention_models.py")
            spawn(self.peers_python, models, name, self.attention, str(path))
        return path

    def made(self, name: str, source: Path) -> Iterator[tuple[str, Path]]:
        """What each tool makes of a model; those that fail are told and left out."""
        possible = [*ours(), *(PEERS if self.peers_python else ())]
        for tool in (each for each in possible if each in self.tools):
            path = source.with_name(f"{source.stem}.{tool.replace(' ', '-')}.onnx")
            start = time.perf_counter()
            try:
                if tool in PEERS:
                    script = str(HERE / "attention_peers.py")
                    spawn(self.peers_python, script, tool, name, str(source), str(path))
                else:
                    asked = [*self.options, *OURS_MAKE[tool]]
                    if tool == TUNED:
                        asked += ["--data", str(data(source))]
                    spawn(*optimize(), str(source), "-o", str(path), *asked)
            except Failed as failure:
                print(f"{name}: {tool} failed: {failure}", file=sys.stderr, flush=True)
                continue
            took = time.perf_counter() - start
            print(f"{name}: {tool} made in {took:.0f} s", file=sys.stderr, flush=True)
            yield tool, path

    def cells(self, name: str, sizes: list[Size]) -> Iterator[dict[str, Any]]:
        """What was measured of one model at each size."""
        source = self.source(name)
        made = {tool: str(path) for tool, path in self.made(name, source)}
        request = {
            "paths": {PLAIN: str(source), **made},
            "sizes": sizes,
            "seconds": self.seconds,
            "openvino": bool(self.peers_python) and OPENVINO in self.tools,
        }
        python = self.peers_python or sys.executable
        printed = spawn(python, str(HERE / "attention_timing.py"), json.dumps(request))
        for line in printed.splitlines():
            yield json.loads(line)
        for path in made.values():
            Path(path).unlink()


def data(source: Path) -> Path:
    """Inputs to measure on: those of a cache fit each other, which made ones need not."""
    path = source.with_suffix(".npz")
    tokens = MODELS[source.name.partition(".")[0]].tokens if FETCHED not in source.name else None
    inputs = onnxruntime.InferenceSession(source).get_inputs()
    np.savez(path, **feed(inputs, (1, tokens or 128), padded=False))
    return path


def optimize() -> list[str]:
    return [sys.executable, "-m", "graphwright", "optimize"]


def ours() -> list[str]:
    """Our variants: the tuned one only where there is such an option."""
    offered = spawn(*optimize(), "--help")
    return [name for name, options in OURS_MAKE.items() if name != TUNED or options[-1] in offered]


@dataclass(frozen=True)
class Ratio:
    """A variant's time over plain's: the median of all rounds, and twice its standard error."""

    value: float
    error: float

    @classmethod
    def of(cls, taken: list[float], plain: list[float]) -> Ratio:
        ratios = [a / b for a, b in zip(taken, plain, strict=True)]
        low, _, high = quantiles(ratios, n=4, method="inclusive")
        return cls(median(ratios), 2 * 1.2533 * (high - low) / 1.349 / len(ratios) ** 0.5)


def compared(times: dict[str, Any], clock: str) -> tuple[dict[str, Ratio], float]:
    """Each variant's ratio to plain on one clock, and how far plain is from itself."""
    taken = {name: each[clock] for name, each in times.items()}
    ratios = {name: Ratio.of(taken[name], taken[PLAIN]) for name in taken if name != PLAIN}
    again = ratios.pop(AGAIN)
    return ratios, max(abs(again.value - 1), again.error)


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """A cell in figures, on both clocks: ratios to plain, the noise, and the products' time."""
    times, product = found["times"], found["product"]
    rates = {clock: median(product[clock]) / product["flops"] for clock in CLOCKS}
    made: dict[str, Any] = {
        "size": "x".join(map(str, found["size"])),
        "gflop": found["flops"] / 1e9,
        "gflop_per_s": 1e-9 / rates["wall"],
        "rounds": len(times[PLAIN]["wall"]),
        **{key: found[key] for key in ("faults", "distance", "load")},
    }
    for clock in CLOCKS:
        ratios, noise = compared(times, clock)
        plain = median(times[PLAIN][clock])
        made[clock] = {
            "plain_ms": plain * 1e3,
            "fastest_ms": {name: min(each[clock]) * 1e3 for name, each in times.items()},
            "products": rates[clock] * found["flops"] / plain,
            "noise": noise,
            "ratios": {name: ratio.value for name, ratio in ratios.items()},
            "errors": {name: ratio.error for name, ratio in ratios.items()},
            "losses": list(losses(ratios, noise)),
        }
    return made


def losses(ratios: dict[str, Ratio], noise: float) -> Iterator[str]:
    """Where ours is slower by more than noise: than plain, and for ONNX Runtime than its peers."""
    peers = {name: ratios[name] for name in PEERS if name in ratios}
    best = min(peers, key=lambda peer: peers[peer].value, default="")
    for name in (each for each in OURS_MAKE if each in ratios):
        mine = ratios[name]
        if mine.value > 1 + max(noise, mine.error):
            yield f"{name} slower than plain ({mine.value:.2f})"
        if best and name in ON_ORT:
            ratio, errors = mine.value / peers[best].value, (mine.error, peers[best].error)
            if ratio > 1 + max(noise, *errors):
                yield f"{name} slower than {best} ({ratio:.2f})"


def table(name: str, cells: list[dict[str, Any]]) -> str:
    """One model's cells as markdown."""
    tools = (*OURS_MAKE, *PEERS, OPENVINO)
    columns = [each for each in tools if any(_mentions(cell, each) for cell in cells)]
    lines = [
        f"| {name} | plain ms | noise | {' | '.join(columns)} | products | load |",
        f"|---|---:|---:|{'---:|' * (len(columns) + 2)}",
    ]
    for cell in cells:
        wall, cpu = (cell[clock] for clock in CLOCKS)
        figures = " | ".join(_figure(cell, each) for each in columns)
        head = f"| {cell['size']} | {wall['plain_ms']:.2f} ({cpu['plain_ms']:.2f}) "
        head += f"| ±{wall['noise']:.0%} (±{cpu['noise']:.0%}) | {figures} "
        tail = f"| {wall['products']:.2f} ({cpu['products']:.2f}) | {cell['load'][1][0]:.1f} |"
        lines.append(head + tail)
    return "\n".join(lines)


def _mentions(cell: dict[str, Any], variant: str) -> bool:
    return variant in cell["wall"]["ratios"] or variant in cell["faults"]


def _figure(cell: dict[str, Any], variant: str) -> str:
    wall, cpu = (cell[clock]["ratios"] for clock in CLOCKS)
    if variant in wall:
        return f"{wall[variant]:.2f} ({cpu[variant]:.2f})"
    fault: str = cell["faults"].get(variant, "–")
    return fault.split(":")[0]


def remarks(name: str, cells: list[dict[str, Any]]) -> list[str]:
    """What is wrong and what loses on either clock, a line each."""
    faults = {f"{variant}: {why}" for cell in cells for variant, why in cell["faults"].items()}
    lost = [
        f"{cell['size']}, {clock}: {each}"
        for cell in cells
        for clock in CLOCKS
        for each in cell[clock]["losses"]
    ]
    return [f"{name}: {each}" for each in (*sorted(faults), *lost)]


def _size(text: str) -> Size:
    samples, tokens = text.split("x")
    return int(samples), int(tokens)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--sizes", nargs="+", type=_size, default=[_size(each) for each in SIZES])
    parser.add_argument("--peers-python", default="", metavar="PATH")
    tools = [*OURS_MAKE, *PEERS, OPENVINO]
    parser.add_argument("--tools", nargs="+", choices=tools, default=tools)
    parser.add_argument("--unchecked", action="store_true", help="make ours with --no-verify")
    parser.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
    parser.add_argument("--seconds", type=float, default=10, help="for each size")
    parser.add_argument("--folder", help="where models are kept (default: not kept)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    return parser.parse_args()


def sizes_of(name: str, asked: list[Size]) -> list[Size]:
    """The sizes that a model can have: some fix how many tokens there are."""
    tokens = MODELS[name].tokens
    return asked if tokens is None else [(n, tokens) for n in dict.fromkeys(n for n, _ in asked)]


def main() -> None:
    """Measure, and print a table for each model as it comes."""
    args = arguments()
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.folder or temporary)
        options = ["-q", *(["--no-verify"] if args.unchecked else [])]
        bench = Bench(folder, args.peers_python, args.attention, args.seconds, args.tools, options)
        for name in args.models:
            try:
                cells = [summary(each) for each in bench.cells(name, sizes_of(name, args.sizes))]
            except Failed as failure:
                print(f"{name}: {failure}\n", flush=True)
                continue
            found[name] = cells
            print(table(name, cells), *remarks(name, cells), sep="\n", end="\n\n", flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
