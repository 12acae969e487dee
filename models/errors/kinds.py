"""What a failed call means for the run: one table for all providers.

A failure has one of four remedies: retry the call; retry it and slow down; abandon the call (its sample keeps
its response and the run continues); stop the run. `models.errors.classify` reads what happened and looks it
up here: by the provider's own code first, then by its message, then by the HTTP status. Codes in words mean
the same wherever they come from, since a proxy passes on those of the server behind it. Numeric codes do not,
and count only where they can come from.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from models.settings import Provider
from samples.printable import printable

Remedy = Literal["retry", "slow down", "abandon call", "stop run"]


@dataclass(frozen=True, slots=True)
class FailureKind:
    """A kind of failure."""

    remedy: Remedy
    key: str
    """What failures are stored and counted by; `reporting.labels` has what is shown for it."""
    advice: str = ""
    """What a user can do. May hold `{key}`, the name of the variable with the provider's key."""


MAX_MESSAGE_CHARS = 500
"""Characters shown of a provider's message; some send a whole page."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of one attempt."""

    kind: FailureKind
    summary: str
    """What happened, in our words."""
    provider_message: str = ""
    advice: str = ""
    code: str | None = None
    """The provider's own code for it."""
    wait: float | None = None
    """Seconds that the server asks to wait before another attempt."""

    @property
    def remedy(self) -> Remedy:
        """What to do about it."""
        return self.kind.remedy

    @property
    def may_pass(self) -> bool:
        """Whether another attempt may succeed."""
        return self.remedy in ("retry", "slow down")

    @property
    def likeness(self) -> tuple[object, ...]:
        """Equal for failures that are alike: of one kind, with one code, and messages that begin alike. What
        follows may be the text that was refused."""
        message = without_details(self.provider_message or self.summary)
        return self.kind, self.code, message[:SAME_BEGINNING]

    def describe(self, redact: Callable[[str], str], attempts: int = 1) -> str:
        """What to show a user, secrets removed and escaped: what happened, and the advice on a line of its
        own.

        Only the provider's message is shortened, and only after redaction, so that no secret is cut in two.
        """
        message = printable(redact(self.provider_message))
        if len(message) > MAX_MESSAGE_CHARS:
            message = message[: MAX_MESSAGE_CHARS - 1] + "…"
        text = printable(redact(self.summary)) + (f": {message}" if message else "")
        text += f" (after {attempts} attempts)" if attempts > 1 else ""
        return f"{text}\n{printable(redact(self.advice))}" if self.advice else text


MAX_COMPARED_CHARS = 400
"""Characters of a message by which it is compared with others."""

SAME_BEGINNING = 40
"""Characters that the messages of failures that are alike begin with."""

