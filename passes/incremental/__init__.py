"""Graphs that go on from keys and values of the past, made of graphs that see all tokens."""
