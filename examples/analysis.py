"""Analyse a run with pandas and Polars: python examples/analysis.py runs/demo

Each cell can be pasted into a notebook.
"""

# %% The run, and its samples as a table
import sys

import pandas
import polars

import coevol

run = coevol.load_run(sys.argv[1])
samples = pandas.DataFrame(run.samples())
worked_on = samples[samples.status != "skipped"]
print(worked_on.groupby("mode")[["accepted_rounds", "original_tokens", "final_tokens"]].mean())

# %% Are accepted drafts just longer? Growth of each response, by accepted rounds
exchanges = pandas.DataFrame(run.exchanges())
exchanges["growth"] = exchanges.response.str.len() / exchanges.original.str.len().clip(lower=1)
print(exchanges.groupby(["mode", "accepted_rounds"]).growth.describe()[["count", "50%", "max"]])

# %% Can the judge be trusted? How often the order of the two responses decides
rounds = pandas.DataFrame(run.rounds())
judged = rounds[rounds.points_draft.notna()]
print(f"{judged.favoured_position.notna().mean():.0%} of {len(judged)} judged rounds contradict themselves")

# %% Which step takes the time and the tokens
calls = pandas.DataFrame(run.calls())
print(calls.groupby("step").agg({"latency": "median", "input_tokens": "sum", "output_tokens": "sum"}))

# %% The summary of `coevol stats`
print(pandas.DataFrame(run.stats()["calls"]["by_role"]).T[["calls", "failed", "cost_usd"]])

# %% Polars takes the rows as well
failed = polars.DataFrame(run.calls()).filter(polars.col("failure").is_not_null())
print(failed.group_by("step", "code").len())
