"""The tables of a ledger.

Columns that hold JSON or a reply refer to `texts` for everything long (see `ledger.texts`). For use with
`sqlite3 RUN/ledger.sqlite` some views resolve the texts: `prompts`, `replies` and `responses` (the result of
each exchange). `decided` says of each decision whether it is current or the result has changed since.
"""

from sqlalchemy import (
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    column,
    literal_column,
    table,
    text,
)

VERSION = 8
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

# Tables of samples are shown in these orders. Each index also has all columns of the filters, so that a
# million rows are neither read nor sorted.
_FILTERED_BY = (
    *(results.c.position, results.c.mode, results.c.status, results.c.accepted_rounds),
    *(results.c.contradictions, results.c.original_tokens, results.c.final_tokens),
)
Index("results_by_position", *_FILTERED_BY)
Index("results_by_accepted", *dict.fromkeys((results.c.accepted_rounds, *_FILTERED_BY)))
Index("results_by_growth", GROWTH, *_FILTERED_BY)
Index("results_by_length", *dict.fromkeys((results.c.final_tokens, *_FILTERED_BY)))

NOT_DONE = "status <> 'done'"
"""The condition of the index below; a query must repeat it literally to use the index."""

# Few results are failed or skipped, and the reasons are queried often.
Index(
    "results_not_done",
    *(results.c.failure_kind, results.c.reason, results.c.status),
    sqlite_where=text(NOT_DONE),
)

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
)
Index("calls_of_sample", calls.c.sample)

UNCOUNTED = "input_tokens IS NULL OR output_tokens IS NULL"
"""Like `NOT_DONE`, for calls without token counts, which are few."""
Index("calls_uncounted", calls.c.number, sqlite_where=text(UNCOUNTED))

# Written by users while the run's one writer may be at work: so it holds no references to `texts`, whose ids
# only that writer assigns.
decisions = Table(
    "decisions",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("mode", String, primary_key=True),
    Column("exchange", Integer, primary_key=True),
    Column("decision", String, nullable=False, comment="accepted, rejected, chosen or edited"),
    Column("response", Text, nullable=False, comment="JSON: the response that the user wants"),
    Column("seen", Text, nullable=False, comment="the result that was decided on"),
    Column("note", Text, nullable=False, comment="JSON: why, or empty"),
    Column("decided", Float, nullable=False, comment="Unix time"),
)

RESPONSES = """
    CREATE VIEW responses AS
    SELECT results.rowid AS result, results.position, results.mode,
        json_extract(done.value, '$.exchange') AS exchange,
        json_extract(done.value, '$.ending') AS ending, results.exchanges, results.finished,
        coalesce(texts.text, json_extract(done.value, '$.response')) AS response
    FROM results CROSS JOIN json_each(results.outcome) AS done
        LEFT JOIN texts ON substr(json_extract(done.value, '$.response'), 1, 1) = char(1)
            AND texts.id = CAST(substr(json_extract(done.value, '$.response'), 2) AS INTEGER)
"""

# There are few decisions and perhaps a million results: CROSS JOIN starts at the decisions.
DECIDED = """
    CREATE VIEW decided AS
    SELECT decisions.position, decisions.mode, decisions.exchange, decisions.decision, decisions.response,
        decisions.note, decisions.decided, responses.result, responses.exchanges, responses.ending,
        decisions.seen = responses.response AS stands
    FROM decisions CROSS JOIN responses
    WHERE responses.position = decisions.position AND responses.mode = decisions.mode
        AND responses.exchange = decisions.exchange
"""
decided = table(
    "decided",
    *map(column, ("position", "mode", "exchange", "decision", "result", "exchanges", "ending", "stands")),
)

accepted_exchanges = table("accepted_exchanges", *map(column, ("mode", "accepted_rounds", "position")))
"""The results that have an exchange with so many accepted rounds, see `ledger.totals`."""

VIEWS = (
    """
    CREATE VIEW prompts AS
    SELECT calls.number, calls.sample, calls.step, json_extract(message.value, '$.role') AS role,
        (SELECT group_concat(coalesce(texts.text, piece.value), '')
            FROM json_each(message.value, '$.content') AS piece
            LEFT JOIN texts ON substr(piece.value, 1, 1) = char(1)
                AND texts.id = CAST(substr(piece.value, 2) AS INTEGER)) AS content
    FROM calls, json_each(calls.messages) AS message
    """,
    """
    CREATE VIEW replies AS
    SELECT calls.number, calls.sample, calls.step, coalesce(texts.text, calls.reply) AS reply
    FROM calls LEFT JOIN texts ON substr(calls.reply, 1, 1) = char(1)
        AND texts.id = CAST(substr(calls.reply, 2) AS INTEGER)
    """,
    RESPONSES,
    DECIDED,
)
