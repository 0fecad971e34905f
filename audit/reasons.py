"""What counts as a reason, wherever one is asked for: words, not a keystroke (EU GMP Annex 11, 9; 21 CFR 11.10(e))."""

from audit import trail
from audit.actions import Action

LETTERS = 10
KINDS_OF_LETTERS = 4


def fault(reason: str, *, letters: int = LETTERS, what: str = "reason") -> str:
    """The sentence that says why this is no reason, or "" where it is one."""
    text = " ".join(reason.split())
    if "\0" in text:
        return f"Give the {what} in letters alone."
    if len(text) < letters:
        return f"Give a {what} of at least {letters} letters."
    if len({letter for letter in text.casefold() if letter.isalpha()}) < KINDS_OF_LETTERS:
        return f"Give the {what} in words."
    return ""


def demand_reason(
    reason: str,
    action: Action,
    subject: trail.HasSubject | trail.Subject,
    by: trail.HasActor | trail.Actor,
    *,
    letters: int = LETTERS,
    what: str = "reason",
) -> str:
    """The reason without the blanks around it. Raises Refused, for the trail, where it is none."""
    if told := fault(reason, letters=letters, what=what):
        raise ReasonRefused(told, action=action, subject=subject, by=by)
    return reason.strip()


class ReasonRefused(trail.Refused):
    """What was given as a reason is none."""

    status = 400
