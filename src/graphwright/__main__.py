"""Runs the command line: ``python -m graphwright``."""

from graphwright.start import main

if __name__ == "__main__":
    main()
