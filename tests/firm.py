"""A small firm in its daily work, built through the verbs: an effective definition and e-signature SOP, a data record with
an approved and a registered version, documents in review and effective."""

import os
from contextlib import suppress

import psycopg

from accounts.models import Area
from demo import content
from demo.packages import kras_package, metadata
from records import defining, drafts, numbers, registration
from records.models import Record, RecordType, Version
from signatures import requests, routes
from sops import transitions as sops
from storage import s3
from storage.transitions import register_bucket
from tests import acts
from tests.cast import LABORATORY, Cast
from validation_docs import transitions as validation_docs

RECORDS_BUCKET = "gxp-records-test"


def make_buckets() -> None:
    """The stand-in's buckets, versioned and with Object Lock; safe to repeat."""
    client = s3.client()
    known = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for name in {RECORDS_BUCKET, "gxp-countersign", "gxp-anchors"} - known:
        with suppress(client.exceptions.BucketAlreadyOwnedByYou):  # another worker of the tests was quicker
            client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True,
                                 CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})  # fmt: skip


def put_package(number: int, version: int, *, complete: bool = True) -> str:
    """Lay a package under `kras-NNN/vN/`; returns the prefix. All tests share the bucket: what is no part of the firm lies apart
    for each process, so that nobody pins, or changes, what another one has just put there."""
    apart = "" if version <= 2 else f"-{os.getpid()}"
    prefix = f"kras-{number:03}/v{version}{apart}{'' if complete else '-incomplete'}/"
    for key, data in kras_package(number, version).items():
        if complete or not key.startswith("qc/report"):
            s3.client().put_object(Bucket=RECORDS_BUCKET, Key=prefix + key, Body=data)
    return prefix


def next_code() -> None:
    with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as connection:
        connection.execute("UPDATE test_clock SET ahead = ahead + interval '30 s'")


def register(record: Record, number: int, version: int, *, by) -> Version:
    prefix = put_package(number, version)
    found = registration.look(RECORDS_BUCKET, prefix, by=by)
    return registration.register(record, found.entries, metadata(number, version), by=by, message=f"Run {version}",
                                 then=lambda made, definition: routes.of_definition(made, definition, by=by))  # fmt: skip


def written_up(draft, by):
    """The draft with the starter's open places filled and saved, ready to be submitted."""
    sections = [{**section, "text": content.filled(section["text"])} for section in draft.sections]
    return drafts.save(draft, sections, by=by, message="First issue", on_top_of=draft.revision)


def build() -> None:
    cast, area = Cast(), Area.objects.get(name=LABORATORY)
    make_buckets()
    register_bucket(RECORDS_BUCKET, label="Records", purpose="records", area=area, by=cast.administrator)
    kinds = RecordType.objects.in_bulk()

    sop = sops.create(starter_name="e-signatures", title="Electronic signatures", area=area, by=cast.author, gate="signing",
                      reading_roles=["author", "reviewer", "approver"])  # fmt: skip
    sop_version = sops.submit(
        written_up(sop.draft, cast.author),
        by=cast.author,
        message="First issue",
        reviewers=[cast.reviewer],
        approvers=[cast.approver],
    )

    ngs = defining.create_type(
        "NGS", name="NGS run package", prefix="KRAS", numbering="typed", digits=3, area=area, by=cast.author
    )
    draft = ngs.definition.draft
    draft = defining.save(
        draft, content.NGS_RUN_PACKAGE, by=cast.author, message="First issue", on_top_of=draft.revision
    )
    definition = defining.submit(draft, by=cast.author, message="First issue", then=lambda version: requests.open_route(
        version, requests.review_then_approval([cast.reviewer], [cast.approver], None), by=cast.author))  # fmt: skip

    urs = validation_docs.create(kinds["URS"], title="User requirements, S3 records system", system="Records portal", area=area,
                                 by=cast.author)  # fmt: skip
    urs_version = validation_docs.submit(written_up(urs.draft, cast.author), by=cast.author, message="First issue", reviewers=[cast.reviewer],
                                         approvers=[cast.approver])  # fmt: skip
    for signer in (cast.reviewer, cast.approver):
        acts.sign(signer, sop_version, definition, urs_version)
        next_code()

    vp = validation_docs.create(
        kinds["VP"], title="Validation plan", system="Records portal", area=area, by=cast.author
    )
    validation_docs.submit(written_up(vp.draft, cast.author), by=cast.author, message="First issue", reviewers=[cast.reviewer], approvers=[cast.approver],
                           due_at=acts.in_days(3))  # fmt: skip
    validation_docs.create(
        kinds["FS"], title="Functional specification", system="Records portal", area=area, by=cast.author
    )

    record = numbers.create(ngs, title="Lung panel, run 2026-04", area=area, by=cast.operator, number="KRAS-001")
    first = register(record, 1, 1, by=cast.operator)
    for signer in (cast.reviewer, cast.approver):
        if acts.Step.objects.awaiting(signer).filter(version=first).exists():
            acts.sign(signer, first)
        next_code()
    register(record, 1, 2, by=cast.operator)


class Firm(Cast):
    """The cast, and what they made: `firm.kras`, `firm.urs`, `firm.sop`, `firm.vp`, `firm.fs`, `firm.definition`."""

    def record(self, number: str) -> Record:
        return Record.objects.select_related("type", "area").get(number=number)

    @property
    def kras(self) -> Record:
        return self.record("KRAS-001")

    def version(self, number: str, ordinal: int = 1) -> Version:
        return Version.objects.select_related("record__type", "record__area").get(
            record__number=number, ordinal=ordinal
        )
