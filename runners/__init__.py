"""Ways to start work, and to look at its results."""
