"""Says whether two graphs are the same function, and how it knows."""
