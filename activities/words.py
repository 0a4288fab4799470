"""Operators' words as they are kept for good: an order may come from the Temporal UI, past all our checks."""

from unicodedata import category

from changeover.domain.masking import without_address
from workflows.messages import OPERATOR
from workflows.operators import MOST_ACTOR, RESERVED


def plain(text: str, most: int) -> str:
    """Return what every database keeps of a text: no control characters, no broken Unicode, not too long.

    An e-mail address in it is left out.
    """
    kept = "".join(it for it in " ".join(text.split()) if category(it) not in {"Cc", "Cs"})
    return without_address(kept).strip()[:most]


def actor(name: str) -> str:
    """Return an operator's name; `operator` for none, and for one that is no operator's."""
    kept = plain(name, MOST_ACTOR)
    return OPERATOR if kept.lower() in {"", *RESERVED} else kept
