"""Who touched it: the audit view of a record against the raw files, and everything that a reader does with it."""

import csv
import gzip
import io
import json
import re
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import clock, trail
from audit.models import Access, Entry
from cloudtrail.models import Proof
from cloudtrail.proof_pages import by_file
from cloudtrail.queries import Match
from jobs import queue
from jobs.models import Job
from portal import reports
from portal.pages import timeline
from portal.pages.timeline import Asked, Kind
from records.models import File
from tests import history
from tests.cloudtrail import given
from tests.cloudtrail.test_ingest import load
from tests.conftest import HOME, superuser
from tests.firm import RECORDS_BUCKET

DAY = timedelta(days=1)
OBJECT = (Match.EXACT, Match.UNNAMED, Match.OTHER, Match.SOURCE)
LINES = re.compile(r'class="event"')


def asked(firm, days=90, **narrowed):
    now = clock.now() + timedelta(minutes=1)
    return Asked(firm.kras, now - days * DAY, now, **narrowed)


def hand(tmp_path, *events):
    load(given.hand_over(tmp_path / given.event_id(), {given.log_key(): given.packed(list(events))}))


def a_file(firm):
    return File.objects.filter(version__record=firm.kras).order_by("version__ordinal", "ordinal").first()


def read(firm, *, at=None, **more):
    file = a_file(firm)
    return given.s3("GetObject", file.key, bucket=file.bucket, at=at or clock.now() - timedelta(hours=2), **more)


def events_in(files):
    return [event for data in files.values() for event in json.loads(gzip.decompress(data))["Records"]]


def reaches(event, keys):
    """Does a listing, a batch delete or a change of settings concern the keys? Written on the raw JSON alone."""
    parameters, name = event["requestParameters"] or {}, event["eventName"]
    if event["eventSource"] == "cloudtrail.amazonaws.com":
        return name in ("StopLogging", "StartLogging")
    if (
        event["eventSource"] != "s3.amazonaws.com"
        or parameters.get("bucketName") != RECORDS_BUCKET
        or "key" in parameters
    ):
        return False
    if name == "DeleteObjects":
        prefix = next(one["ARNPrefix"] for one in event["resources"] if "ARNPrefix" in one).partition("/")[2]
        return any(key.startswith(prefix) for key in keys)
    if name.startswith("List"):
        return any(key.startswith(parameters.get("prefix", "")) for key in keys)
    return not name.startswith(("Get", "Head"))


# The answer is right --------------------------------------------------------------------------------------------------


def test_the_view_tells_what_the_raw_files_tell_and_who_it_was(firm_with_history):
    firm, told = firm_with_history, history.told(HOME).history
    question = asked(firm)
    found = {line.touched.event_id: line for line in timeline.lines(question) if line.touched}
    answers = {answer.event_id: answer for answer in told.answers}
    assert {key for key, line in found.items() if line.touched.match in OBJECT} == set(answers)
    for key, answer in answers.items():
        line = found[key]
        assert (line.who.standing, line.touched.name) == (answer.standing, answer.who)
        assert (line.at, line.touched.event_name, bool(line.touched.error_code)) == (
            answer.when,
            answer.name,
            bool(answer.error),
        )
    keys = {file.key for file in File.objects.filter(version__record=firm.kras)}
    wide = {event["eventID"] for event in events_in(told.files) if reaches(event, keys)}
    assert set(found) - set(answers) == wide
    assert {"PROVEN", "CLAIMED", "SERVICE", "UNRESOLVED"} <= {line.who.standing for line in found.values()}


@pytest.mark.compliance("A3")
def test_compliance_each_line_says_what_the_digests_prove_of_the_file_that_tells_of_it(firm, tmp_path):
    for _ in range(3):
        hand(tmp_path, read(firm))
    files = sorted(line.touched.file_id for line in timeline.lines(asked(firm)) if line.touched)
    proofs = dict(zip(files, ("mismatch", "valid", "not_covered"), strict=True))
    for file, state in proofs.items():
        Proof.objects.update_or_create(file_id=file, defaults={"state": state})
    assert {line.touched.file_id: line.proof for line in timeline.lines(asked(firm)) if line.touched} == proofs
    assert by_file([*files, -1]) == proofs | {-1: "pending"}
    acts = [line for line in timeline.lines(asked(firm)) if not line.touched]
    assert acts and not any(line.proof for line in acts)
    page = firm.client(firm.reviewer).get("/records/KRAS-001/audit/").content.decode()
    assert "1 proved by digest, 1 file not as delivered, 1 in no digest" in page
    made = reports.report(asked(firm), "somebody")
    told = json.loads(b"".join(reports.body(made, "json")))["lines"]
    assert Counter(line["proof"] for line in told if line["bucket"]) == Counter(proofs.values())


