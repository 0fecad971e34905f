"""The portal's own trail on its pages: who sees what of it, one entry, the chain, the reading log, CSV."""

import csv
import io
import re

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit import trail
from audit.actions import Action
from audit.alarms import Kind, raise_alarm
from audit.models import Access, Entry, Link
from jobs import queue
from jobs.models import Job
from portal import chain_walk, handlers
from portal.pages.audit import entries_for
from printing.templatetags.look import utc
from tests.conftest import superuser

ENTRY = re.compile(r'href="/audit/entries/(\d+)/"')


def entry_of(action, label=""):
    return Entry.objects.filter(action=action, subject_label__contains=label).latest("pk")


def write(by, label, count=1, reason=""):
    with transaction.atomic():
        for _ in range(count):
            trail.record(Action.RECORD_CREATED, trail.Subject("portal", "portal", label), by=by, reason=reason)


# Who sees what --------------------------------------------------------------------------------------------------------


def test_what_speaks_of_a_record_is_seen_by_whoever_may_see_the_record(firm):
    signed = entry_of("signature.applied", "KRAS-001")
    assert entries_for(firm.author).filter(pk=signed.pk).exists()
    assert entries_for(firm.inspector).filter(pk=signed.pk).exists()
    assert not entries_for(firm.outsider).filter(pk=signed.pk).exists()
    assert not entries_for(firm.administrator).filter(pk=signed.pk).exists(), "an administrator reads no content"
    assert firm.client(firm.outsider).get(f"/audit/entries/{signed.pk}/").status_code == 404
    assert Access.objects.latest("pk").subject_label == f"/audit/entries/{signed.pk}/"


def test_what_speaks_of_anything_else_is_seen_with_the_reading_log_and_ones_own_acts_always(firm):
    write(firm.administrator, "another account")
    write(firm.author, "own account")
    theirs, own = entry_of("record.created", "another"), entry_of("record.created", "own")
    for reader, sees in ((firm.inspector, {theirs, own}), (firm.administrator2, {theirs, own}), (firm.author, {own}),
                         (firm.operator, set())):  # fmt: skip
        assert set(entries_for(reader).filter(pk__in=[theirs.pk, own.pk])) == sees, reader


def test_ones_own_act_on_a_record_that_is_out_of_sight_now_is_hidden(firm):
    from accounts.models import Membership

    with transaction.atomic():
        Membership.objects.filter(user=firm.operator).delete()
        trail.record(Action.USER_AREAS_CHANGED, firm.operator, by=firm.administrator)
    assert not entries_for(firm.operator).filter(subject_kind="version").exists()


def test_the_reading_log_needs_its_right_and_a_refused_try_is_an_entry(firm):
    assert firm.client(firm.author).get("/audit/access/").status_code == 403
    refused = Entry.objects.latest("pk")
    assert (refused.action, refused.actor_name) == ("request.refused", "Ana Lindqvist")
    assert firm.client(firm.author).get("/audit/access/export/").status_code == 403
    assert "Reading log" not in firm.client(firm.author).get("/audit/").content.decode()
    assert firm.client(firm.inspector).get("/audit/access/").status_code == 200


def test_the_reading_log_leaves_out_records_that_one_may_not_see(firm):
    trail.access(firm.reviewer, "view", firm.version("KRAS-001"))
    body = firm.client(firm.outsider).get("/audit/access/").content.decode()
    assert "KRAS-001 version 1" not in body
    assert "KRAS-001 version 1" in firm.client(firm.inspector).get("/audit/access/").content.decode()


def test_the_reading_log_leads_to_the_job_that_an_export_came_from(firm):
    trail.access(firm.inspector, "export", firm.version("KRAS-001"), {"job": "1df85a4e-0000-4000-8000-000000000000"})
    body = firm.client(firm.inspector).get("/audit/access/").content.decode()
    assert '<a href="/jobs/1df85a4e-0000-4000-8000-000000000000/">the job</a>' in body
    assert "job: 1df85a4e" not in body


# Lists ----------------------------------------------------------------------------------------------------------------


def test_the_pages_visit_each_entry_once(firm):
    write(firm.author, "many", 120)
    client, url, seen = firm.client(firm.author), "/audit/?subject=many", []
    while url:
        response = client.get(url)
        seen += [entry.pk for entry in response.context["entries"]]
        url = f"/audit/{response.context['next_url']}" if response.context["next_url"] else ""
    assert len(seen) == len(set(seen)) == 120
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("query", "only"),
    [
        ("actor=okafor", lambda entry: entry.actor_name == "Chidi Okafor"),
        ("subject=KRAS-001", lambda entry: "KRAS-001" in entry.subject_label),
        (
            "group=Signatures",
            lambda entry: entry.action.split(".")[0] in {"signature", "signatures", "intent", "step", "key", "reading"},
        ),
        ("group=Refused", lambda entry: entry.action.endswith(".refused")),
        ("until=2001-01-01", lambda entry: False),
    ],
)
def test_filters_narrow_the_list(firm, query, only):
    found = firm.client(firm.inspector).get(f"/audit/?{query}").context["entries"]
    assert all(only(entry) for entry in found)
    visible = [entry for entry in entries_for(firm.inspector).order_by("-pk") if only(entry)]
    assert [entry.pk for entry in found] == [entry.pk for entry in visible][:50]


