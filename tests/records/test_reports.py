"""Reports: sealed by the portal, answered for by a person who is not judged by them."""

import json

import pytest

from audit import trail
from audit.models import Entry
from portal.consequences import REPORTS
from records import reports
from records.models import Record, RecordType, Version
from records.reports import Section, seal_report
from signatures.meanings import Meaning
from signatures.models import Step
from signatures.requests import Asked, open_route
from storage import worm
from tests import acts
from tests.firm import make_buckets

TEXT = [Section("Findings", "None. Entries 1 to 9 were read.")]


def make(by, *, contributors=(), asked=None, then=None):
    make_buckets()
    steps = asked or [Asked(1, Meaning.RESPONSIBILITY, "approver", by)]
    return seal_report("trail_review", title="Refusals, entries 1 to 9", sections=TEXT, data={"entries": [1, 9], "findings": ""},
                       by=by, message="Weekly review", contributors=contributors,
                       then=then or (lambda version: open_route(version, steps, by=by)))  # fmt: skip


def test_every_type_of_report_says_what_its_approval_brings_about(people):
    assert set(RecordType.objects.filter(kind="report").values_list("pk", flat=True)) == set(REPORTS)


@pytest.mark.compliance("11.10(e)", "11.50(a)(1)")
def test_compliance_a_report_is_sealed_and_signed_by_who_made_it(firm, monkeypatch):
    monkeypatch.setitem(REPORTS, "trail_review", lambda version, signer: None)  # no review stands behind this one
    version = make(firm.approver2)
    assert (version.record.number, version.state) == ("ATR-0001", "in_review")
    assert reports.read(version) == {"entries": [1, 9], "findings": ""}
    file = version.files.get(logical_key="report.json")
    body = worm.get(worm.Pin(file.bucket, file.key, file.s3_version, file.size, file.sha256))
    assert json.loads(body)["made_by"] == "Ingrid Solheim"
    (signature,) = acts.sign(firm.approver2, version)
    version.refresh_from_db()
    assert (signature.meaning, version.state, version.revision) == ("responsibility", "approved", "1.0")
    assert version.status_at(version.created_at) == "approved"


@pytest.mark.compliance("11.10(g)", "A6")
def test_compliance_nobody_signs_a_report_that_judges_their_own_acts(firm):
    mine = str(firm.approver.pk)
    with pytest.raises(trail.Refused, match="cannot be asked"):
        make(firm.approver, contributors=[mine])
    assert not Record.objects.filter(type="trail_review").exists()
    version = make(firm.approver2, contributors=[mine], asked=[Asked(1, Meaning.RESPONSIBILITY, "approver")])
    assert not Step.objects.awaiting(firm.approver).filter(version=version).exists()
    assert Step.objects.awaiting(firm.approver2).filter(version=version).exists()


def test_a_report_is_rejected_with_a_reason_and_stays(firm):
    version = make(firm.approver2)
    acts.sign(firm.approver2, version, meaning=Meaning.REJECTION, reason="The span ends a day too early")
    version.refresh_from_db()
    assert version.state == "rejected"


def test_only_a_report_is_answered_for_by_its_maker(firm):
    step = [Asked(1, Meaning.RESPONSIBILITY, "approver", firm.approver2)]
    with pytest.raises(trail.Refused, match="Only a report"):
        open_route(firm.version("VP-0001"), step, by=firm.author)


def test_a_report_whose_route_is_refused_leaves_no_row(firm):
    before = Version.objects.count()
    with pytest.raises(trail.Refused):
        make(firm.approver2, asked=[Asked(1, Meaning.REVIEW, "approver", firm.approver)])
    assert Version.objects.count() == before and not Entry.objects.filter(action="report.sealed").exists()


def test_whoever_may_make_no_report_is_refused(firm):
    with pytest.raises(trail.Forbidden, match=r"report\.write"):
        make(firm.operator)


def test_a_report_reads_as_a_document(firm):
    version = make(firm.approver2)
    client = firm.client(firm.approver)
    for path in ("", "v1/", "history/", "v1/rendition.pdf", "v1/?as=pages"):
        assert client.get(f"/documents/{version.record.number}/{path}").status_code == 200, path
    assert "None. Entries 1 to 9 were read." in client.get(version.get_absolute_url()).content.decode()
    assert "ATR-0001" in client.get("/documents/").content.decode()
    assert firm.client(firm.outsider).get(version.get_absolute_url()).status_code == 404
