"""The fuzz targets, for minutes."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests import fuzz

pytestmark = pytest.mark.long

LONG = settings(
    max_examples=20_000,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.reuse, Phase.generate],  # shrinking has no bound
)


@LONG
@given(fuzz.FILES)
def test_any_data_is_read_or_refused(file: tuple[bytes, str, bool]) -> None:
    fuzz.read_data(*file)


@LONG
@given(fuzz.TEXTS)
def test_any_text_has_a_verdict_or_none(text: str) -> None:
    fuzz.read_verdicts(text)


@LONG
@given(fuzz.TEXTS, fuzz.TEXTS, fuzz.TEXTS)
def test_any_text_is_cleaned_as_a_draft(draft: str, request_text: str, response: str) -> None:
    fuzz.read_draft(draft, request_text, response)


@LONG
@given(fuzz.BODIES)
def test_any_response_is_a_reply_or_a_failure_of_its_call(body: str) -> None:
    fuzz.read_reply(body)
