"""What to say about settings that cannot be used: a line each, without what the library adds."""

import difflib
from collections.abc import Collection, Iterator, Sequence

from pydantic import ValidationError

from models.secret_fields import without_secrets


def complaints(
    error: ValidationError, known: Collection[str], options: Collection[str] = ()
) -> Iterator[str]:
    """Yield a line for each setting that cannot be used. `known` are the names of all settings, `options`
    those that are named as options of the command line."""
    for complaint in error.errors():
        name = ".".join(map(str, complaint["loc"]))
        if name in options:
            name = f"--{name.replace('_', '-')}"
        message = complaint["msg"].removeprefix("Value error, ")
        if complaint["type"] == "extra_forbidden":
            close = difflib.get_close_matches(name.replace("-", "_"), known, 1, 0.9)
            hint = f"did you mean {close[0]}?" if close else f"settings are {', '.join(known)}"
            yield f"{name} is not a setting; {hint}"
        elif complaint["type"] == "value_error":
            yield f"{name}: {message}" if name else message
        else:
            yield f"{name}: {message}, not {_shown(complaint['loc'], complaint['input'])}"


def _shown(place: Sequence[int | str], value: object) -> str:
    """Return a value that cannot be used; where a secret may be in it, its type."""
    if str(place[0]) in ("extra_body", "role_extra_body", "base_url", "role_base_urls"):
        return f"a value of type {type(value).__name__}"
    return without_secrets(repr(value))
