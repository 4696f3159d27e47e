"""Two graphs held against each other: which nodes are the same, and what is said of the others."""
