"""What several guards share."""

import re

TAIL = 6_000
"""Characters at the end of a draft in which a loop is looked for: one that goes on to the end is there."""

NUMBERS = "0123456789()[].):、）-*•·+> \t"
"""What numbers an item of a list."""

HAN = re.compile(r"[㐀-䶿一-鿿]+")
"""Chinese characters in a row."""

GAP = "\ue000"
"""What stands in a prompt in place of each text that is not the pack's own; no word holds it."""
