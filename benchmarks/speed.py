"""Time per node of load + rewrite + save, ours beside the peers, in one run.

    python benchmarks/speed.py --peers-python /path/to/python --sizes 1k 10k 100k 1m

Every measurement is a process of its own, which times itself after its imports and reports its
own peak memory. A peer is given up for a family once one run of it takes ``--cap`` seconds.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OURS = "graphwright"
FAMILIES = ("deep", "wide", "constants")
NOT_INSTALLED = 3  # exit status of a measuring process that could not import its tool
ENOUGH_SECONDS = 60.0  # of one tool on one model: no further repeat starts after that

Job = Callable[[str, str], object]


def _graphwright() -> Job:
    from graphwright import optimize, save  # imported now, as the peers are: not on the clock

    return lambda src, dst: save(optimize(src, verify=False).graph, dst)


def _onnxsim() -> Job:
    import onnx
    import onnxsim

    return lambda src, dst: onnx.save(onnxsim.simplify(onnx.load(src))[0], dst)


def _onnxslim() -> Job:
    import onnx
    import onnxslim

    return lambda src, dst: onnx.save(onnxslim.slim(onnx.load(src)), dst)


def _onnxscript() -> Job:
    import onnx_ir
    from onnxscript import optimizer

    return lambda src, dst: onnx_ir.save(optimizer.optimize(onnx_ir.load(src)), dst)


def _onnxruntime() -> Job:
    import onnxruntime

    def job(src: str, dst: str) -> object:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.optimized_model_filepath = dst
        options.log_severity_level = 4
        return onnxruntime.InferenceSession(src, options, providers=["CPUExecutionProvider"])

    return job


TOOLS: dict[str, Callable[[], Job]] = {
    OURS: _graphwright,
    "onnxsim": _onnxsim,
    "onnxslim": _onnxslim,
    "onnxscript": _onnxscript,
    "onnxruntime": _onnxruntime,
}


@dataclass(frozen=True)
class Row:
    """What one tool did with one model."""

    family: str
    nodes: int
    asked: int
    tool: str
    seconds: float | None  # the median, or None where ``note`` says why there is none
    cpu_seconds: float = 0  # on all cores; less troubled than ``seconds`` by what else is running
    peak_mib: float = 0
    left: int = 0
    note: str = ""

    @property
    def per_node(self) -> float | None:
        """Microseconds per node."""
        return None if self.seconds is None else self.seconds / self.nodes * 1e6


def peak_mib() -> float:
    """Peak resident memory of this process (Linux counts it in KiB, macOS in bytes)."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure_here(tool: str, src: str, dst: str) -> None:
    """Run one tool in this process and print what it took as one line of JSON."""
    try:
        job = TOOLS[tool]()
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(NOT_INSTALLED)
    start, cpu_start = time.perf_counter(), time.process_time()
    job(src, dst)
    seconds, cpu, peak = time.perf_counter() - start, time.process_time() - cpu_start, peak_mib()
    import onnx  # only now: it would count as memory of a tool that does without

    left = len(onnx.load(dst, load_external_data=False).graph.node)
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "left": left}))


def build_here(family: str, nodes: int, path: str) -> None:
    """Write a model and print its node count. The parent stays small by leaving it to a child.

    A child's peak memory starts at what its parent held when it was started.
    """
    import families
    import onnx

    model = families.FAMILIES[family](nodes)
    onnx.save(model, path)
    print(json.dumps({"nodes": len(model.graph.node)}))


class Failed(Exception):
    """A measuring process ended without figures; the text says why."""


