"""The fuzz targets, for seconds."""

from hypothesis import HealthCheck, Phase, given, settings

from tests import fuzz

SHORT = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.reuse, Phase.generate],  # shrinking has no bound
)


@SHORT
@given(fuzz.FILES)
def test_any_data_is_read_or_refused(file: tuple[bytes, str, bool]) -> None:
    fuzz.read_data(*file)


@SHORT
@given(fuzz.TEXTS)
def test_any_text_has_a_verdict_or_none(text: str) -> None:
    fuzz.read_verdicts(text)


@SHORT
@given(fuzz.TEXTS, fuzz.TEXTS, fuzz.TEXTS)
def test_any_text_is_cleaned_as_a_draft(draft: str, request_text: str, response: str) -> None:
    fuzz.read_draft(draft, request_text, response)


@SHORT
@given(fuzz.BODIES)
def test_any_response_is_a_reply_or_a_failure_of_its_call(body: str) -> None:
    fuzz.read_reply(body)
