"""Ways to start work, and to look at its results."""

GC_THRESHOLD = 50_000
"""New objects after which Python collects garbage. Its default of 700 takes a sixth of the CPU of a run and a
tenth of that of imports, and finds next to nothing: reference counting frees what a call leaves behind."""
