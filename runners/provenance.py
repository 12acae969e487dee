"""The columns of `--with-provenance`: how each record came about.

All begin with `coevol_`, and each has one type in every row, with an empty text or 0 where there is nothing:
loaders infer the types of JSON from the first rows. What a record took is that of its sample in this mode,
all exchanges together.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from json import dumps
from typing import Any

from graph.settings import WHERE_NOT_WHAT
from ledger.ledger import Result
from ledger.usage import CallsOfSample
from models.settings import ROLES, Endpoint, Role
from prompts.method import MODES, STEPS
from reporting.cost import cost
from reporting.manifest import Manifest
from samples.sample import Sample

PREFIX = "coevol_"
_ORIGINALS = f"{PREFIX}original_responses"

COLUMNS = {
    "run": "what identifies the run",
    "mode": "which agents took part; empty for a skipped record",
    "status": "`done`, `failed` (some exchange failed and kept its response) or `skipped`",
    "reason": "the kind of the failure, or why the record was skipped",
    "models": "the model of each role, empty for roles that the mode does not have",
    "exchanges": "exchanges of request and response that were worked on",
    "rounds": "rounds of work, all exchanges together",
    "accepted_rounds": "rounds whose draft was accepted",
    "suggestions": "rounds for which the advisor had suggestions",
    "points": "the judge's points for the last accepted draft, averaged over both orders and over exchanges; "
    "0 where a judge accepted none",
    "points_before": "and for the response that it replaced",
    "guards": "the guards that refused a draft, in order, with commas",
    "endings": "why the rounds ended, for each exchange, with commas",
    "decisions": "what users decided, for each exchange on which they did, with commas",
    "calls": "model calls",
    "input_tokens": "their tokens, as far as they were reported; these and the cost are of all exchanges",
    "output_tokens": "likewise",
    "cost_usd": "their price in US dollars, as far as it is known",
    "cost_complete": "whether the price of all calls is known",
    "original_responses": "the original response of each exchange; the oldest where the data has this column",
}
"""The columns without their prefix, and what they hold."""


def fingerprint(manifest: Manifest) -> str:
    """Return what identifies a run: 16 hexadecimal digits, from what it was made of and when it began.

    Neither where its models are served nor further fields of requests are part of it.
    """
    settings = {
        name: value
        for name, value in manifest["settings"].items()
        if name not in WHERE_NOT_WHAT and not name.endswith("extra_body")
    }
    made = (
        manifest["created"],
        manifest["data"]["sha256"],
        manifest["data"]["format"],
        manifest["prompts"]["sha256"],
        manifest["modes"],
        settings,
    )
    return sha256(dumps(made, sort_keys=True).encode()).hexdigest()[:16]


class Provenance:
    """Makes the columns of a run in a mode."""

    def __init__(self, manifest: Manifest, mode: str, endpoints: Mapping[Role, Endpoint]) -> None:
        roles = {STEPS[step].role for step in MODES[mode].steps}
        self._run, self._endpoints = fingerprint(manifest), endpoints
        self._models = {role: public_model(endpoints[role].model) if role in roles else "" for role in ROLES}

    def columns(self, sample: Sample, result: Result, lines: Sequence[CallsOfSample]) -> dict[str, Any]:
        """Return the columns of a sample's records; `lines` are its calls in this mode."""
        outcome = result.outcome
        rounds = [done for exchange in outcome for done in exchange["rounds"]]
        last = [
            accepted[-1]["points"]
            for exchange in outcome
            if (accepted := [done for done in exchange["rounds"] if done["accepted"] and done["points"]])
        ]
        prices = [cost(self._endpoints, line.counted) if line.counted.calls else 0.0 for line in lines]
        values = {
            "run": self._run,
            "mode": result.mode,
            "status": result.status,
            "reason": result.failure_kind or (result.reason or "" if result.status == "skipped" else ""),
            "models": dict(self._models),
            "exchanges": result.exchanges,
            "rounds": len(rounds),
            "accepted_rounds": sum(done["accepted"] for done in rounds),
            "suggestions": sum(bool(done["suggestions"]) for done in rounds),
            "points": _average([points["draft"] for points in last]),
            "points_before": _average([points["current"] for points in last]),
            "guards": ",".join(done["guard"] for done in rounds if "guard" in done),
            "endings": ",".join("failed" if "failure" in done else done["ending"] for done in outcome),
            "decisions": ",".join(done["decision"] for done in outcome if "decision" in done),
            "calls": sum(line.counted.calls + line.without_usage for line in lines),
            "input_tokens": sum(line.counted.input_tokens for line in lines),
            "output_tokens": sum(line.counted.output_tokens for line in lines),
            "cost_usd": float(sum(price or 0.0 for price in prices)),
            "cost_complete": None not in prices and not any(line.of_unknown_cost for line in lines),
            "original_responses": earlier_originals(sample.read)
            or [exchange.response for exchange in sample.exchanges],
        }
        return {f"{PREFIX}{name}": values[name] for name in COLUMNS}


def has_columns(record: Mapping[str, Any]) -> bool:
    """Return whether a record has columns of an earlier run."""
    return bool(record.get(f"{PREFIX}run"))


def earlier_originals(record: Mapping[str, Any]) -> list[str]:
    """Return the original responses that an earlier run added to a record; none if it did not."""
    found = record.get(_ORIGINALS)
    is_known = isinstance(found, list) and all(isinstance(text, str) for text in found)
    return list(found or ()) if is_known else []


def with_types(types: str | None) -> str:
    """Return recorded types of columns with that of the column whose lists may all be empty."""
    import pyarrow as pa  # slow to load

    from samples.parquet_types import read_schema

    schema = (read_schema(types) if types else None) or pa.schema([])
    column = pa.field(_ORIGINALS, pa.list_(pa.string()))
    if _ORIGINALS not in schema.names:
        schema = schema.append(column)
    elif schema.field(_ORIGINALS).type == pa.list_(pa.null()):
        schema = schema.set(schema.get_field_index(_ORIGINALS), column)
    return b64encode(schema.serialize()).decode()


def public_model(model: str) -> str:
    """Return a model, PROVIDER:NAME, without the path of the folder that it may lie in."""
    provider, colon, name = model.partition(":")
    return f"{provider}{colon}{public_name(name)}"


def public_name(name: str) -> str:
    """Return a name without its path if it is a path on some machine; names such as OWNER/NAME stay."""
    path = name.replace("\\", "/").rstrip("/")
    is_path = path.startswith(("/", "~", ".")) or path[1:3] == ":/"
    return path.rpartition("/")[2] if is_path else name


def _average(values: Sequence[float]) -> float:
    return float(sum(values) / len(values)) if values else 0.0
