"""The tables of a ledger, as queries see them; `upgrades/` has the SQL that creates them, with indexes and
triggers.

Columns that hold JSON or a reply refer to `texts` for everything long (see `ledger.texts`). For use with
`sqlite3 RUN/ledger.sqlite` some views resolve the texts: `prompts`, `replies` and `responses` (the result of
each exchange). `reviewed` has each reviewer's decision and says whether the result has changed since,
`decided` those that count.
"""

from sqlalchemy import Column, Float, Integer, MetaData, String, Table, Text, column, literal_column, table

VERSION = 12
"""The version of these tables, in SQLite's `user_version`; `ledger.upgrade` upgrades older ones."""

metadata = MetaData()

samples = Table(
    "samples",
    metadata,
    Column("position", Integer, primary_key=True, comment="the record's position in the data, from 0"),
    Column("id", String, nullable=False, unique=True),
    Column("format", String, nullable=False),
    Column("record", Text, nullable=False, comment="JSON: the record as it was read"),
)

texts = Table(
    "texts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sample", String, comment="the id of its sample; none for texts of the prompts"),
    Column("text", Text, nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("mode", String, primary_key=True, comment="empty for a skipped sample"),
    Column("status", String, nullable=False, comment="done, failed or skipped"),
    Column("reason", String, comment="why it was skipped, or what failed, for users"),
    Column("accepted_rounds", Integer, nullable=False),
    Column("exchanges", Integer, nullable=False, comment="exchanges worked on"),
    Column("original_tokens", Integer, nullable=False, comment="of those exchanges, estimated"),
    Column("final_tokens", Integer, nullable=False),
    Column("contradictions", Integer, nullable=False, comment="rounds whose orders named opposite winners"),
    Column("outcome", Text, nullable=False, comment="JSON: a result for each exchange worked on"),
    Column("finished", Float, nullable=False, comment="Unix time"),
    Column("failure_kind", String, comment="the key of the failure's kind, where it failed"),
)

GROWTH = literal_column("CAST(final_tokens AS REAL) / max(original_tokens, 1)", Float)
"""Final over original tokens. For a generated column SQLite would read the row and not only the index."""

NOT_DONE = "status <> 'done'"
"""The condition of the index `results_not_done`; a query must repeat it literally to use the index."""

calls = Table(
    "calls",
    metadata,
    Column("number", Integer, primary_key=True, comment="in the order in which calls finished"),
    Column("sample", String, nullable=False, comment="the sample's id"),
    Column("mode", String, nullable=False),
    Column("exchange", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    Column("step", String, nullable=False),
    Column("asked", Integer, nullable=False, comment="2 and more: asked again, the reply could not be read"),
    Column("request", String, nullable=False, comment="hash of model, parameters and messages"),
    Column("model", String, nullable=False),
    Column("messages", Text, nullable=False, comment="JSON: what was sent, each content in pieces"),
    Column("reply", Text, nullable=False),
    Column("finish_reason", String),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("started", Float, nullable=False, comment="Unix time"),
    Column("latency", Float, nullable=False, comment="seconds"),
    Column("attempts", Integer, nullable=False),
    Column("failure", Text, comment="what failed, for users"),
    Column("code", String, comment="the provider's code for the failure"),
    Column("shortened_to", Integer, comment="characters left of the debate's longest speeches, where cut"),
    Column("failure_kind", String, comment="the key of the failure's kind"),
    Column("thoughts", Text, comment="what the model thought before it replied; none where it shows none"),
    Column("service_tier", String, comment="the tier it was served in, where the server says so"),
)

UNCOUNTED = "input_tokens IS NULL OR output_tokens IS NULL"
"""Like `NOT_DONE`, for calls without token counts, which are few."""

# Written by users while the run's one writer may be at work: so it holds no references to `texts`, whose ids
# only that writer assigns.
decision_history = Table(
    "decision_history",
    metadata,
    Column("number", Integer, primary_key=True, comment="in the order in which they were made"),
    Column("position", Integer, nullable=False),
    Column("mode", String, nullable=False),
    Column("exchange", Integer, nullable=False),
    Column("reviewer", String, nullable=False, comment="a name, or empty"),
    Column("decision", String, nullable=False, comment="accepted, rejected, chosen, edited or withdrawn"),
    Column("response", Text, nullable=False, comment="JSON: the response that the user wants"),
    Column("seen", Text, nullable=False, comment="the result that was decided on"),
    Column("note", Text, nullable=False, comment="JSON: why, or empty"),
    Column("decided", Float, nullable=False, comment="Unix time"),
)

_REVIEWED = (
    *("number", "position", "mode", "exchange", "reviewer", "decision", "response", "note", "decided"),
    *("result", "exchanges", "ending", "stands", "counts", "disputed"),
)

reviewed = table("reviewed", *map(column, _REVIEWED))
"""The current decision of each reviewer on each exchange, see `upgrades/to_12.sql`."""

decided = table("decided", *map(column, _REVIEWED))
"""Those of them that count: one for each exchange."""

accepted_exchanges = table("accepted_exchanges", *map(column, ("mode", "accepted_rounds", "position")))
"""The results that have an exchange with so many accepted rounds, see `upgrades/to_7.sql`."""
