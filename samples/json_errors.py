"""What is said of JSON that cannot be read as records."""

import json
from typing import Any

from samples.bounds import TOO_DEEP
from samples.fields import json_type

LIST_OF_TURNS = 'a list of turns: write each as an object with the list in "messages"'

# If the end of a token is cut off, a decoder reports the error at its start. This is the longest such token:
# a surrogate pair written as two escapes.
_LONGEST_TOKEN = len(r"\ud83d\ude00")


def explain(error: ValueError | RecursionError) -> str:
    """Explain why a record could not be decoded."""
    match error:
        case RecursionError():
            return f"the record is {TOO_DEEP}"
        case json.JSONDecodeError():
            near = error.doc[error.pos : error.pos + 20]
            if near.startswith("\ufeff"):
                return "invalid JSON: found U+FEFF, with which files begin: join them without it"
            if error.msg.startswith("Invalid control character"):
                return (
                    f"invalid JSON: found {near[0]!a} in a string; write it as JSON has it, with json.dumps"
                )
            if near.startswith("'"):
                return f"invalid JSON: found {near!a}, as Python prints it; write it with json.dumps"
            message = error.msg.removesuffix(": ")
            return f"invalid JSON: {message}" + (f" near {near!a}" if near else "")
        case _:
            return f"invalid JSON: {str(error).partition(';')[0]}"


def not_utf8(byte: int, offset: int) -> str:
    """Say which byte of a file is not UTF-8."""
    return f"expected UTF-8, found byte 0x{byte:02x} at file offset {offset}"


def is_unterminated(error: json.JSONDecodeError) -> bool:
    """Return whether the text ends inside a string."""
    return error.msg.startswith("Unterminated string")


def may_be_truncated(error: json.JSONDecodeError, text: str) -> bool:
    """Return whether the error may be due to the missing end of the text."""
    return is_unterminated(error) or error.pos >= len(text) - _LONGEST_TOKEN


def describe_value(value: Any) -> str:
    """Describe a value that is no record, for an error message."""
    is_turns = isinstance(value, list) and value and isinstance(value[0], dict)
    return LIST_OF_TURNS if is_turns and {"role", "from"} & value[0].keys() else json_type(value)
