"""How much the program adds to what its models cost, measured.

Each benchmark is a program of its own that prints a table, `python -m benchmarks.NAME`; all of them, one
after the other, are `python -m benchmarks`. Where something is compared with a floor, both run in the same
call, in turn, and what counts is their ratio: machines differ, and so do moments.
"""
