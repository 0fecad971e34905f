"""Months that have left the database: the same answers, from files under Object Lock, or a sentence that says why not."""

import csv
import io
import uuid
from datetime import date, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from audit import clock, trail
from audit.actions import Action
from audit.models import Entry
from cloudtrail import archive
from cloudtrail.models import ArchivedMonth, Event
from portal import reports
from portal.pages import timeline
from portal.pages.timeline import Asked, Kind
from storage import s3, worm

REASON = "The database is to stay small"


def closed():
    """The first month that is not closed yet."""
    return (clock.now().date().replace(day=1) - timedelta(days=1)).replace(day=1)


def archived(by):
    """Every month that is closed, moved out by the command; the rows that say where they are kept."""
    call_command("archive_events", before=f"{closed():%Y-%m}", by=by.username, reason=REASON, verbosity=0)
    return list(ArchivedMonth.objects.all())


def answers(firm):
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    asked = Asked(firm.kras, now - timedelta(days=90), now)
    found = {"lines": list(timeline.lines(asked)), "cells": set(timeline.cells(asked))}
    for kind in (Kind.READ, Kind.REFUSED, Kind.CONTROL):
        found[kind] = list(timeline.lines(Asked(firm.kras, asked.since, asked.until, kind=kind)))
    someone = next(line.who.key for line in reversed(found["lines"]) if line.touched)
    found["person"] = list(timeline.lines(Asked(firm.kras, asked.since, asked.until, person=someone)))
    made = reports.report(asked, "A. Reader")
    text = b"".join(reports.body(made, "csv")).decode()
    found["export"] = [row for row in csv.reader(io.StringIO(text)) if len(row) > 5]
    return found


@pytest.mark.compliance("11.10(c)", "11.10(b)", "S7")
def test_compliance_a_question_has_one_answer_before_and_after_its_months_left_the_database(firm_with_history):
    firm = firm_with_history
    before, events = answers(firm), Event.objects.count()
    old = [line for line in before["lines"] if line.touched and line.at.date() < closed()]
    assert old
    months = archived(firm.administrator)
    assert Event.objects.count() == events - sum(month.events for month in months) < events
    assert not Event.objects.filter(time__lt=archive._midnight(archive._next(months[-1].month))).exists()
    assert answers(firm) == before
    entry = Entry.objects.filter(action=Action.EVENTS_ARCHIVED).latest("pk")
    assert (entry.reason, entry.actor) == (REASON, str(firm.administrator.pk))
    assert entry.detail["pin"] == months[-1].pin.to_json()
    held = s3.head(*(getattr(months[0], name) for name in ("bucket", "key", "s3_version"))).lock
    assert held.mode == worm.COMPLIANCE and held.until > clock.now() + timedelta(days=3650 - 2)
    page = firm.client(firm.inspector).get("/trails/").content.decode()
    assert "Months outside of the database" in page
    assert all(month.rows_sha256 in page and month.s3_version in page for month in months)
    page = firm.client(firm.inspector).get(old[-1].url)
    assert page.status_code == 200
    assert old[-1].touched.event_id in page.content.decode()
    assert firm.client(firm.inspector).get(old[-1].url.rsplit("/", 2)[0] + "/").status_code == 200


@pytest.mark.compliance("11.10(c)", "F18")
def test_compliance_a_view_says_that_an_archived_month_cannot_be_read_instead_of_showing_less(
    firm_with_history, monkeypatch
):
    firm = firm_with_history
    months = archived(firm.administrator)
    client = firm.client(firm.inspector)
    assert client.get("/records/KRAS-001/audit/?days=90").status_code == 200
    for month in months:
        archive.here(month.pin).write_bytes(b"PAR1 of somebody else PAR1")
    refused = client.get("/records/KRAS-001/audit/?days=90")
    assert refused.status_code == 503
    assert "have left the database" in refused.content.decode()
    for month in months:
        archive.here.__globals__["Path"](archive.settings.CACHE_DIR, "events", f"{month.sha256}.parquet").unlink(
            missing_ok=True
        )

    def gone(*asked):
        raise s3.ObjectGone("The object does not exist.")

    with monkeypatch.context() as patched:
        patched.setattr(s3, "stream", gone)
        refused = client.get("/records/KRAS-001/audit/?days=90")
        assert refused.status_code == 503
        assert "The object does not exist." in refused.content.decode()
    assert client.get("/records/KRAS-001/audit/?days=90").status_code == 200


@pytest.mark.compliance("DBA", "11.10(c)")
def test_compliance_no_month_is_dropped_that_is_not_kept_elsewhere(firm_with_history):
    month = archive.months(closed())[0]
    events = Event.objects.count()
    about = {"bucket": "b", "key": "k", "s3_version": "v", "size": 1, "sha256": "0" * 64, "rows_sha256": "0" * 64,
             "touches": 0, "columns": [], "buckets": {}}  # fmt: skip

    def drop(*, month=month, events=1, entry=True):
        with transaction.atomic():
            row = ArchivedMonth.objects.create(month=month, events=events, **about)
            if entry:
                trail.record(Action.EVENTS_ARCHIVED, row, by=trail.SYSTEM, reason=REASON)
            with connection.cursor() as cursor:
                cursor.execute("SELECT cloudtrail_drop_archived(%s)", [row.pk])

    with pytest.raises(DatabaseError, match="its archive 1"):
        drop()
    with pytest.raises(DatabaseError, match="not closed"):
        drop(month=clock.now().date().replace(day=1))
    with pytest.raises(DatabaseError, match="in the transaction that says"), connection.cursor() as cursor:
        cursor.execute("SELECT cloudtrail_drop_archived(%s)", [uuid.uuid4()])
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE cloudtrail_event_{month:%Y_%m}")
    number = archive._counted_in_table(archive._midnight(month), archive._midnight(archive._next(month)))
    about["touches"] = number.touches
    with pytest.raises(DatabaseError, match="entry"):
        drop(events=number.events, entry=False)
    assert Event.objects.count() == events


def test_only_a_closed_month_is_moved_and_only_by_whoever_manages_trails(firm_with_history):
    firm = firm_with_history
    with pytest.raises(trail.NotAllowed, match="not closed"):
        archive.close(closed(), by=firm.administrator, reason=REASON)
    with pytest.raises(trail.Forbidden):
        archive.close(date(2026, 1, 1), by=firm.operator, reason=REASON)
    with pytest.raises(trail.NotAllowed, match="no events"):
        archive.close(date(2019, 1, 1), by=firm.administrator, reason=REASON)
    with pytest.raises(CommandError, match="no active user"):
        call_command("archive_events", before="2026-01", by="nobody.here", reason=REASON)


def test_a_file_that_duckdb_cannot_write_is_a_sentence(tmp_path):
    with (
        pytest.raises(s3.StorageError, match=r"cannot be read or written\. .*No such file"),
        archive._duckdb() as database,
    ):
        database.execute(f"COPY (SELECT 1) TO '{tmp_path}/gone/x.parquet' (FORMAT parquet)")
