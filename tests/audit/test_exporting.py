"""The trail as a file: its first line, a line for each link and each reading, and its last line."""

import orjson
from django.db import transaction

from audit import exporting, trail
from audit.actions import Action
from audit.models import Access, Link
from tests.conftest import superuser
from tests.verifier.bench import database


def told() -> list[dict]:
    lines = list(exporting.lines("tests/trail"))
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    return [orjson.loads(line) for line in lines]


def test_every_link_and_every_reading_is_a_line_between_the_first_and_the_last(people):
    with transaction.atomic():
        number = trail.record(Action.AREA_CHANGED, people.laboratory, by=people.author, reason="ä")
        trail.access(people.author, "view", people.laboratory, {"page": 1})
    first, *between, last = told()
    assert first == {"format": "countersign-trail-1", "origin": "tests/trail"}
    links, accesses = between[:-1], between[-1:]
    assert last == {"end": {"links": Link.objects.count(), "accesses": Access.objects.count()}} and len(accesses) == 1
    assert [line["seq"] for line in links] == list(range(1, Link.objects.count() + 1))
    for line, link in zip(links, Link.objects.order_by("seq"), strict=True):
        assert (line["hash"], line["leaf"].encode()) == (bytes(link.hash).hex(), bytes(link.leaf))
        assert orjson.loads(line["leaf"]) == line["entry" if link.entry_id else "change"]
    assert (links[-1]["entry"]["id"], links[-1]["entry"]["reason"]) == (number, "ä")
    assert accesses[0]["access"] == orjson.loads(accesses[0]["leaf"])
    assert (accesses[0]["access"]["subject_id"], accesses[0]["access"]["detail"]) == (
        str(people.laboratory.pk),
        {"page": 1},
    )


def test_what_no_link_speaks_of_comes_first(people):
    with superuser(database()) as raw:
        raw.execute("ALTER TABLE audit_link DISABLE TRIGGER ALL")
        raw.execute("DELETE FROM audit_link WHERE seq = 5")
    lines = told()
    assert (lines[1]["seq"], lines[1]["hash"], lines[1]["leaf"]) == (None, None, None)
    assert lines[1].get("entry") or lines[1].get("change")
    assert lines[-1]["end"]["links"] == Link.objects.count() == len(lines) - 3 - Access.objects.count()
