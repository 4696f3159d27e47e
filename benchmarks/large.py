"""Open, rewrite and save a model of many gibibytes by reference: peak memory and time.

    python benchmarks/large.py --gib 8

The weights are a sparse file beside the model, so it takes next to no disk; whoever reads them
into memory still pays for all of them, which is what the peak tells.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from families import sparse_weights
from speed import peak_mib


def rewrite_here(source: str, target: str) -> None:
    """Time the three steps in this process and print them and the peak as one line of JSON."""
    import graphwright as gw

    start = time.perf_counter()
    graph = gw.load(source)
    loaded = time.perf_counter()
    result = gw.optimize(graph, verify=False)
    rewritten = time.perf_counter()
    gw.save(result.graph, target)
    saved = time.perf_counter()
    steps = {"load": loaded - start, "rewrite": rewritten - loaded, "save": saved - rewritten}
    print(json.dumps({**steps, "peak": peak_mib()}))


def written_bytes(files: Iterable[Path]) -> int:
    """The disk taken by files: a hole of a sparse file takes none."""
    return sum(path.stat().st_blocks * 512 for path in files)


def compare(gib: float, parent: str | None) -> None:
    """Build the model, rewrite it in a process of its own, and print what that took."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        # Beside the model, where the weights can be referred to without being copied.
        source, target = Path(folder) / "model.onnx", Path(folder) / "optimized.onnx"
        nodes = sparse_weights(source, gib)
        before = set(Path(folder).iterdir())
        command = [sys.executable, __file__, "--run", str(source), str(target)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        print("| weights GiB | nodes | load s | rewrite s | save s | peak MiB | written MiB |")
        print("|---:|---:|---:|---:|---:|---:|---:|")
        steps = " | ".join(f"{found[step]:.2f}" for step in ("load", "rewrite", "save"))
        written = written_bytes(set(Path(folder).iterdir()) - before) / 2**20
        print(f"| {gib:g} | {nodes:,} | {steps} | {found['peak']:,.0f} | {written:,.1f} |")


def main() -> None:
    """Compare, or be the process that rewrites."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gib", type=float, default=8)
    parser.add_argument("--folder", help="where the model is written (default: temporary)")
    parser.add_argument("--run", nargs=2, metavar=("IN", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        rewrite_here(*args.run)
    else:
        compare(args.gib, args.folder)


if __name__ == "__main__":
    main()
