"""Pages of trails: who may do what, hostile text shown harmless, quarantine and another try."""

import pytest
from django.urls import reverse

from audit.models import Access, Entry
from cloudtrail import ingest, tasks
from cloudtrail.models import LogFile, Trail
from jobs.models import Job
from tests.cloudtrail import given
from tests.cloudtrail.test_ingest import load

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def loaded(people, tmp_path):
    events = [
        given.s3(key=HOSTILE, by=given.session("ASIA1", name=HOSTILE)),
        given.assume_role("ASIA7", by=given.iam_user()),
        given.s3(by=given.session("ASIA7")),
    ]
    load(given.hand_over(tmp_path, {given.log_key(): given.packed(events)}))
    return LogFile.objects.get()


def values(**changes):
    return {
        "name": "gxp",
        "account": given.ACCOUNT,
        "bucket": "gxp-trail",
        "started_from": "2026-01-01",
        "enabled": "on",
    } | changes


def test_everybody_sees_trails_and_an_administrator_adds_one(people):
    page = people.client(people.inspector).get(reverse("cloudtrail:trails"))
    assert page.status_code == 200
    assert "No trail yet" in page.text
    assert reverse("cloudtrail:add") not in page.text
    admin = people.client(people.administrator)
    made = admin.post(reverse("cloudtrail:add"), values(), follow=True)
    assert "gxp is registered." in made.text
    entry = Entry.objects.get(action="trail.created")
    assert (entry.subject_id, entry.detail["bucket"]) == (str(Trail.objects.get().pk), "gxp-trail")


