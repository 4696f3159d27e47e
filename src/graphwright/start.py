"""Where the commands start, so that Ctrl-C is one sentence also while the rest is imported."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> None:
    """Run `graphwright`, and exit with its status."""
    try:
        from graphwright import cli
    except KeyboardInterrupt:
        _leave("graphwright")
    cli.main()


def optimize_main() -> None:
    """Run `optimize`, and exit with its status."""
    try:
        from graphwright import cli
    except KeyboardInterrupt:
        _leave("optimize")
    cli.optimize_main()


def _leave(name: str) -> NoReturn:
    sys.stderr.write(f"{name}: interrupted; nothing was written\n")
    sys.exit(130)
