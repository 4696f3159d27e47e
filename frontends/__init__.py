"""Readers: from a model somebody else wrote to the small graph."""