def test_acts_signatures_and_reads_in_the_portal_stand_beside_cloudtrail(firm, tmp_path):
    hand(tmp_path, read(firm))
    firm.client(firm.reviewer).get("/documents/URS-0001/")
    trail.access(firm.reviewer, "view", firm.version("KRAS-001"))
    sources = Counter(line.source for line in timeline.lines(asked(firm)))
    versions = [str(pk) for pk in firm.kras.versions.values_list("pk", flat=True)]
    about = Entry.objects.filter(subject_kind="version", subject_id__in=versions).count()
    about += Entry.objects.filter(subject_kind="record", subject_id=str(firm.kras.pk)).count()
    about += Entry.objects.filter(subject_kind="bucket", subject_id=RECORDS_BUCKET).count()
    assert sources["portal"] == about
    assert sources["reading"] == Access.objects.filter(subject_id__in=[*versions, str(firm.kras.pk)]).count() >= 1
    assert sources["cloudtrail"] == 1
    sentences = {line.sentence for line in timeline.lines(asked(firm))}
    assert "Tomasz Nowak registered KRAS-001 version 2" in sentences
    assert "Chidi Okafor signed KRAS-001 version 1: approval" in sentences


def test_pages_visit_each_line_once_in_order_at_any_size(firm_with_history, tmp_path):
    firm = firm_with_history
    question = asked(firm)
    whole = list(timeline.lines(question))
    assert [line.place for line in whole] == sorted({line.place for line in whole}, reverse=True)
    for size in (1, 7, 100):
        shown, after = [], ""
        while len(shown) < 40 * size:
            page = timeline.page(question, after, size)
            shown += page.lines
            after = page.after
            if not after:
                break
        assert shown == whole[: len(shown)]
        assert after or len(shown) == len(whole)


def test_lines_of_one_instant_from_three_sources_are_visited_once(firm, tmp_path):
    """CloudTrail counts in seconds: acts that fall on one of them must not be lost between two pages."""
    second = (clock.now() - timedelta(hours=1)).replace(microsecond=0)
    hand(tmp_path, *(read(firm, at=second, by=given.iam_user(f"user{n}", f"AKIA{n}")) for n in range(5)))
    trail.access(firm.reviewer, "view", firm.version("KRAS-001"))
    trail.access(firm.approver, "view", firm.version("KRAS-001"))
    with superuser(connection.settings_dict["NAME"]) as owner:
        for table in ("audit_entry", "audit_access"):
            owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            owner.execute(f"UPDATE {table} SET at = %s", [second])
    question = asked(firm)
    whole = list(timeline.lines(question))
    assert {line.at for line in whole} == {second}
    assert {line.source for line in whole} == {"portal", "reading", "cloudtrail"}
    shown, after = [], ""
    while True:
        page = timeline.page(question, after, 1)
        shown += page.lines
        after = page.after
        if not after:
            break
    assert shown == whole


def test_the_counts_are_those_of_the_lines_for_every_filter(firm_with_history, tmp_path):
    firm = firm_with_history
    question = asked(firm)
    cells = timeline.cells(question)
    filters = [{"kind": kind.value} for kind in Kind] + [
        {"standing": name} for name in ("PROVEN", "CLAIMED", "SERVICE", "UNRESOLVED")
    ]
    filters += [{"person": key} for key in {cell.who.key for cell in cells}]
    filters.append({"person": "SERVICE|ecs-tasks.amazonaws.com", "kind": "read"})
    whole = list(timeline.lines(question))
    assert sum(cell.count for cell in cells) == len(whole)
    for chosen in filters:
        narrowed = replace(question, **chosen)
        lines = list(timeline.lines(narrowed))
        assert lines == [
            line
            for line in whole
            if line.kind == chosen.get("kind", line.kind)
            and line.who.standing == chosen.get("standing", line.who.standing)
            and line.who.key == chosen.get("person", line.who.key)
        ], chosen
        assert sum(cell.count for cell in timeline.chosen(cells, narrowed)) == len(lines), chosen


