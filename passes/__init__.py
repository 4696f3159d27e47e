"""Rewrites of the graph, each under a contract and checked where it is applied."""