_DETAILS = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|[\w-]*\d[\w-]*|[a-z]+[A-Z]\w*""", re.ASCII)


def without_details(message: str) -> str:
    """Return a message without what differs from call to call: ids, numbers, quoted texts."""
    return _DETAILS.sub("#", message[:MAX_COMPARED_CHARS])


UNREACHABLE = FailureKind("retry", "unreachable", "Check the base URL, and that the server is up.")
CONNECTION_LOST = FailureKind("retry", "connection lost")
TIMEOUT = FailureKind("retry", "timeout", "Give it more time with --timeout, or ask for shorter replies.")
SERVER_ERROR = FailureKind("retry", "server error")
BAD_REPLY = FailureKind("retry", "bad reply", "Check that the base URL is that of an OpenAI-compatible API.")
CUT_SHORT = FailureKind("retry", "broken off")

THROTTLED = FailureKind("slow down", "throttled", "Lower --rpm, --tpm or --concurrency.")
OVERLOADED = FailureKind("slow down", "overloaded", "Lower --concurrency.")

NO_ROOM = FailureKind(
    "retry",
    "no capacity",
    "The same command resumes the run when there is room; --service-tier default does not wait for it.",
)
"""A service tier has no room for this call. Others may find some, so that is no reason to slow down."""

TOO_LONG = FailureKind("abandon call", "too long", "The text is longer than the model can take.")
FILTERED = FailureKind("abandon call", "content filter", "The provider refuses this content.")
EMPTY = FailureKind("abandon call", "empty reply")
TRUNCATED = FailureKind("abandon call", "truncated", "Raise --max-tokens.")
CONTROL_TOKENS = FailureKind(
    "abandon call",
    "control tokens",
    "The server sends tokens of the model's chat template as text; check its chat template.",
)
REFUSED = FailureKind("abandon call", "refused")
UNSENDABLE = FailureKind(
    "abandon call", "cannot be sent", "Check the key in {key} and the fields of --extra-body."
)
INTERNAL_ERROR = FailureKind("abandon call", "mistake of the program")
UNWRITABLE = FailureKind("abandon call", "cannot be recorded")
"""What the call or its sample holds cannot be written to the ledger."""
NO_PROMPT = FailureKind("abandon call", "no prompt")
"""A template of the prompt pack cannot be rendered with what the sample holds."""
ABANDONED = FailureKind("abandon call", "given up")
"""Still in flight when the run was asked to stop at once; it may be billed."""

KEY_REFUSED = FailureKind("stop run", "key refused", "Check the key in {key}.")
NOT_ALLOWED = FailureKind("stop run", "not allowed", "Check what the key in {key} is allowed to use.")
NO_BALANCE = FailureKind("stop run", "no balance", "Check the account's balance and limits.")
QUOTA_USED_UP = FailureKind(
    "stop run", "quota used up", "Run the same command again when the quota has been renewed."
)
MODEL_UNKNOWN = FailureKind("stop run", "not found", "Check the model's name and the base URL.")
PARAMETER_REFUSED = FailureKind("stop run", "parameter refused", "Change or leave out that setting.")
MAX_TOKENS_REFUSED = FailureKind("stop run", "parameter refused", "Lower --max-tokens.")
NO_TIER = FailureKind(
    "stop run", "parameter refused", "Leave --service-tier out, or choose another tier or model."
)
LONG_WAIT = FailureKind("stop run", "long wait")
ALL_REFUSED = FailureKind(
    "stop run",
    "all refused",
    "Check the account, the key and the model at the provider; then the same command resumes the run, and "
    "works on those samples too. If their texts are refused, --retry-failed carries on past them.",
)
TOO_MANY_FILES = FailureKind(
    "stop run", "too many open files", "Raise the limit with `ulimit -n`, or lower --concurrency."
)

AT_STARTUP: dict[FailureKind, FailureKind] = {
    BAD_REPLY: FailureKind("stop run", "no chat completions", BAD_REPLY.advice),
    REFUSED: FailureKind("stop run", "all refused", "Check its settings and the fields of --extra-body."),
    UNSENDABLE: FailureKind("stop run", "cannot be sent", UNSENDABLE.advice),
}
"""What a failure means where the first few calls all fail with it and none has had a reply: wrong
settings."""

ASKED_AGAIN = frozenset(kind.key for kind in (EMPTY, CONTROL_TOKENS))
"""The kinds of a reply that ended by itself and holds nothing usable: its step is asked again."""

UNUSABLE_REPLY = ASKED_AGAIN | {TRUNCATED.key}
"""The kinds of a call that was answered, with nothing in the reply that can be used."""

FINAL = UNUSABLE_REPLY | {TOO_LONG.key}
"""The kinds that follow from the request: the same call would fail again, and mostly be billed again.
Refusals, a content filter's too, are not among them: they may be the server's doing, and mostly cost
nothing."""


def _by_code(codes: Mapping[FailureKind, str]) -> dict[str, FailureKind]:
    return {code: kind for kind, some in codes.items() for code in some.split()}


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


# OpenAI, and most that speak its protocol
CODES = _by_code(
    {
        KEY_REFUSED: "invalid_api_key account_deactivated",
        NO_BALANCE: "insufficient_quota billing_hard_limit_reached billing_not_active",
        MODEL_UNKNOWN: "model_not_found",
        TOO_LONG: "context_length_exceeded string_above_max_length",
        FILTERED: "content_filter content_policy_violation invalid_prompt",
        PARAMETER_REFUSED: "unsupported_parameter unsupported_value unknown_parameter",
        NO_ROOM: "resource_unavailable",
    }
)
"""What a code in words means, whatever the status and the provider."""

# DashScope and Moonshot
CODES |= _by_code(
    {
        NO_BALANCE: "Arrearage arrearage exceeded_current_quota_error",
        FILTERED: "data_inspection_failed DataInspectionFailed",
        OVERLOADED: "engine_overloaded_error",
    }
)

# llama.cpp's server
CODES |= _by_code({TOO_LONG: "exceed_context_size_error"})

# Groq
CODES |= _by_code({NO_ROOM: "capacity_exceeded"})

# Gateways in front of several providers
CODES |= _by_code({NO_BALANCE: "insufficient_user_quota", FILTERED: "sensitive_words_detected"})

# ERNIE (Qianfan V2); its codes that end in `_unsafe` are in PHRASES
CODES |= _by_code(
    {
        KEY_REFUSED: "invalid_iam_token invalid_appid",
        MODEL_UNKNOWN: "invalid_model",
        REFUSED: "invalid_messages",
        TOO_LONG: "tokens_too_long characters_too_long",
        PARAMETER_REFUSED: "no_parameter_permission",
        NO_BALANCE: "account_overdue",
        THROTTLED: "rpm_rate_limit_exceeded tpm_rate_limit_exceeded",
        OVERLOADED: "server_overloaded",
    }
)

WENXIN_CODES = _by_code(
    {
        SERVER_ERROR: "1 2 336000",
        MODEL_UNKNOWN: "3",
        NOT_ALLOWED: "6",
        QUOTA_USED_UP: "4 17 19",
        THROTTLED: "18 336501 336502",
        KEY_REFUSED: "110 111",
        REFUSED: "336003 336006 336104",
        TOO_LONG: "336007 336103",
        OVERLOADED: "336100",
    }
)
"""Wenxin V1's numbers, which come with status 200; no other provider has them."""

