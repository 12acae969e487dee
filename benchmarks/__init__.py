"""Benchmarks of the program's overhead over its models.

Each benchmark prints a table: `python -m benchmarks.NAME`, or `python -m benchmarks` for all of them. A
comparison with a floor runs both in turn, and their ratio counts: machines differ, and so does their load.
"""
