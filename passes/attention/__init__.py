"""Attention, found by what it computes and not by how it is written."""
