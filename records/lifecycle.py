"""The steps of a Version as data. This table draws buttons and diagram, makes the database's guard (`guard_sql`), and
generates the tests of every step that is not in it."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import TextChoices

from audit.operations import WRITTEN_ALIKE


class State(TextChoices):
    IN_REVIEW = "in_review", "In review"
    REGISTERED = "registered", "Registered"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    RECALLED = "recalled", "Recalled"
    RETIRED = "retired", "Retired"


@dataclass(frozen=True)
class Step:
    name: str
    sources: tuple[str, ...]
    target: str
    permission: str
    label: str


LIFECYCLES: dict[str, tuple[str, tuple[Step, ...]]] = {
    # lifecycle: (the state that a version is born in, its steps)
    "document": (
        State.IN_REVIEW,
        (
            Step("approve", (State.IN_REVIEW,), State.APPROVED, "sign.approve", "Approve"),
            Step("reject", (State.IN_REVIEW,), State.REJECTED, "sign.review", "Reject"),
            Step("recall", (State.IN_REVIEW,), State.RECALLED, "document.write", "Recall"),
            Step("retire", (State.APPROVED,), State.RETIRED, "document.retire", "Retire"),
        ),
    ),
    "data": (
        State.REGISTERED,
        (
            Step("approve", (State.REGISTERED,), State.APPROVED, "sign.approve", "Approve"),
            Step("reject", (State.REGISTERED,), State.REJECTED, "sign.review", "Reject"),
        ),
    ),
}


def birth(lifecycle: str) -> str:
    return LIFECYCLES[lifecycle][0]


def steps(lifecycle: str) -> tuple[Step, ...]:
    return LIFECYCLES[lifecycle][1]


def find(lifecycle: str, name: str, state: str) -> Step | None:
    """The step `name` from `state`, or None where the table has none."""
    return next((step for step in steps(lifecycle) if step.name == name and state in step.sources), None)


def open_steps(lifecycle: str, state: str) -> list[Step]:
    return [step for step in steps(lifecycle) if state in step.sources]


def moves() -> Iterator[tuple[str, str, str]]:
    """Every (lifecycle, source, target) that the table has."""
    for lifecycle, (_, table) in LIFECYCLES.items():
        for step in table:
            for source in step.sources:
                yield lifecycle, source, step.target


def guard_sql() -> str:
    """The trigger that holds every path to the table: a version is born in its first state, moves by a step of its
    lifecycle, changes nothing else but its revision label at approval, and is never removed."""
    births = ", ".join(f"('{name}', '{first}')" for name, (first, _) in LIFECYCLES.items())
    allowed = ", ".join(f"('{lifecycle}', '{source}', '{target}')" for lifecycle, source, target in moves())
    return f"""
CREATE OR REPLACE FUNCTION records_version_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp
{WRITTEN_ALIKE} AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF (NEW.lifecycle, NEW.state) NOT IN ({births}) THEN
      RAISE EXCEPTION 'a % version cannot begin as %', NEW.lifecycle, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.revision <> '' THEN
      RAISE EXCEPTION 'a revision label is given at approval' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
  END IF;
  IF (to_jsonb(NEW) - 'state' - 'revision')::text IS DISTINCT FROM (to_jsonb(OLD) - 'state' - 'revision')::text THEN
    RAISE EXCEPTION 'version % is sealed', OLD.id USING ERRCODE = 'restrict_violation';
  END IF;
  IF NEW.state IS DISTINCT FROM OLD.state AND (OLD.lifecycle, OLD.state, NEW.state) NOT IN ({allowed}) THEN
    RAISE EXCEPTION 'no step leads a % version from % to %', OLD.lifecycle, OLD.state, NEW.state
      USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.revision IS DISTINCT FROM OLD.revision AND (NEW.state = OLD.state OR NEW.state <> '{State.APPROVED}') THEN
    RAISE EXCEPTION 'a revision label is given at approval' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
"""