@pytest.mark.parametrize(
    "query", ["before=x", "before=99999999999999999999", "group=None", "since=9999-12-31", "actor=%01", "what=1"]
)
def test_values_that_make_no_sense_narrow_nothing_or_are_told(firm, query):
    for page in ("/audit/", "/audit/access/", "/audit/export/"):
        assert firm.client(firm.inspector).get(f"{page}?{query}").status_code == 200


def test_the_number_of_queries_does_not_grow(firm):
    client = firm.client(firm.inspector)
    last = Entry.objects.latest("pk").pk

    def queries(url):
        with CaptureQueriesContext(connection) as captured:
            assert client.get(url).status_code == 200
        return len([one for one in captured if 'UPDATE "accounts_sitting"' not in one["sql"]])

    queue.run(chain_walk.ask_for(firm.inspector).pk)
    write(firm.author, "since", 1)
    urls = ("/audit/", "/audit/access/", f"/audit/entries/{last}/")
    [queries(url) for url in urls]
    few = [queries(url) for url in urls]
    write(firm.author, "many", 40)
    for _ in range(40):
        trail.access(firm.author, "view", firm.kras)
    assert [queries(url) for url in urls] == few


# One entry ------------------------------------------------------------------------------------------------------------


def test_an_entry_shows_its_columns_the_rows_it_changed_and_its_link(firm):
    approved = entry_of("version.approved", "KRAS-001")
    body = firm.client(firm.inspector).get(f"/audit/entries/{approved.pk}/").content.decode()
    assert "Update of a row in records_version" in body
    assert '<td data-label="Before">registered</td><td data-label="After">approved</td>' in body
    assert "follows" in body
    assert "does not follow" not in body
    assert f"{approved.at:%H:%M:%S.%f}" in body


def test_earlier_and_later_lead_to_entries_that_one_may_see(firm):
    ids = list(entries_for(firm.author).order_by("pk").values_list("pk", flat=True))[-30:]
    assert ids[-1] - ids[0] > len(ids), "no entry between them is kept from the author"
    client, walked, at = firm.client(firm.author), [], ids[0]
    while at:
        walked.append(at)
        at = client.get(f"/audit/entries/{at}/").context["later"]
    assert walked == ids


def test_hostile_strings_are_inert(firm):
    hostile = "<script>alert(1)</script>"
    write(firm.author, hostile, reason=hostile)
    last = Entry.objects.latest("pk").pk
    for page in ("/audit/", f"/audit/entries/{last}/"):
        body = firm.client(firm.author).get(page).content.decode()
        assert hostile not in body
        assert "&lt;script&gt;" in body


def test_an_entry_changed_behind_the_portals_back_does_not_follow(firm):
    write(firm.author, "quietly changed")
    last = Entry.objects.latest("pk").pk
    with superuser(connection.settings_dict["NAME"]) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("ALTER TABLE audit_link DISABLE TRIGGER ALL")
        owner.execute("UPDATE audit_link SET leaf = leaf || 'x' WHERE entry_id = %s", [last])
    assert "does not follow" in firm.client(firm.author).get(f"/audit/entries/{last}/").content.decode()


# The chain ------------------------------------------------------------------------------------------------------------


def test_the_chain_is_walked_by_a_job_and_its_result_is_shown(firm):
    client = firm.client(firm.inspector)
    assert "has not been walked yet" in client.get("/audit/").content.decode()
    client.post("/audit/verify/")
    job = Job.objects.get(kind=chain_walk.WALK)
    client.post("/audit/verify/")
    assert Job.objects.filter(kind=chain_walk.WALK).count() == 1, "one walk at a time"
    assert "Waiting for a worker" in client.get("/audit/").content.decode()
    assert queue.run(job.pk).state == "done"
    body = client.get("/audit/").content.decode()
    assert f"The chain held when it was walked last, {utc(entry_of('chain.walked').at)}, up to link" in body
    assert "No link came since. Walked for" in body
    assert "The chain holds." not in body
    assert Job.objects.get(pk=job.pk).result["head"][:8] in body
    assert client.get("/audit/verify/progress/", HTTP_HX_REQUEST="true").headers["HX-Refresh"] == "true"