GLM_CODES: dict[int | None, dict[str, FailureKind]] = {
    401: _by_code({KEY_REFUSED: "1000 1001 1002 1003 1004 1005"}),
    # Not all of these are about speed.
    429: _by_code(
        {
            NOT_ALLOWED: "1110 1111 1112 1121",
            NO_BALANCE: "1113",
            THROTTLED: "1302 1303",
            OVERLOADED: "1305",
            QUOTA_USED_UP: "1304 1308 1309 1310 1311",
        }
    ),
    400: _by_code(
        {
            PARAMETER_REFUSED: "1210 1215",
            MODEL_UNKNOWN: "1211 1212",
            REFUSED: "1213 1214",
            TOO_LONG: "1261",
            FILTERED: "1300 1301",
        }
    ),
    # Documented without a status.
    None: _by_code({SERVER_ERROR: "1120 1230 1234", NOT_ALLOWED: "1220", MODEL_UNKNOWN: "1221 1222"}),
}
"""GLM's numbers, by the status it sends them with. From GLM itself they count with any status; from what may
be a proxy in front of it (`openai:`, `vllm:`) only with that one."""

_NO_MONEY = (
    "insufficient balance",
    "insufficient account balance",
    "insufficient credit",
    "balance is not enough",
    "credit balance is too low",
    "not enough credits",
    "requires more credits",
    "exceeded_current_quota",
    "余额不足",
    "欠费",
)
"""What providers say of an account without money, with various statuses."""

PHRASES: tuple[tuple[int, str, FailureKind], ...] = (
    (400, "_unsafe", FILTERED),
    (403, "_unsafe", FILTERED),
    (403, "overdue", NO_BALANCE),
    (403, "arrears", NO_BALANCE),
    # Azure's code is `content_filter`; some proxies keep only its message, which names the policy.
    (400, "content management policy", FILTERED),
    # Every call of the run asks for such a reply.
    (400, "cannot be greater than max_model_len", MAX_TOKENS_REFUSED),
    (400, "max_tokens is too large", MAX_TOKENS_REFUSED),
    (400, "max_completion_tokens is too large", MAX_TOKENS_REFUSED),
    # OpenAI, and servers built on pydantic 1 and 2
    (400, "unrecognized request argument", PARAMETER_REFUSED),
    (400, "unknown parameter", PARAMETER_REFUSED),
    (400, "unsupported parameter", PARAMETER_REFUSED),
    (400, "extra fields not permitted", PARAMETER_REFUSED),
    (400, "extra inputs are not permitted", PARAMETER_REFUSED),
    # vLLM, and OpenAI where a proxy dropped the code
    (400, "context length", TOO_LONG),
    (400, "context_length", TOO_LONG),
    (400, "context window", TOO_LONG),
    (400, "contextwindowexceeded", TOO_LONG),
    # llama.cpp, TGI, Gemini, DashScope, Moonshot
    (400, "context size", TOO_LONG),
    (400, "`inputs` tokens + `max_new_tokens` must be", TOO_LONG),
    (400, "`inputs` must have less than", TOO_LONG),
    (400, "input token count", TOO_LONG),
    (400, "range of input length", TOO_LONG),
    (400, "model token limit", TOO_LONG),
    # A wrong path, which LM Studio answers with status 200, and models that are not there
    (400, "unexpected endpoint", MODEL_UNKNOWN),
    (400, "model does not exist", MODEL_UNKNOWN),
    (400, "model not found", MODEL_UNKNOWN),
    (400, "model not exist", MODEL_UNKNOWN),
    (400, "no models loaded", MODEL_UNKNOWN),
    (400, "too long", TOO_LONG),
    # OpenAI's and Azure's service tiers
    (400, "flex is not available", NO_TIER),
    (400, "flex processing is not", NO_TIER),
    (400, "unsupported service tier", NO_TIER),
    (429, "resource unavailable", NO_ROOM),
    (429, "resources unavailable", NO_ROOM),
    # A single request above the limit of a minute cannot succeed later.
    (429, "request too large", TOO_LONG),
    (429, "per day", QUOTA_USED_UP),
    (429, "daily", QUOTA_USED_UP),
    (429, "quota of", QUOTA_USED_UP),
    (429, "check your plan and billing", NO_BALANCE),
    *((status, phrase, NO_BALANCE) for status in (400, 403, 429) for phrase in _NO_MONEY),
)
"""Phrases (in lower case) in a code or message that say more than the status. 422 counts as 400, and so does
an error that came with status 200. What says that a text is too long counts with 413 and 500 as well."""

