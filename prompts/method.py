"""The modes: which agents take part."""

from typing import Literal, get_args

Mode = Literal["edit", "advise-blind", "advise", "debate", "evolve"]
MODES: tuple[Mode, ...] = get_args(Mode)
"""The five modes, in the order of their numbers in the paper, from 0."""

JUDGED: Mode = "evolve"
"""The mode with a judge. No other knows which of two responses is better: there nobody accepts a draft, the
response is rewritten."""
