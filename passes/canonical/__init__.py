"""Rules that bring a graph to the normal form of docs/normal-form.md."""