def spawn(python: str, *args: str, cap: float | None = None) -> dict[str, Any]:
    """Run this file in another process and return the JSON of its last line."""
    command = [python, __file__, *args]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=cap, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"over {cap:.0f} s") from None
    if done.returncode == NOT_INSTALLED:
        raise Failed("not installed")
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise Failed(f"failed: {said[-1][:80]}".replace("|", "/"))
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@dataclass
class Bench:
    """One run of the benchmark: where it works, and which peers it has given up on."""

    folder: Path
    peers_python: str
    cap: float
    repeats: int

    def rows(self, family: str, sizes: list[int], tools: list[str]) -> Iterator[Row]:
        """Measure every tool at every size, smallest first."""
        given_up: set[str] = set()
        for asked in sizes:
            model = self.folder / f"{family}-{asked}.onnx"
            built = spawn(sys.executable, "--build", family, str(asked), str(model))
            for tool in tools:
                if tool in given_up:
                    continue
                row = self.row(family, asked, int(built["nodes"]), tool, model)
                if row.seconds is None:
                    given_up.add(tool)
                yield row
            model.unlink()

    def row(self, family: str, asked: int, nodes: int, tool: str, model: Path) -> Row:
        """Repeat one measurement, less often where it is slow, and take the median."""
        python = sys.executable if tool == OURS else self.peers_python
        out = str(model.with_suffix(".out.onnx"))
        cap = None if tool == OURS else self.cap
        runs: list[dict[str, Any]] = []
        try:
            while len(runs) < self.repeats and sum(r["seconds"] for r in runs) < ENOUGH_SECONDS:
                runs.append(spawn(python, "--run", tool, str(model), out, cap=cap))
        except Failed as failure:
            return Row(family, nodes, asked, tool, None, note=str(failure))
        finally:
            Path(out).unlink(missing_ok=True)
        seconds, cpu, peak = (
            statistics.median(r[k] for r in runs) for k in ("seconds", "cpu", "peak")
        )
        note, left = f"n={len(runs)}", runs[-1]["left"]
        return Row(family, nodes, asked, tool, seconds, cpu, peak, left, note)


def report(rows: list[Row]) -> str:
    """The markdown table of all measurements, each with its ratio to ours."""
    ours = {(r.family, r.asked): r.per_node for r in rows if r.tool == OURS}
    lines = [
        "| family | nodes | tool | µs per node | CPU µs | ÷ ours | peak MiB | nodes left | note |",
        "|---|---:|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        head = f"| {row.family} | {row.nodes:,} | {row.tool} "
        if row.per_node is None:
            lines.append(f"{head}| – | – | – | – | – | {row.note} |")
            continue
        base = ours.get((row.family, row.asked))
        ratio = f"{row.per_node / base:.2f}" if base else "–"
        cpu = row.cpu_seconds / row.nodes * 1e6
        figures = (
            f"| {row.per_node:.2f} | {cpu:.2f} | {ratio} | {row.peak_mib:,.0f} | {row.left:,} "
        )
        lines.append(f"{head}{figures}| {row.note} |")
    return "\n".join(lines)


def linearity(rows: list[Row], large: int = 10**6, small: int = 10**4) -> str:
    """Time per node at the large size over that at the small one: 1 is linear."""
    found = {(r.family, r.tool, r.asked): r.per_node for r in rows}
    lines = [f"| family | tool | µs per node at {large:,} ÷ at {small:,} |", "|---|---|---:|"]
    for family, tool in dict.fromkeys((r.family, r.tool) for r in rows):
        top, bottom = (found.get((family, tool, size)) for size in (large, small))
        if top and bottom:
            lines.append(f"| {family} | {tool} | {top / bottom:.2f} |")
    return "\n".join(lines)


def node_count(text: str) -> int:
    """Read a node count such as 1000, 10k or 1m."""
    units = {"k": 10**3, "m": 10**6}
    unit = units.get(text[-1:].lower())
    return int(text) if unit is None else int(float(text[:-1]) * unit)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    sizes = [10**3, 10**4, 10**5, 10**6]
    parser.add_argument("--sizes", nargs="+", type=node_count, default=sizes, metavar="NODES")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--tools", nargs="+", choices=list(TOOLS), default=list(TOOLS))
    parser.add_argument("--peers-python", default=sys.executable, metavar="PATH")
    parser.add_argument("--cap", type=float, default=120, help="seconds one run of a peer may take")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", help="where the models are written (default: temporary)")
    parser.add_argument("--run", nargs=3, metavar=("TOOL", "IN", "OUT"), help=argparse.SUPPRESS)
    parser.add_argument("--build", nargs=3, metavar=("FAMILY", "N", "OUT"), help=argparse.SUPPRESS)
    return parser.parse_args()


def compare(args: argparse.Namespace) -> None:
    """Measure, telling each figure as it comes, then print both tables."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        bench = Bench(Path(folder), args.peers_python, args.cap, args.repeats)
        for family in args.families:
            for row in bench.rows(family, sorted(args.sizes), args.tools):
                rows.append(row)
                print(report([row]).splitlines()[-1], file=sys.stderr, flush=True)
    print(report(rows), linearity(rows), sep="\n\n")


def main() -> None:
    """Compare, or be one of the processes that a comparison starts."""
    args = arguments()
    if args.run:
        measure_here(*args.run)
    elif args.build:
        build_here(args.build[0], int(args.build[1]), args.build[2])
    else:
        compare(args)


if __name__ == "__main__":
    main()
