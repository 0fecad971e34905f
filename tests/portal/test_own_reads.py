"""What the portal reads on S3 for a person, CloudTrail tells of that person, and each line leads back to what they did here."""

from datetime import timedelta

import pytest

from audit import clock
from cloudtrail import transitions
from portal.pages import timeline
from records.models import File
from storage.models import S3Request
from tests.cloudtrail import given
from tests.furnished import ACCOUNT, deliver
from tests.portal.test_audit_view import asked

ROLE = "countersign-person"


@pytest.fixture
def pull(firm, settings):
    settings.S3_PERSON_ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"
    values = {"name": "Laboratory", "account": ACCOUNT, "bucket": "gxp-trail", "source_identity_enforced": True}
    values |= {"started_from": (clock.now() - timedelta(days=2)).date()}
    trail = transitions.add_trail(values, by=firm.administrator)

    def pulled():
        deliver()
        transitions.pull(trail)

    return pulled


def own_lines(firm):
    return [line for line in timeline.lines(asked(firm)) if line.touched and line.role == ROLE]


@pytest.mark.compliance("A4")
def test_compliance_a_read_by_the_portal_is_the_persons_and_leads_back_to_what_they_did(firm, pull):
    file = File.objects.filter(version__record=firm.kras, version__ordinal=1, logical_key="README.md").get()
    answer = firm.client(firm.reviewer).get(f"/records/KRAS-001/v1/raw/{file.logical_key}")
    assert b"".join(answer.streaming_content)
    kept = S3Request.objects.latest("at")
    assert (kept.person, kept.portal_request) == (firm.reviewer.username, answer["X-Request-Id"])
    pull()
    (line,) = [line for line in own_lines(firm) if line.touched.request_id == kept.request_id]
    assert (line.who.key, line.who.standing) == (str(firm.reviewer.pk), "PROVEN")
    assert line.sentence.startswith(f"{firm.reviewer.legal_name} read README.md")
    assert f"asked by the portal when {firm.reviewer.legal_name} exported KRAS-001 version 1" in line.known


def test_every_file_of_a_zip_is_read_for_the_person(firm, pull):
    answer = firm.client(firm.inspector).get("/records/KRAS-001/v1/export/copy.zip")
    assert b"".join(answer.streaming_content).startswith(b"PK")
    files = File.objects.filter(version__record=firm.kras, version__ordinal=1).count()
    assert (
        S3Request.objects.filter(person=firm.inspector.username, portal_request=answer["X-Request-Id"]).count() >= files
    )
    pull()
    reads = {line.subject for line in own_lines(firm) if line.who.key == str(firm.inspector.pk)}
    assert len(reads) == files


def test_a_request_in_the_portals_role_that_the_portal_knows_nothing_of_is_told(firm, pull, tmp_path):
    file = File.objects.filter(version__record=firm.kras).first()
    forged = given.session("ASIAFORGED", role=ROLE, name="reviewer", sourceIdentity="reviewer")
    event = given.s3("GetObject", file.key, bucket=file.bucket, by=forged, at=clock.now() - timedelta(hours=1))
    transitions.load(given.hand_over(tmp_path, {given.log_key(): given.packed([event])}))
    (line,) = [line for line in own_lines(firm) if line.touched.event_id == event["eventID"]]
    assert "but the portal knows of no such request" in line.known
