"""What a failed call means for the run: one table for all providers.

A failure is one of four: the call is worth trying again; so it is, and the endpoint wants fewer calls; this
call cannot be done (its sample keeps its response and the run goes on); or the run cannot go on. `models.
diagnosis` reads what happened and looks it up here: by the provider's own code first, then by its words,
then by the HTTP status. Codes that are words mean the same wherever they come from, since a proxy hands on
those of whatever is behind it. Codes that are numbers do not, and count only where they can come from.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from models.settings import Provider

Remedy = Literal["retry", "slow down", "give up call", "stop run"]


class CallFailed(RuntimeError):
    """A call that cannot be done. Its sample keeps its response; the run goes on.

    `reason` is a short name that failures are counted by; the text says what happened.
    """

    def __init__(self, reason: str, message: str, *, step: str = "", round: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.step = step
        self.round = round


class RunStopped(RuntimeError):
    """The run cannot go on. What is finished is kept, and the same command goes on from there."""


class MissingExtra(RunStopped):
    """A model needs a library that is not installed."""


class AnswerRefused(Exception):
    """An answer that is no reply, where it came through a library without errors of such a form.

    `body` is what was in it, JSON or text; `headers` have names in small letters. `lacks` says what is wrong
    with an answer that ought to be a chat completion; it may have been paid for.
    """

    def __init__(
        self, status: int, body: Any, headers: Mapping[str, str] | None = None, *, lacks: str = ""
    ) -> None:
        super().__init__(f"status {status}")
        self.status_code = status
        self.body = body
        self.headers = headers or {}
        self.lacks = lacks


class Unsendable(Exception):
    """A request that could not be made, so that no server has seen it."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a kind of failure calls for: the remedy, a short name to count it by, and what a person can do.

    `advice` may hold `{key}`, the name of the variable with the provider's key.
    """

    remedy: Remedy
    name: str
    advice: str = ""


LONGEST_WORDS = 500
"""Characters shown of what a provider says of a failure; some send a page."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A failure of one attempt: what it means, what happened, and what the provider says of it.

    `advice` is what a person can do. `code` is the provider's own for the failure; `wait` is how long the
    server asks to wait before another attempt, in seconds.
    """

    meaning: Meaning
    said: str
    words: str = ""
    advice: str = ""
    code: str | None = None
    wait: float | None = None

    @property
    def remedy(self) -> Remedy:
        """What to do about it."""
        return self.meaning.remedy

    def told(self, redact: Callable[[str], str], attempts: int = 1) -> str:
        """What to show a person, secrets taken out: what happened, and the advice on a line of its own.

        The provider's words alone are shortened, and only when no secret is left that could be cut in two.
        """
        words = redact(self.words)
        words = words if len(words) <= LONGEST_WORDS else words[: LONGEST_WORDS - 1] + "…"
        text = redact(self.said) + (f": {words}" if words else "")
        text += f" (after {attempts} attempts)" if attempts > 1 else ""
        return f"{text}\n{self.advice}" if self.advice else text


UNREACHABLE = Meaning("retry", "unreachable", "Check the base URL, and that the server is up.")
CONNECTION_LOST = Meaning("retry", "connection lost")
TIMEOUT = Meaning("retry", "timeout", "Give it more time with --timeout, or ask for shorter replies.")
SERVER_ERROR = Meaning("retry", "server error")
BAD_REPLY = Meaning("retry", "bad reply", "Check that the base URL is that of an OpenAI-compatible API.")
BROKEN_OFF = Meaning("retry", "broken off")

THROTTLED = Meaning("slow down", "throttled", "Lower --rpm, --tpm or --concurrency.")
OVERLOADED = Meaning("slow down", "overloaded", "Lower --concurrency.")

TOO_LONG = Meaning("give up call", "too long", "The text is longer than the model can take.")
FILTERED = Meaning("give up call", "content filter", "The provider refuses this content.")
EMPTY = Meaning("give up call", "empty reply")
TRUNCATED = Meaning("give up call", "truncated", "Raise --max-tokens.")
REFUSED = Meaning("give up call", "refused")
UNSENDABLE = Meaning(
    "give up call", "cannot be sent", "Check the key in {key} and the fields of --extra-body."
)
MISTAKE = Meaning("give up call", "mistake of the program")
GIVEN_UP = Meaning("give up call", "given up")

KEY_REFUSED = Meaning("stop run", "key refused", "Check the key in {key}.")
NOT_ALLOWED = Meaning("stop run", "not allowed", "Check what the key in {key} is allowed to use.")
NO_BALANCE = Meaning("stop run", "no balance", "Check the account's balance and limits.")
QUOTA_USED_UP = Meaning("stop run", "quota used up", "Go on when the provider has renewed the quota.")
MODEL_UNKNOWN = Meaning("stop run", "not found", "Check the model's name and the base URL.")
PARAMETER_REFUSED = Meaning("stop run", "parameter refused", "Change or leave out that setting.")
MAX_TOKENS_REFUSED = Meaning("stop run", "parameter refused", "Lower --max-tokens.")
TOO_LONG_A_WAIT = Meaning("stop run", "long wait")
TOO_MANY_FILES = Meaning(
    "stop run", "too many open files", "Raise the limit with `ulimit -n`, or lower --concurrency."
)

NEVER_RIGHT: dict[Meaning, Meaning] = {
    BAD_REPLY: Meaning(
        "stop run",
        "no chat completions",
        BAD_REPLY.advice,
    ),
    REFUSED: Meaning(
        "stop run",
        "all refused",
        "Check its settings and the fields of --extra-body.",
    ),
    UNSENDABLE: Meaning("stop run", "cannot be sent", UNSENDABLE.advice),
}
"""What a failure means where the first few calls all end so, and none has had a reply: a mistake in the
settings."""

FINAL = frozenset(meaning.name for meaning in (TOO_LONG, FILTERED, EMPTY, TRUNCATED))
"""Failures that come of what was asked: the same call made again would fail again, and mostly be paid for. A
plain refusal is none of them: it may come of the server, and costs nothing."""

CODES: dict[str, Meaning] = {
    # OpenAI, and most that speak its protocol
    "invalid_api_key": KEY_REFUSED,
    "account_deactivated": KEY_REFUSED,
    "insufficient_quota": NO_BALANCE,
    "billing_hard_limit_reached": NO_BALANCE,
    "billing_not_active": NO_BALANCE,
    "model_not_found": MODEL_UNKNOWN,
    "context_length_exceeded": TOO_LONG,
    "string_above_max_length": TOO_LONG,
    "content_filter": FILTERED,
    "content_policy_violation": FILTERED,
    "invalid_prompt": FILTERED,
    "unsupported_parameter": PARAMETER_REFUSED,
    "unsupported_value": PARAMETER_REFUSED,
    "unknown_parameter": PARAMETER_REFUSED,
    # gateways in front of several providers
    "insufficient_user_quota": NO_BALANCE,
    "sensitive_words_detected": FILTERED,
    # ERNIE (Qianfan V2); its codes that end in `_unsafe` are in SIGNS
    "invalid_iam_token": KEY_REFUSED,
    "invalid_appid": KEY_REFUSED,
    "invalid_model": MODEL_UNKNOWN,
    "invalid_messages": REFUSED,
    "tokens_too_long": TOO_LONG,
    "characters_too_long": TOO_LONG,
    "no_parameter_permission": PARAMETER_REFUSED,
    "account_overdue": NO_BALANCE,
    "rpm_rate_limit_exceeded": THROTTLED,
    "tpm_rate_limit_exceeded": THROTTLED,
    "server_overloaded": OVERLOADED,
}
"""What a code in words means, whatever the status and the provider."""

WENXIN_CODES: dict[str, Meaning] = {
    "1": SERVER_ERROR,
    "2": SERVER_ERROR,
    "3": MODEL_UNKNOWN,
    "6": NOT_ALLOWED,
    "4": QUOTA_USED_UP,
    "17": QUOTA_USED_UP,
    "18": THROTTLED,
    "19": QUOTA_USED_UP,
    "110": KEY_REFUSED,
    "111": KEY_REFUSED,
    "336000": SERVER_ERROR,
    "336003": REFUSED,
    "336006": REFUSED,
    "336007": TOO_LONG,
    "336100": OVERLOADED,
    "336103": TOO_LONG,
    "336104": REFUSED,
    "336501": THROTTLED,
    "336502": THROTTLED,
}
"""Wenxin V1's numbers, which come with status 200, and from it alone."""

