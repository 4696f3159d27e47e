"""Rules that bring operators to what a target has."""
