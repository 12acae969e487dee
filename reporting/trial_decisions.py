"""What people decided in a trial: the lines of its `people.jsonl`."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from samples.files import file_mode
from trials.judgments import Features, Judgment


@dataclass(frozen=True, slots=True)
class Decision:
    """Which of two responses a person prefers: a line of `people.jsonl`."""

    person: str
    sample: str
    exchange: int
    arm_a: str
    """The arm that comes after the other in the list of arms."""
    arm_b: str
    order: str
    """`forward` if A's response was shown first, else `reversed`."""
    outcome: float | None
    """1 if A's is better, 0 if B's is, 0.5 for a tie; None takes an earlier decision back."""
    decided: float
    """Unix time."""
    texts: str | None = None
    """`digest_of` the responses that were decided on; None in decisions of earlier versions."""

    @property
    def key(self) -> tuple[str, str, int, str, str]:
        """Who decided on what."""
        return self.person, self.sample, self.exchange, self.arm_a, self.arm_b

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def is_valid(self, arms: tuple[str, ...]) -> bool:
        """Whether it is a decision on two arms of a trial; a file can hold anything."""
        texts = (self.person, self.sample, self.arm_a, self.arm_b)
        return (
            all(isinstance(text, str) for text in texts)
            and type(self.exchange) is int
            and self.arm_a in arms[1:]
            and self.arm_b in arms[: arms.index(self.arm_a)]
            and self.order in ("forward", "reversed")
            and self.outcome in (0, 0.5, 1, None)
            and isinstance(self.texts, str | None)
        )

    def is_on(self, responses: Mapping[str, str]) -> bool:
        """Whether it is on these responses, by arm, as far as is known."""
        if not {self.arm_a, self.arm_b} <= responses.keys():
            return False
        return self.texts in (None, digest_of(responses[self.arm_a], responses[self.arm_b]))

    def judgment(self, features: Mapping[str, Features]) -> Judgment:
        """Return it as a row of the statistics."""
        return Judgment(
            self.sample,
            self.arm_a,
            self.arm_b,
            f"{self.person} (person)",
            self.order,  # type: ignore[arg-type]
            self.outcome,
            features[self.arm_a],
            features[self.arm_b],
            self.exchange,
            person=True,
        )


def read_decisions(file: Path, arms: tuple[str, ...]) -> list[Decision]:
    """Return the decisions in a file, of each person on a pair the last one; none where it is taken back."""
    found: dict[Any, Decision] = {}
    with suppress(FileNotFoundError):
        for line in file.read_bytes().split(b"\n"):
            with suppress(ValueError, TypeError, AttributeError):  # a line that was cut off or damaged
                decision = Decision(**json.loads(line))
                if decision.is_valid(arms):
                    found[decision.key] = decision
    return [decision for decision in found.values() if decision.outcome is not None]


def write_decision(file: Path, decision: Decision) -> None:
    """Add a decision to a file, which may be new; it is on disk when this returns.

    It begins a line of its own, also after one that was cut off.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, file_mode(file.parent))
    with open(descriptor, "a+b") as added:  # noqa: PTH123
        last = b"\n"
        if added.tell():
            added.seek(-1, os.SEEK_END)
            last = added.read(1)
        added.write(b"\n" * (last != b"\n") + json.dumps(decision.as_dict()).encode() + b"\n")
        added.flush()
        os.fsync(added.fileno())


def digest_of(response_a: str, response_b: str) -> str:
    """Return a digest of two responses, by which a decision on them is known."""
    both = json.dumps([response_a, response_b])
    return blake2b(both.encode(), digest_size=16).hexdigest()
