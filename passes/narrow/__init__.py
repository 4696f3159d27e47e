"""Models with fewer heads or channels: a choice of elements carried back to the weights."""