def test_one_version_shows_what_touched_that_version(firm, tmp_path):
    first, second = firm.version("KRAS-001", 1), firm.version("KRAS-001", 2)
    file = first.files.first()
    hand(tmp_path, given.s3("GetObject", file.key, bucket=file.bucket, at=clock.now() - timedelta(hours=1),
                            parameters={"versionId": file.s3_version}))  # fmt: skip
    of_first = [line for line in timeline.lines(asked(firm, version=first)) if line.touched]
    of_second = [line for line in timeline.lines(asked(firm, version=second)) if line.touched]
    assert (len(of_first), len(of_second)) == (1, 0)
    subjects = {line.subject for line in timeline.lines(asked(firm, version=first)) if line.source == "portal"}
    assert subjects == {"KRAS-001 version 1"}


# Who it was -----------------------------------------------------------------------------------------------------------


def test_a_person_of_the_portal_is_named_where_it_is_proved_and_never_where_it_is_claimed(firm, tmp_path):
    mail = firm.scientist.email
    sso = given.session(
        "ASIASSO", role="AWSReservedSSO_GxPReader_3f1c9a77d0b2e845", name=mail, path="aws-reserved/sso.amazonaws.com/"
    )
    claimed = given.session("ASIAX", name=mail)
    merely_named = given.iam_user(firm.scientist.username, "AKIANAMED")
    hand(tmp_path, read(firm, by=sso), read(firm, by=claimed), read(firm, by=merely_named))
    standings = {line.who.standing: line for line in timeline.lines(asked(firm)) if line.touched}
    lines = [line for line in timeline.lines(asked(firm)) if line.touched]
    people = {line.who.name for line in lines}
    assert "Somebody who called themselves scientist@lab.example" in people
    assert firm.scientist.username in people, "a user of IAM who bears a portal user's name is not that person"
    assert standings["CLAIMED"].who.key == f"CLAIMED|{mail}"
    proven = [line for line in lines if line.who.key == str(firm.scientist.pk)]
    assert [line.touched.role for line in proven] in ([], ["GxPReader"])
    assert all(line.sentence.startswith("Priya Raman read ") and mail in line.known for line in proven)


def test_what_the_portal_asked_s3_for_a_person_is_that_persons(firm, tmp_path, settings):
    settings.S3_PERSON_ROLE_ARN = "arn:aws:iam::111122223333:role/countersign-person"
    people = timeline.directory()
    theirs = timeline.s3_person("PROVEN", "reviewer", "countersign-person", people)
    assert theirs.key == str(firm.reviewer.pk)
    assert timeline.s3_person("PROVEN", "reviewer", "another-role", people).key == "PROVEN|reviewer"
    assert timeline.s3_person("CLAIMED", "reviewer", "countersign-person", people).key == "CLAIMED|reviewer"


# Folding --------------------------------------------------------------------------------------------------------------


def test_reads_alike_fold_into_one_line_that_opens(firm, tmp_path):
    file = a_file(firm)
    begin = clock.now() - timedelta(hours=3)
    by = given.iam_user("maja")
    hand(tmp_path, *(given.s3("GetObject", file.key, bucket=file.bucket, at=begin + timedelta(minutes=n), by=by) for n in range(5)),
         given.s3("GetObject", file.key, bucket=file.bucket, at=begin + timedelta(minutes=50), by=by),
         given.s3("PutObjectTagging", file.key, bucket=file.bucket, at=begin + timedelta(minutes=2), by=by))  # fmt: skip
    groups = [group for group in timeline.fold(timeline.lines(asked(firm))) if group.newest.touched]
    assert [len(group.lines) for group in groups] == [1, 2, 1, 3], "a pause of 30 minutes, or another act, ends a run"
    body = firm.client(firm.approver).get("/records/KRAS-001/audit/").content.decode()
    assert "All 3, one by one" in body
    assert f"maja read {file.logical_key} (3.0 kB), 3 times" in body