GLM_CODES: dict[int | None, dict[str, Meaning]] = {
    401: {
        "1000": KEY_REFUSED,
        "1001": KEY_REFUSED,
        "1002": KEY_REFUSED,
        "1003": KEY_REFUSED,
        "1004": KEY_REFUSED,
        "1005": KEY_REFUSED,
    },
    # Several of these are no matter of speed.
    429: {
        "1110": NOT_ALLOWED,
        "1111": NOT_ALLOWED,
        "1112": NOT_ALLOWED,
        "1113": NO_BALANCE,
        "1121": NOT_ALLOWED,
        "1302": THROTTLED,
        "1303": THROTTLED,
        "1304": QUOTA_USED_UP,
        "1305": OVERLOADED,
        "1308": QUOTA_USED_UP,
        "1309": QUOTA_USED_UP,
        "1310": QUOTA_USED_UP,
        "1311": QUOTA_USED_UP,
    },
    400: {
        "1210": PARAMETER_REFUSED,
        "1211": MODEL_UNKNOWN,
        "1212": MODEL_UNKNOWN,
        "1213": REFUSED,
        "1214": REFUSED,
        "1215": PARAMETER_REFUSED,
        "1261": TOO_LONG,
        "1300": FILTERED,
        "1301": FILTERED,
    },
    # Its documentation gives no status for these.
    None: {
        "1120": SERVER_ERROR,
        "1220": NOT_ALLOWED,
        "1221": MODEL_UNKNOWN,
        "1222": MODEL_UNKNOWN,
        "1230": SERVER_ERROR,
        "1234": SERVER_ERROR,
    },
}
"""GLM's numbers, by the status that it sends them with. From GLM itself they count with any status, and from
what may be a proxy in front of it (`openai:`, `vllm:`) with that one only."""

