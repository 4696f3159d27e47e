"""Along which axes an operator works row by row, and the rewrites that follow from it."""