def test_what_came_since_the_walk_is_counted_and_never_called_walked(firm, ticking):
    queue.run(chain_walk.ask_for(firm.inspector).pk)
    walked = Job.objects.get(kind=chain_walk.WALK).result["links"]

    def shown(url="/audit/"):
        card = firm.client(firm.inspector).get(url).content.decode().split("</h1>", 1)[1].split("How we know, and")[0]
        return re.search(r'class="card verdict (\w+)"', card)[1], re.sub(r"\s+", " ", card)

    tone, said = shown()
    assert f"up to link {walked:,}." in said and tone == "ok"
    write(firm.inspector, "since", 3)
    since = Link.objects.order_by("-seq").first().seq - walked - 1
    tone, said = shown()
    assert tone == "ok" and f"{since} links came since and are not walked yet" in said
    ticking.advance(days=1, minutes=1)
    tone, said = shown()
    assert tone == "warn" and "links came since and are not walked yet" in said


def test_a_broken_chain_is_said_with_its_first_fault(firm):
    target = entry_of("signature.applied", "KRAS-001")
    with superuser(connection.settings_dict["NAME"]) as owner:
        owner.execute("ALTER TABLE audit_entry DISABLE TRIGGER ALL")
        owner.execute("UPDATE audit_entry SET actor_name = 'Somebody Else' WHERE id = %s", [target.pk])
        owner.execute("ALTER TABLE audit_entry ENABLE TRIGGER ALL")
    job = chain_walk.ask_for(firm.inspector)
    queue.run(job.pk)
    body = firm.client(firm.inspector).get("/audit/").content.decode()
    assert "The audit trail was changed behind the portal&#x27;s back." in body
    assert f"The column actor_name of entry {target.pk} is not what was chained." in body
    assert "further faults" not in body


def test_walking_is_asked_for_by_post_alone(firm):
    assert firm.client(firm.inspector).get("/audit/verify/").status_code == 405


# CSV ------------------------------------------------------------------------------------------------------------------


def test_lists_that_leave_entries_out_say_so(firm):
    for person in (firm.administrator, firm.inspector):
        text = firm.client(person).get("/security/refusals/").content.decode()
        assert "No signing was refused" not in text
        assert "Entries about records and documents that you may not see are left out" in text
    assert "that you may not see are left out" in firm.client(firm.inspector).get("/audit/reviews/").content.decode()


def test_an_entry_without_role_has_no_leading_dot(firm):
    with transaction.atomic():
        trail.record(Action.LOGIN_REFUSED, trail.PORTAL, by=trail.NOBODY, detail={"message": "No such person."})
    text = firm.client(firm.inspector).get("/audit/").content.decode()
    assert "No such person." in text
    assert not re.search(r'<div class="hint">\s*&middot;', text)


def test_the_csv_holds_what_one_sees_and_no_formula(firm):
    write(firm.author, "=1+1", reason="@SUM(A1)")
    response = firm.client(firm.author).get("/audit/export/")
    *rows, last = csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode()))
    assert last["id"] == f"# {len(rows)} rows; complete; filter: none"
    assert [int(row["id"]) for row in rows] == list(
        entries_for(firm.author).order_by("pk").values_list("pk", flat=True)
    )
    assert (rows[-1]["subject_label"], rows[-1]["reason"]) == ("'=1+1", "'@SUM(A1)")
    row = Access.objects.latest("pk")
    assert (row.what, row.subject_label) == ("export", "the audit trail")


@pytest.mark.compliance("11.10(b)")
@pytest.mark.parametrize("page", ["/audit/export/", "/audit/access/export/"])
def test_compliance_a_csv_is_whole_and_says_so_or_is_refused(firm, monkeypatch, page):
    client = firm.client(firm.inspector)
    client.get("/records/KRAS-001/")
    body = b"".join(client.get(f"{page}?subject=KRAS").streaming_content).decode().splitlines()
    assert body[-1] == f"# {len(body) - 2} rows; complete; filter: subject=KRAS"
    monkeypatch.setattr("portal.pages.audit.EXPORTED", 0)
    refused = client.get(f"{page}?subject=KRAS")
    assert refused.status_code == 409 and "More than 0 rows fit the filter" in refused.content.decode()


@pytest.mark.compliance("11.10(g)")
def test_compliance_an_alarm_or_a_job_about_a_record_out_of_sight_does_not_name_it(firm):
    version = firm.version("KRAS-001")
    raise_alarm(Kind.VERSION_ALTERED, version, f"{version.label} is not what was sealed")
    job = handlers.ask_to_verify(version, by=firm.author)
    with transaction.atomic():
        trail.record(Action.JOB_FAILED, job, by=trail.SYSTEM, reason="KRAS-001 is not there")
    for reader, sees in ((firm.approver, True), (firm.outsider, False)):
        client = firm.client(reader)
        told = client.get("/audit/?group=Alarms+and+reviews").content.decode()
        assert ("Record altered: KRAS-001" in told) == sees, reader
        assert "KRAS-001" not in (b"".join(client.get("/audit/export/").streaming_content).decode() if not sees else "")
    assert "KRAS-001" in firm.client(firm.administrator).get("/audit/?group=System").content.decode()