def test_folding_keeps_every_line_and_the_order_of_groups(firm_with_history, tmp_path):
    firm = firm_with_history
    whole = list(timeline.lines(asked(firm)))
    groups = list(timeline.fold(whole))
    assert sorted(line.place for group in groups for line in group.lines) == sorted(line.place for line in whole)
    assert [group.newest.place for group in groups] == sorted((group.newest.place for group in groups), reverse=True)
    assert len(groups) < len(whole) / 2


# The page -------------------------------------------------------------------------------------------------------------


def test_the_page_shows_sentences_people_coverage_and_what_nobody_can_say(firm_with_history, tmp_path):
    firm = firm_with_history
    body = firm.client(firm.inspector).get("/records/KRAS-001/audit/").content.decode()
    for words in (
        "Somebody who called themselves j.smith",
        "UNRESOLVED",
        "By person",
        "no signed digests speak of them",
        "the last 15 minutes are provisional",
        "in these 63 hours no file came",
        "the newest at that time is inferred",
        "Reads outside of these buckets",
        '<svg class="activity"',
        "/trails/files/",
        "/audit/entries/",
    ):
        assert words in body, words


def test_without_any_trail_the_page_says_that_nothing_is_known_of_s3(firm):
    body = firm.client(firm.inspector).get("/records/KRAS-001/audit/").content.decode()
    assert "no trail is registered" in body
    assert "registered KRAS-001 version 2" in body


def test_pages_of_the_page_go_through_all_lines(firm_with_history, tmp_path):
    firm = firm_with_history
    client, url, seen = firm.client(firm.inspector), "/records/KRAS-001/audit/?kind=write", []
    total = sum(cell.count for cell in timeline.chosen(timeline.cells(asked(firm)), asked(firm, kind="write")))
    while url:
        response = client.get(url)
        seen += [entry for day in response.context["days"] for entry in day["entries"]]
        url = f"/records/KRAS-001/audit/{response.context['next_url']}" if response.context["next_url"] else ""
    assert sum(len(entry["parts"]) or 1 for entry in seen) == total > 0


@pytest.mark.parametrize(
    "query", ["days=7", "since=2026-01-01&until=2026-02-01", "since=2026-02-01&until=2026-01-01", "days=x", "kind=%27", "after=x",
              "after=2026-01-01~0~1", "after=2026-01-01T00:00:00%2B00:00~0~-1~99999999999999999999", "version=77", "person=%01|x",
              "since=0001-01-01", "until=9999-12-31", "since=9999-12-31", "standing=ROOT"])  # fmt: skip
def test_filters_of_any_sort_are_answered(firm, query):
    assert firm.client(firm.inspector).get(f"/records/KRAS-001/audit/?{query}").status_code in (200, 302)


def test_the_same_page_stands_under_documents(firm):
    response = firm.client(firm.author).get("/documents/URS-0001/audit/")
    assert response.status_code == 200
    assert "submitted URS-0001 version 1" in response.content.decode()


def test_hostile_strings_are_inert_on_the_page(firm, tmp_path):
    name = "<img src=x onerror=alert(1)>"
    hand(tmp_path, read(firm, by=given.session("ASIAH", name=name, role="\u202erole<script>"), sourceIPAddress="<script>1</script>",
                        errorCode="</li><script>"))  # fmt: skip
    body = firm.client(firm.inspector).get("/records/KRAS-001/audit/").content.decode()
    assert "&lt;img src=x onerror" in body
    assert "<img src=x" not in body
    assert "<script>1" not in body
    assert "</li><script>" not in body
    assert "\u202e" not in body


def test_a_record_of_another_area_does_not_exist_and_the_try_is_told(firm):
    assert firm.client(firm.outsider).get("/records/KRAS-001/audit/").status_code == 404
    assert firm.client(firm.outsider).get("/records/KRAS-001/audit/export/?format=csv").status_code == 404
    refused = [line for line in timeline.lines(asked(firm, kind=Kind.REFUSED)) if line.source == "reading"]
    assert {line.who.name for line in refused} == {"Omar Haddad"}
    assert len(refused) == 2


