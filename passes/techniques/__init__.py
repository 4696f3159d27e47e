"""Techniques from papers, one a file."""
