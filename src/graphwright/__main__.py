"""Runs the command line: ``python -m graphwright``."""

from graphwright.cli import main

if __name__ == "__main__":
    main()