def test_without_the_right_to_the_reading_log_one_sees_ones_own_reading(firm):
    trail.access(firm.reviewer, "view", firm.kras)
    trail.access(firm.author, "view", firm.kras)
    lines = [line for line in timeline.lines(asked(firm, reader=firm.author)) if line.source == "reading"]
    assert {line.who.name for line in lines} == {"Ana Lindqvist"}
    body = firm.client(firm.author).get("/records/KRAS-001/audit/").content.decode()
    assert "the reading log is not open to your role" in body
    everybody = [line for line in timeline.lines(asked(firm, reader=firm.inspector)) if line.source == "reading"]
    assert {"Ana Lindqvist", "Maja Ruiz"} <= {line.who.name for line in everybody}


def test_the_number_of_queries_does_not_grow_with_what_happened(firm, tmp_path):
    client = firm.client(firm.inspector)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert client.get("/records/KRAS-001/audit/").status_code == 200
        return [query["sql"] for query in captured if 'UPDATE "accounts_sitting"' not in query["sql"]]

    hand(tmp_path, read(firm))
    queries()
    few = len(queries())
    hand(tmp_path, *(read(firm, at=clock.now() - timedelta(hours=hour)) for hour in range(2, 90)))
    for _ in range(30):
        trail.access(firm.reviewer, "view", firm.kras)
    assert len(queries()) == few


def test_looking_is_written_to_the_reading_log(firm):
    firm.client(firm.inspector).get("/records/KRAS-001/audit/")
    row = Access.objects.latest("pk")
    assert (row.actor_name, row.what, row.subject_label, row.detail["part"]) == (
        "Ellen Marsh",
        "view",
        "KRAS-001",
        "audit view",
    )


# Exports --------------------------------------------------------------------------------------------------------------


def rows_of(response):
    text = b"".join(response.streaming_content if response.streaming else [response.content]).decode()
    return list(csv.DictReader(io.StringIO(without_cover(text))))