@pytest.mark.parametrize("role", ["author", "reviewer", "approver", "operator", "scientist", "inspector"])
def test_nobody_else_may_add_change_pull_or_try_again(role, loaded, people):
    client = people.client(getattr(people, role))
    trail = loaded.trail
    for name, args in (("add", []), ("edit", [trail.pk]), ("pull", [trail.pk]), ("again", [loaded.pk])):
        assert client.post(reverse(f"cloudtrail:{name}", args=args), values()).status_code == 403
    assert Trail.objects.count() == 1
    assert Job.objects.count() == 0


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": "  "}, "This field is required"),
        ({"account": "12"}, "12 digits"),
        ({"account": "abc"}, "12 digits"),
        ({"bucket": ""}, "needs a bucket"),
        ({"bucket": "UP_PER"}, "not the name of a bucket"),
        ({"prefix": "/logs"}, "prefix begins without a slash"),
        ({"region": "Frankfurt"}, "written as in eu-central-1"),
        ({"organisation": "firm"}, "organisation"),
        ({"started_from": "soon"}, "valid date"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused_by_field(changes, fault, people):
    page = people.client(people.administrator).post(reverse("cloudtrail:add"), values(**changes))
    assert page.status_code == 400
    assert fault in page.text
    assert not Trail.objects.exists()


def test_a_change_needs_a_reason_and_keeps_the_place_of_files(loaded, people):
    client = people.client(people.administrator)
    trail = loaded.trail
    url = reverse("cloudtrail:edit", args=[trail.pk])
    now = {"name": "renamed", "account": trail.account, "bucket": "", "started_from": "2013-11-13"}
    assert "This field is required" in client.post(url, now).text
    client.post(url, now | {"reason": "a clearer name"})
    trail.refresh_from_db()
    assert trail.name == "renamed"
    assert Entry.objects.get(action="trail.changed").reason == "a clearer name"
    refused = client.post(url, now | {"account": "999999999999", "reason": "another account"})
    assert refused.status_code == 409
    trail.refresh_from_db()
    assert trail.account == given.ACCOUNT


def test_saying_that_source_identities_are_enforced_proves_them(people, tmp_path):
    event = given.s3(by=given.session("ASIA1", sourceIdentity="anna"))
    load(given.hand_over(tmp_path, {given.log_key(): given.packed([event])}))
    trail = Trail.objects.get()
    client = people.client(people.administrator)
    change = {
        "name": trail.name,
        "account": trail.account,
        "bucket": "",
        "started_from": "2013-11-13",
        "reason": "trust policy changed",
    }
    page = reverse("cloudtrail:event", args=[LogFile.objects.get().pk, 0])
    assert "CLAIMED" in client.get(page).text
    client.post(reverse("cloudtrail:edit", args=[trail.pk]), change | {"source_identity_enforced": "on"})
    assert "PROVEN" in client.get(page).text


def test_pages_show_hostile_text_as_text(loaded, people):
    client = people.client(people.inspector)
    for url in (
        loaded.trail.get_absolute_url(),
        loaded.get_absolute_url(),
        reverse("cloudtrail:event", args=[loaded.pk, 0]),
        reverse("cloudtrail:event", args=[loaded.pk, 1]),
        reverse("cloudtrail:trails"),
    ):
        page = client.get(url)
        assert page.status_code == 200
        assert HOSTILE not in page.text
    assert "&lt;script&gt;" in client.get(reverse("cloudtrail:event", args=[loaded.pk, 0])).text


def test_the_page_of_an_event_shows_its_json_without_tokens_and_the_chain(loaded, people):
    client = people.client(people.inspector)
    handed = client.get(reverse("cloudtrail:event", args=[loaded.pk, 1])).text
    assert "REDACTED" in handed
    assert "SECRET" not in handed
    used = client.get(reverse("cloudtrail:event", args=[loaded.pk, 2])).text
    assert "was handed out by AssumeRole" in used
    assert "<b>maja</b>" in used
    assert "the one that was kept when it was stored" in used
    assert Access.objects.filter(what="view", subject_kind="trail").count() == 2


def test_what_is_not_there_is_not_found(loaded, people):
    client = people.client(people.inspector)
    for url in (
        reverse("cloudtrail:event", args=[loaded.pk, 99]),
        reverse("cloudtrail:file", args=[loaded.pk + 1]),
        reverse("cloudtrail:trail", args=["00000000-0000-0000-0000-000000000000"]),
        reverse("cloudtrail:progress", args=[loaded.trail.pk]),
    ):
        assert client.get(url).status_code == 404
    for query in ("?after=x", "?state=none", "?after=2026|x", "?after=2026-01-01|3"):
        assert client.get(loaded.trail.get_absolute_url() + query).status_code == 200
        assert client.get(loaded.get_absolute_url() + query).status_code == 200


def test_a_file_in_quarantine_is_tried_again_and_leaves_it_when_it_reads(people, tmp_path, monkeypatch):
    monkeypatch.setattr(ingest, "parse", lambda raw: (_ for _ in ()).throw(ingest.Unreadable("The disk was tired.")))
    with pytest.raises(Exception, match="quarantine"):
        load(given.hand_over(tmp_path, {given.log_key(): given.packed([given.s3()])}))
    monkeypatch.undo()
    file = LogFile.objects.get()
    client = people.client(people.administrator)
    page = client.get(file.trail.get_absolute_url()).text
    assert "The disk was tired." in page
    assert "1 of 1 files could not be read" in page
    client.post(reverse("cloudtrail:again", args=[file.pk]))
    assert Entry.objects.get(action="trail.file_retried").detail["reason"] == "The disk was tired."
    job = Job.objects.get(kind="cloudtrail.pull")
    assert tasks.queue.run(job.pk).state == "done"
    file.refresh_from_db()
    assert (file.state, file.reason, file.events) == ("stored", "", 1)
    assert client.post(reverse("cloudtrail:again", args=[file.pk])).status_code == 409


def test_pages_ask_the_database_the_same_however_long_they_are(people, tmp_path, django_assert_max_num_queries):
    files = {given.log_key(n): given.packed([given.s3() for _ in range(n + 1)]) for n in range(30)}
    load(given.hand_over(tmp_path, files))
    client = people.client(people.inspector)
    file = LogFile.objects.order_by("-events").first()
    for url in (reverse("cloudtrail:trails"), file.trail.get_absolute_url(), file.get_absolute_url()):
        with django_assert_max_num_queries(24):
            assert client.get(url).status_code == 200