SIGNS: tuple[tuple[int, str, Meaning], ...] = (
    (400, "_unsafe", FILTERED),
    (403, "_unsafe", FILTERED),
    (403, "overdue", NO_BALANCE),
    (403, "arrears", NO_BALANCE),
    # Azure's code is `content_filter`, its words name the policy; some proxies keep the words alone.
    (400, "content management policy", FILTERED),
    # A reply longer than the model can give is asked for in every call.
    (400, "cannot be greater than max_model_len", MAX_TOKENS_REFUSED),
    (400, "max_tokens is too large", MAX_TOKENS_REFUSED),
    (400, "max_completion_tokens is too large", MAX_TOKENS_REFUSED),
    # OpenAI, and servers made with pydantic (1 and 2)
    (400, "unrecognized request argument", PARAMETER_REFUSED),
    (400, "unknown parameter", PARAMETER_REFUSED),
    (400, "unsupported parameter", PARAMETER_REFUSED),
    (400, "extra fields not permitted", PARAMETER_REFUSED),
    (400, "extra inputs are not permitted", PARAMETER_REFUSED),
    # vLLM, and OpenAI's words where a proxy lost the code
    (400, "context length", TOO_LONG),
    (400, "context_length", TOO_LONG),
    (400, "context window", TOO_LONG),
    (400, "too long", TOO_LONG),
    # A single request that is above the limit of a minute cannot succeed later.
    (429, "request too large", TOO_LONG),
    (429, "per day", QUOTA_USED_UP),
    (429, "daily", QUOTA_USED_UP),
    (429, "quota of", QUOTA_USED_UP),
    (429, "check your plan and billing", NO_BALANCE),
)
"""Words (in small letters) in a status's code or message that say more than the status. 422 counts as 400."""

SHORT_WAIT = 120.0
"""Seconds. Who asks for a wait no longer than that throttles, whatever else the words say: Gemini speaks of
plan and billing when a minute's share is used up."""

STATUSES: dict[int, Meaning] = {
    401: KEY_REFUSED,
    402: NO_BALANCE,
    403: NOT_ALLOWED,
    404: MODEL_UNKNOWN,
    405: MODEL_UNKNOWN,
    408: TIMEOUT,
    409: SERVER_ERROR,
    413: TOO_LONG,
    421: SERVER_ERROR,
    423: SERVER_ERROR,
    425: SERVER_ERROR,
    429: THROTTLED,
    501: MODEL_UNKNOWN,
    503: OVERLOADED,
    529: OVERLOADED,
}
"""What a status means by itself. Others: from 500 on a server error, below that a refusal of this call."""

FINISHES: dict[str, Meaning] = {
    "content_filter": FILTERED,
    "sensitive": FILTERED,
    "model_context_window_exceeded": TOO_LONG,
    "network_error": BROKEN_OFF,
    "abort": BROKEN_OFF,
    "error": BROKEN_OFF,
}
"""Finish reasons that come with status 200 and make the reply useless. `length` is no such thing by itself:
where a reply must be whole, the call says so."""


def meaning_of(
    status: int, code: str, words: str, *, provider: Provider = "openai", wait: float | None = None
) -> Meaning:
    """What an answer that is no reply means. `wait` is how long the server asks to wait, in seconds."""
    if meaning := CODES.get(code) or _numbered(status, code, provider):
        return meaning
    said = f"{code} {words}".lower()
    for sign_status, sign, meaning in SIGNS:
        if sign_status == (400 if status == 422 else status) and sign in said:
            throttles = meaning in (NO_BALANCE, QUOTA_USED_UP) and status == 429
            if throttles and wait is not None and wait <= SHORT_WAIT:
                return THROTTLED
            return meaning
    return STATUSES.get(status, SERVER_ERROR if status >= 500 else REFUSED)


def _numbered(status: int, code: str, provider: Provider) -> Meaning | None:
    """What a code that is a number means where it comes from."""
    if provider == "wenxin":
        return WENXIN_CODES.get(code)
    if provider in ("glm", "glm-jwt"):
        return next((codes[code] for codes in GLM_CODES.values() if code in codes), None)
    return GLM_CODES.get(status, {}).get(code) if provider in ("openai", "vllm") else None
