"""What operators do, by family."""
