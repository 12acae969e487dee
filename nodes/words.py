"""Words that a node needs, and that a person who edits a state may have left out."""


def missing(words: str, node: str) -> ValueError:
    """Return what to say where words of this round are missing: their node did not run."""
    return ValueError(
        f"there are no words of `{node}` in this round (`{words}`): editing the state as one of two nodes "
        f"that run at the same time passes over the other. Edit it as `{node}` too, or go on from before both"
    )
