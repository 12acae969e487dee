"""What a run and its workers in other processes say to each other, in batches, as MessagePack.

The run asks, a worker answers: each exchange brings the worker what there is for it, and the run what has
gathered there. So nothing is asked of a worker that is gone, and a worker needs no way to reach the run.
"""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from ledger.encoding import Row
from ledger.ledger import RecordedReply, Result
from models.limits.rate_limiter import WaitReason
from models.routing.circuit_breaker import Outage
from models.settings import Endpoint, Role
from nodes.checks import Candidate
from runners.worker import Count, Job

Recorded = tuple[tuple[int, int, str, int, str], RecordedReply]

_PACKAGES = ("graph", "ledger", "models", "nodes", "prompts", "reporting", "runners", "samples")


class Lease(msgspec.Struct, array_like=True):
    """A sample that a worker is to work on, for as long as it keeps in touch."""

    number: int
    sample: bytes
    """Pickled: records hold whatever JSON and Parquet do."""
    mode: str
    recorded: list[Recorded]
    """The calls on record for it."""
    homes: list[int]
    """See `Router.at_work`."""


class Delivery(msgspec.Struct, array_like=True):
    """What a run says to a worker."""

    places: int = 0
    """How many of the run's places in flight are the worker's; of all other limits it has the same part."""
    leases: list[Lease] = []
    acknowledged: list[int] = []
    """The numbers of calls that are on disk."""
    unwritable: list[tuple[int, str]] = []
    """The numbers of calls that cannot be written, and why."""
    broken: str | None = None
    """Why the ledger cannot be written any more."""
    granted: list[int] = []
    """The numbers of reservations that the budget has room for."""
    text_ids: list[int] = []
    """The first ids of blocks (`ledger.texts.BLOCK`)."""
    stop: str | None = None
    """Why no further call may start."""
    ending: Literal["", "finish", "abandon"] = ""
    """Whether the calls in flight are to be waited for."""


class SentCall(msgspec.Struct, array_like=True):
    """A finished call. Its reply is not used before it is acknowledged."""

    number: int
    role: Role
    rows: msgspec.Raw
    input_tokens: int | None
    output_tokens: int | None
    replied: bool
    """Whether the model answered."""


class SentResult(msgspec.Struct, array_like=True):
    """A finished sample."""

    lease: int
    result: Result
    """Without its outcome."""
    counted: Count
    rows: msgspec.Raw


class SentClaim(msgspec.Struct, array_like=True):
    """A call that waits for the budget."""

    number: int
    endpoint: Endpoint
    prompt: int
    """Its estimated tokens."""
    most: int
    """The most tokens of its reply."""
    tier: str | None
    """The service tier that it asks for."""


class Report(msgspec.Struct, array_like=True):
    """What a worker says to its run."""

    calls: list[SentCall] = []
    finished: list[SentResult] = []
    unwritable: list[tuple[int, str]] = []
    """Leases whose result cannot be recorded, and why."""
    stopped: list[tuple[int, str]] = []
    """Leases that came to no result, and why."""
    outage: Role | None = None
    """See `Gateway.outage`."""
    unreachable: dict[Role, float] = {}
    """See `Gateway.unreachable`."""
    claims: list[SentClaim] = []
    settled: list[tuple[int, tuple[int, int, int, str | None] | None]] = []
    """Claims that are done with, and the tokens they took, as in `Usage`; None where that is unknown."""
    notices: list[str] = []
    recalled: int = 0
    """Calls that were answered from the record."""
    places_held: int = 0
    """See `Gateway.places_held`."""
    in_flight: int = 0
    waiting: list[WaitReason] = []
    outages: list[Outage] = []
    suspects: list[bytes] = []
    """Ids, which may be no valid Unicode."""
    spare_text_ids: int = 0
    """Blocks that are untouched."""
    ended: bool = False
    refused: str | None = None
    """See `Gateway.refused`; at the end."""


class Identity(NamedTuple):
    """Who a worker is."""

    version: str
    sources: str
    """A hash of the program's files."""
    node: str
    process: int


class Orders(NamedTuple):
    """What a worker begins with. It holds keys: it is never printed, and never written to a disk."""

    job: Job
    keys: dict[str, str]
    pack: dict[str, str]
    """The files of the prompt pack."""
    first: Candidate | None
    """What the check is tried out on."""
    text_ids: list[int]
    replied: list[Role]
    """The roles whose models have replied to other workers."""
    connections: int
    """How many calls will be in flight here while all workers are there."""

    def __repr__(self) -> str:
        return "Orders(…)"


encode = msgspec.msgpack.Encoder().encode
deliveries = msgspec.msgpack.Decoder(Delivery)
reports = msgspec.msgpack.Decoder(Report)
rows = msgspec.msgpack.Decoder(list[Row])


def program() -> tuple[str, str]:
    """Return the version of this program and a hash of its files."""
    return version("coevol"), _sources()


@cache
def _sources() -> str:
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for package in _PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            digest.update(f"{file.relative_to(root)} {file.stat().st_size}\n".encode() + file.read_bytes())
    return digest.hexdigest()