SHORT_WAIT = 120.0
"""Seconds. A server that asks for a wait no longer than this is throttling, whatever else it says: Gemini
mentions plan and billing when one minute's share is used up."""

STATUSES: dict[int, FailureKind] = {
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
    499: SERVER_ERROR,  # Gemini, where it cancelled the request itself
    501: MODEL_UNKNOWN,
    503: OVERLOADED,
    529: OVERLOADED,
}
"""What a status means by itself. Others: from 500 a server error, below that a refusal of this call."""

# Finish reasons, as `finish_key` gives them.
WHOLE = _words(
    "stop stoptoken stopsequence stopstring stopstringfound eos eostoken eosfound endturn endoftext "
    "endofsequence end complete completed finish finished done success normal"
)
"""Those that mean that a reply is whole: of OpenAI, Azure and most others (stop), TGI (eos_token,
stop_sequence), Together (eos), Anthropic and xAI (end_turn), Gemini (STOP), Cohere (COMPLETE), Titan
(FINISH), AI21 (endoftext), LM Studio (eosFound), Wenxin (normal). With any other it may be cut off."""

AT_LIMIT = _words(
    "length maxlength maxlen maxtokens maxoutputtokens maxcompletiontokens maxnewtokens maxoutput "
    "maximumtokens maxpredictedtokensreached tokenlimit"
)
"""Those known to mean that a reply was cut off at its limit."""

FINISH_REASONS: dict[str, FailureKind] = _by_code(
    {
        FILTERED: "contentfilter contentfiltered contentpolicyviolation sensitive inputsensitive "
        "outputsensitive safety imagesafety recitation blocklist blocked prohibitedcontent spii refusal "
        "guardrailintervened moderation datainspectionfailed errortoxic",
        TOO_LONG: "modelcontextwindowexceeded errorlimit",
        CUT_SHORT: "networkerror abort aborted error servererror internalerror insufficientsystemresource "
        "timeout timelimit cancel canceled cancelled usercancel usercancelled userstopped interrupted load "
        "unload",
    }
)
"""Those that come with status 200 and make the reply useless. Being cut off does not: only a call whose reply
must be whole fails on it."""


def finish_key(reason: str) -> str:
    """Return a finish reason as the tables have it, however a server spells it: `END_TURN`, `endTurn`, or
    `content_filter: SAFETY`; empty where it is no word, as `["stop"]`."""
    if reason[:1] in ("[", "{"):
        return ""
    key = re.sub("[^a-z]", "", reason[:80].partition(":")[0].lower())
    return key.removeprefix("finishreason").removeprefix("reason")


def failure_kind(
    status: int, code: str, message: str, *, provider: Provider = "openai", wait: float | None = None
) -> FailureKind:
    """Return the kind of an error response. `wait` is how many seconds the server asks to wait."""
    if kind := CODES.get(code) or _by_number(status, code, provider):
        return kind
    text = f"{code} {message}".lower()
    # Who passes on an error may change its status.
    like = 400 if status == 422 or status < 300 else status
    for phrase_status, phrase, kind in PHRASES:
        is_like = phrase_status == like or (kind is TOO_LONG and phrase_status == 400 and like in (413, 500))
        if is_like and phrase in text:
            throttles = kind in (NO_BALANCE, QUOTA_USED_UP) and status == 429
            if throttles and wait is not None and wait <= SHORT_WAIT:
                return THROTTLED
            return kind
    return STATUSES.get(status, SERVER_ERROR if status >= 500 else REFUSED)


def _by_number(status: int, code: str, provider: Provider) -> FailureKind | None:
    if provider == "wenxin":
        return WENXIN_CODES.get(code)
    if provider in ("glm", "glm-jwt"):
        return next((codes[code] for codes in GLM_CODES.values() if code in codes), None)
    return GLM_CODES.get(status, {}).get(code) if provider in ("openai", "vllm") else None
