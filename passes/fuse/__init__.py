"""Rules that make one operator of many."""
