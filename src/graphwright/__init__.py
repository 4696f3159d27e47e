"""graphwright: a graph-rewriting toolkit for neural networks that checks every rewrite."""

__version__ = "0.1.0"
