"""Generates runs with any number of finished samples, as the program's own writer would have written them.

Results vary as in real runs: accepted rounds, growth, contradicting verdicts, a few failures. After the first
`BLOCK` samples they repeat. Calls are optional, since those of a million samples take 20 GB.
"""

import re
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Connection, Table, insert, select

from benchmarks.endpoint import Endpoint
from benchmarks.program import coevol
from benchmarks.records import records
from ledger.encoding import STATEMENTS
from ledger.ledger import Ledger
from ledger.tables import calls, results, samples, texts
from ledger.texts import TextStore
from prompts.method import STEPS
from samples.json_values import to_json

Row = dict[str, Any]

BLOCK = 50_000


def finished_run(folder: Path, data: Path, done: int, calls_each: int = 0) -> Path:
    """Generate a run over `records`, with the first `done` samples finished, and so many calls each."""
    run = folder / "finished"
    with Endpoint() as endpoint:
        arguments = ("evolve", data, "-o", run, "--stop", 1, *endpoint.options)
        coevol(*arguments, cwd=folder, env=endpoint.environment)
    ledger = Ledger.open(run / "ledger.sqlite")
    with ledger.engine.connect() as connection:
        first = dict(connection.execute(select(results)).mappings().one())
        of_first = [dict(row) for row in connection.execute(select(calls)).mappings()]
        # For bulk writes: indexes stay in memory, and nothing waits for the disk.
        connection.exec_driver_sql("PRAGMA cache_size = -500000")
        connection.exec_driver_sql("PRAGMA synchronous = OFF")
        connection.rollback()
        store = TextStore(count(ledger.last_text_id() + 1))
        rows = _rows(store, min(done, BLOCK), first)
        number = count(len(of_first) + 1)
        while some := list(islice(rows, 10_000)):
            with connection.begin():
                connection.execute(insert(samples), [sample for sample, _ in some])
                connection.execute(insert(results), [result for _, result in some])
                connection.exec_driver_sql(STATEMENTS["texts"], store.new_rows)
                if calls_each:
                    made = _calls(of_first, some, calls_each)
                    connection.execute(insert(calls), [call | {"number": next(number)} for call in made])
            store.new_rows = []
        last = ledger.last_text_id()
        driver: Any = connection.connection.driver_connection
        driver.create_function("shifted", 2, _shifted, deterministic=True)
        for begin in range(BLOCK, done, BLOCK):
            for table in (texts, samples, results, calls):
                _repeat(connection, table, begin, min(done - begin, BLOCK), last * (begin // BLOCK))
            connection.commit()
    return run


def _repeat(connection: Connection, table: Table, begin: int, number: int, shift: int) -> None:
    """Copy the first rows of a table, as those of the samples from `begin`.

    The ids of their texts are higher by `shift`.
    """
    moved = {"position": f"position + {begin}", "id": f"position + {begin}", "number": "NULL"}
    moved |= {"sample": f"sample + {begin}", "started": f"started + {begin / 20}"}
    moved |= {name: f"shifted({name}, {shift})" for name in ("record", "outcome")}
    position = "position"
    if table is calls:
        position = "CAST(sample AS INTEGER)"
    elif table is texts:
        moved["id"] = f"id + {shift}"
        position = f"id <= {shift // (begin // BLOCK)} AND CAST(sample AS INTEGER)"
    names = [column.name for column in table.columns]
    selected = ", ".join(moved.get(name, name) for name in names)
    connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({', '.join(names)}) "
        f"SELECT {selected} FROM {table.name} WHERE {position} < {number}"
    )


def _shifted(json: str, shift: int) -> str:
    """Return JSON with its references to texts shifted."""
    return _REFERENCE.sub(lambda found: f'"\\u0001{int(found[1]) + shift}"', json)


_REFERENCE = re.compile(r'"\\u0001([0-9]+)"')


def _rows(store: TextStore, done: int, first: Row) -> Iterator[tuple[Row, Row]]:
    """Yield samples and results, after the first."""
    for position, record in islice(enumerate(records(done)), 1, None):
        name, chance = str(position), Random(position)
        accepted, contradicts = chance.choice((0, 0, 1, 1, 2, 3)), chance.random() < 0.05
        draft = record["output"] + " And one sentence more." * chance.randint(1, 9)
        wins = {"reply": "assistant 2\nIt says more.", "points": [0.0, 1.0]}
        loses = {"reply": "assistant 1\nIt says more.", "points": [1.0, 0.0]}
        rounds = [
            {
                "round": number + 1,
                "suggestions": "Say the most important thing first.\nGive one concrete example.",
                "draft": draft,
                "forward": wins if number < accepted or contradicts else loses,
                "reversed": loses if number < accepted else wins,
                "points": {"current": 0.0, "draft": 1.0},
                "accepted": number < accepted,
            }
            for number in range(min(accepted + 1, 3))
        ]
        outcome: Row = {
            "exchange": 0,
            "original": record["output"],
            "response": draft if accepted else record["output"],
            "ending": "max_rounds" if accepted == 3 else "not_accepted",
            "accepted_rounds": accepted,
            "rounds": rounds,
        }
        failed = chance.random() < 0.01
        if failed:
            outcome |= {"ending": "failed", "failure": {"reason": "timeout", "message": "no answer"}}
        result = first | {
            "position": position,
            "status": "failed" if failed else "done",
            "reason": "no answer" if failed else None,
            "failure_kind": "timeout" if failed else None,
            "accepted_rounds": accepted,
            "contradictions": int(contradicts and accepted < 3),
            "original_tokens": len(record["output"]) // 5,
            "final_tokens": len(draft if accepted else record["output"]) // 5,
            "outcome": to_json(store.put([outcome], name)),
        }
        kept = to_json(store.put(record, name))
        store.forget(name)
        yield {"position": position, "id": name, "format": "alpaca", "record": kept}, result


def _calls(of_first: list[Row], some: list[tuple[Row, Row]], each: int) -> Iterator[Row]:
    for sample, _ in some:
        for index in range(each):
            like, step = of_first[index % len(of_first)], [*STEPS][index % len(STEPS)]
            latency = Random(sample["position"] * each + index).lognormvariate(0, 0.5)
            began = like["started"] + sample["position"] / 20
            new = {"sample": sample["id"], "step": step, "started": began, "latency": latency}
            yield like | new | {"reply": "Briefly.", "messages": "[]"}