def without_cover(text):
    """A CSV without the lines on what it covers."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.lstrip('"').startswith("# "))


def test_the_csv_holds_the_lines_of_the_filter(firm_with_history, tmp_path):
    firm = firm_with_history
    response = firm.client(firm.inspector).get("/records/KRAS-001/audit/export/?format=csv&kind=copy&days=90")
    rows = rows_of(response)
    assert {row["call"] for row in rows} == {"s3.amazonaws.com CopyObject"}
    assert len(rows) == len(list(timeline.lines(asked(firm, kind="copy")))) == 2
    exported = Access.objects.filter(what="export").latest("pk")
    assert exported.detail["filter"] == "only: copies"


def test_no_cell_of_the_csv_is_a_formula(firm, tmp_path):
    hostile = '=HYPERLINK("http://x")'
    hand(tmp_path, read(firm, by=given.session("ASIAF", name=hostile, role="@SUM(1)"), sourceIPAddress="+1+1", errorCode="-2+3",
                        userAgent=hostile))  # fmt: skip
    response = firm.client(firm.inspector).get("/records/KRAS-001/audit/export/?format=csv")
    rows = rows_of(response)
    (row,) = [row for row in rows if row["source"] == "cloudtrail"]
    assert (row["role"], row["error"], row["source_ip"]) == ("'@SUM(1)", "'-2+3", "'+1+1")
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_the_json_states_its_filter_total_and_limits(firm_with_history, tmp_path):
    firm = firm_with_history
    response = firm.client(firm.inspector).get("/records/KRAS-001/audit/export/?format=json&standing=UNRESOLVED")
    told = json.loads(b"".join(response.streaming_content))
    assert told["filter"] == "actors that are UNRESOLVED"
    assert told["total"] == len(told["lines"]) > 0
    assert any("signed digests" in limit for limit in told["limits"])


def test_the_pdf_states_its_record_filter_period_total_and_who_made_it(firm_with_history, tmp_path):
    firm = firm_with_history
    response = firm.client(firm.inspector).get("/records/KRAS-001/audit/export/?format=pdf&kind=refused")
    text = pdf_text(response.content, tmp_path)
    total = len(list(timeline.lines(asked(firm, kind="refused"))))
    for words in (
        "Audit view of KRAS-001",
        "only: refused",
        f"{total}; on paper",
        "by Ellen Marsh",
        "signed digests",
        "Coverage",
    ):
        assert words in text, words


def pdf_text(data, folder):
    path = folder / "out.pdf"
    path.write_bytes(data)
    text = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True).stdout.decode()
    return re.sub(r"\s+", " ", text)


def test_a_long_export_is_a_job_whose_file_only_its_asker_gets(firm_with_history, tmp_path, monkeypatch):
    firm = firm_with_history
    monkeypatch.setattr(reports, "AT_ONCE", 10)
    client = firm.client(firm.inspector)
    assert client.get("/records/KRAS-001/audit/export/?format=csv").status_code == 409
    assert "CSV by a job" in client.get("/records/KRAS-001/audit/").content.decode()
    page = client.post("/records/KRAS-001/audit/export/job/", {"format": "csv", "kind": "read"})
    job = Job.objects.get(kind=reports.TIMELINE)
    assert page.headers["Location"] == f"/prepared/{job.pk}/"
    assert "Waiting for a worker" in client.get(page.headers["Location"]).content.decode()
    assert client.get(f"/prepared/{job.pk}/file/").status_code == 404
    assert queue.run(job.pk).state == "done"
    rows = rows_of(client.get(f"/prepared/{job.pk}/file/"))
    assert {row["kind"] for row in rows} == {"read"}
    assert len(rows) == Job.objects.get(pk=job.pk).result["lines"]
    assert Access.objects.latest("pk").detail["job"] == str(job.pk)
    assert firm.client(firm.approver).get(f"/prepared/{job.pk}/file/").status_code == 404


def test_an_export_that_is_too_long_for_its_form_is_refused_in_words(firm, tmp_path, monkeypatch):
    monkeypatch.setitem(reports.AT_MOST, "pdf", 3)
    response = firm.client(firm.inspector).post("/records/KRAS-001/audit/export/job/", {"format": "pdf"})
    assert response.status_code == 409
    assert "PDF takes 3 at most" in response.content.decode()
    assert not Job.objects.filter(kind=reports.TIMELINE).exists()


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_prints_the_same_timeline(firm_with_history, tmp_path):
    firm = firm_with_history
    total = len(list(timeline.lines(asked(firm))))
    out = {}
    for form in ("csv", "json", "pdf"):
        path = tmp_path / f"view.{form}"
        call_command("audit_view", "KRAS-001", "--days", "90", "--format", form, "--output", path, stderr=io.StringIO())
        out[form] = path.read_bytes()
    # Each export is itself a line of the reading log, so the second tells of the first.
    assert len(list(csv.DictReader(io.StringIO(without_cover(out["csv"].decode()))))) == total
    assert len(json.loads(out["json"])["lines"]) == total + 1
    assert "Audit view of KRAS-001" in pdf_text(out["pdf"], tmp_path)


def test_the_command_refuses_a_number_that_there_is_not(firm):
    with pytest.raises(CommandError, match="there is no record KRAS-999"):
        call_command("audit_view", "KRAS-999")
    with pytest.raises(CommandError, match="--days"):
        call_command("audit_view", "KRAS-001", "--days", "0")


# On the overview ------------------------------------------------------------------------------------------------------


def test_a_records_overview_asks_for_the_newest_lines_and_shows_five_with_the_hours_that_are_proved(
    firm_with_history, tmp_path
):
    firm = firm_with_history
    client = firm.client(firm.inspector)
    assert 'hx-get="/records/KRAS-001/audit/newest/"' in client.get("/records/KRAS-001/").content.decode()
    groups = list(timeline.fold(timeline.page(asked(firm)).lines))
    shown = client.get("/records/KRAS-001/audit/newest/").content.decode()
    assert len(LINES.findall(shown)) == 5 < len(groups)
    assert "<html" not in shown and 'href="/records/KRAS-001/audit/"' in shown
    with CaptureQueriesContext(connection) as few:
        client.get("/records/KRAS-001/audit/newest/")
    hand(tmp_path, *(read(firm, at=clock.now() - timedelta(hours=number)) for number in range(1, 60)))
    with CaptureQueriesContext(connection) as many:
        client.get("/records/KRAS-001/audit/newest/")
    assert len(many) == len(few)
