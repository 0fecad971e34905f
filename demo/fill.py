"""Fills an empty portal with the demo's firm, through the same verbs as the pages: nothing is written past the rules.

People sign with their own one-time codes, each used once, so the fill waits for a new code between two signings of one
person; whatever does not need a signature is done meanwhile.
"""

import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Q

from accounts import accountability, codes
from accounts import transitions as people
from accounts.identity import Credentials
from accounts.models import Acknowledgement, Area, CodeDevice, Founding, Membership, Qualification, Sitting, User
from audit import alarms, clock, trail
from audit.actions import Action
from audit.models import Alarm
from cloudtrail import transitions as cloudtrail
from cloudtrail.models import Trail
from demo import content, packages
from demo import trail as demo_trail
from portal import posture
from portal.consequences import approved, signed
from portal.pages.letter import file_copy, letter
from printing.letter import render_letter
from records import defining, drafts, numbers, registration, starter, verification
from records.models import Draft, File, Record, RecordType, Version
from signatures import intents, requests, routes
from signatures.meanings import Meaning
from signatures.models import Step
from signatures.transitions import sign_all
from sops import transitions as sops
from standin.filling import CLOUDTRAIL, Filler, Keeper, make_bucket
from standin.principals import ANCHOR, OWNER, PIPELINE, PORTAL
from standin.process import StandIn
from storage import s3, worm
from storage.models import Bucket
from storage.transitions import register_bucket
from validation_docs import transitions as validation_docs

RECORDS_BUCKET, TRAIL_BUCKET = "gxp-records", "gxp-trail"
ACCOUNT, REGION = "111122223333", "eu-central-1"
LOCKED_YEARS = 11  # a year more than the definition asks for: a pipeline writes before anybody registers


def steps() -> list[tuple[str, Callable[[], object]]]:
    """What to do, in order, each with the words of its line of progress."""
    return [
        ("people and areas", gather),
        ("buckets", make_buckets),
        ("SOPs written", write_sops),
        ("SOPs reviewed", lambda: sign(content.REVIEWER, leave=_stage("in_review"))),
        ("SOPs approved: the founding is over", lambda: sign(content.APPROVER)),
        ("SOPs read, the letter to the agency filed", earn_the_right_to_sign),
        ("definition and documents written", write_documents),
        ("documents reviewed", lambda: sign(content.REVIEWER, leave=_stage("in_review", "rejected"))),
        ("documents approved", lambda: sign(content.APPROVER, leave=_stage("reviewed", "rejected"))),
        ("drafts opened", open_drafts),
        ("a route of signatures set", set_route),
        ("data packages registered", register_packages),
        ("90 days of CloudTrail files", put_trail),
        ("buckets locked and closed, a trail begun", keep_buckets),
        ("one document rejected", reject),
        ("records approved", lambda: sign(content.APPROVER, leave=_stage("reviewed", "rejected") | {"BRCA-001"})),
        ("records verified", verify_records),
        ("CloudTrail pulled", pull_trail),
        ("storage posture read, a baseline signed", baseline),
        ("alarms of the set-up acknowledged", acknowledge_set_up),
    ]


# People


def gather() -> None:
    """The founding: two administrators who prove each other's identity, then everybody else."""
    with transaction.atomic():
        trail.record(Action.FOUNDING_STARTED, Founding.objects.create(), by=trail.SYSTEM)
        for name in content.FIRM.areas:
            trail.record(Action.AREA_CREATED, Area.objects.create(name=name), by=trail.SYSTEM)
    for person in content.PEOPLE:
        _enrol(person)
    first, second = (_user(name) for name in content.ADMINISTRATORS)
    for user in User.objects.all():
        prover = second if user == first else first
        people.prove_identity(user, by=prover, evidence="Passport seen in person at the founding")
    for person in content.PEOPLE:
        if person.username != content.APPROVER_NOT_TRAINED and "administrator" not in person.roles:
            _acknowledge(_user(person.username))


def _enrol(person: content.Person) -> None:
    """An account with password and device, as it is once its owner has followed the invitation."""
    with transaction.atomic():
        user = User(username=person.username, legal_name=person.legal_name, title=person.title, email=person.email)
        user.set_password(settings.DEMO_PASSWORD)
        user.save()
        user.groups.set(Group.objects.filter(name__in=person.roles))
        Membership.objects.bulk_create(
            Membership(user=user, area=area) for area in Area.objects.filter(name__in=person.areas)
        )
        device = codes.new_device(user)
        device.confirmed_at = clock.now()
        device.save()
        trail.record(Action.USER_ENROLLED, user, by=trail.SYSTEM, detail={"founding": True})


def _user(username: str) -> User:
    return User.objects.get(username=username)


# Storage


def make_buckets() -> None:
    for name in (RECORDS_BUCKET, settings.WORM_BUCKET, TRAIL_BUCKET, settings.ANCHOR_BUCKET):
        make_bucket(_endpoint(), name)
    by = _user(content.ADMINISTRATORS[0])
    register_bucket(RECORDS_BUCKET, label="Registered runs", purpose="records", by=by)
    register_bucket(settings.WORM_BUCKET, label="Frozen bytes of the portal", purpose="worm", by=by)
    register_bucket(TRAIL_BUCKET, label="CloudTrail log files", purpose="trail", by=by)
    register_bucket(settings.ANCHOR_BUCKET, label="Checkpoints of the audit trail", purpose="anchor", by=by)


def keep_buckets() -> None:
    """As `deploy/aws/` makes them, once the past is written; the stand-in copies nothing, so no copies are set up."""
    keeper, days = Keeper(_endpoint(), account=ACCOUNT, region=REGION), worm.days_that_suffice(LOCKED_YEARS)
    keeper.close_account()
    keeper.keep(RECORDS_BUCKET, writer=f"role/{PIPELINE.name}", days=days)
    keeper.keep(settings.WORM_BUCKET, writer=f"role/{PORTAL.name}", days=days)
    keeper.keep(settings.ANCHOR_BUCKET, writer=f"user/{ANCHOR.name}", days=days)
    keeper.keep(TRAIL_BUCKET, writer=CLOUDTRAIL, days=days)
    keeper.trail("gxp-data-events", TRAIL_BUCKET)


def baseline() -> None:
    """What is wanted is what was found and is as good as recommended; copies are not asked for, and the baseline says why."""
    posture.read_now()
    wanted = posture.proposed(list(Bucket.objects.all()))
    for rules in wanted.values():
        rules.update({rule: None for rule in ("replication", "replica_lock") if rule in rules})
    posture.propose(wanted, by=_user(content.ADMINISTRATORS[0]), why=content.POSTURE_WHY)
    sign(content.APPROVER, only=_posture_number())
    posture.read_now()


def _posture_number() -> str:
    return Record.objects.get(type=posture.BASELINE).number


def _put(number: str, version: int) -> None:
    """Lay the version's files under the record's prefix, as old as the demo tells; what did not change stays as it is."""
    until = worm.years_after(clock.now(), LOCKED_YEARS)
    before = packages.files(number, version - 1, _today()) if version > 1 else {}
    for key, data in packages.files(number, version, _today()).items():
        if before.get(key) != data:
            _filler().put(
                RECORDS_BUCKET, packages.storage_key(number, key), data, created=_written(number, version),
                ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until,
            )  # fmt: skip


def _written(number: str, version: int) -> datetime:
    """When the pipeline wrote a version: the day after its run, a later version twenty days after the one before."""
    _, said = packages.version_of(number, version)
    return clock.now().replace(microsecond=0) - timedelta(days=said.run_days_ago - 1 - 20 * (version - 1))


def _endpoint() -> str:
    assert settings.S3_ENDPOINT_URL, "the demo stands on the stand-in"
    return settings.S3_ENDPOINT_URL


@cache
def _filler() -> Filler:
    return Filler(_endpoint())


def _today() -> date:
    return clock.now().date()


# Signing


def sign(username: str, *, leave: Collection[str] = (), meaning: str = "", only: str = "", reason: str = "") -> None:
    """Sign all that waits for the person with one code: every page of each opened, every intent of its own."""
    signer = _user(username)
    sitting = Sitting.objects.create(user=signer, address="127.0.0.1", agent="demo")
    steps = [
        step
        for step in Step.objects.awaiting(signer).select_related("version__record__type")
        if step.version.record.number not in leave and only in ("", step.version.record.number)
    ]
    sign_all(
        _opened(steps, signer, sitting), meaning or steps[0].meaning, signer=signer, credentials=_fresh(signer),
        sitting=sitting, reason=reason, reviewed=True, approved=approved, signed=signed,
    )  # fmt: skip


def _opened(steps: list[Step], signer: User, sitting: Sitting) -> list[uuid.UUID]:
    for step in steps:
        for page in range(1, step.version.rendition_pages + 1):
            intents.serve(step.version, page, user=signer, sitting=sitting)
    if len(steps) == 1:  # a list offers no rejection
        return [intents.open_for(steps[0].version, user=signer, sitting=sitting, step=steps[0]).pk]
    return [intent.pk for intent in intents.open_list(steps, user=signer, sitting=sitting)]


def _fresh(user: User) -> Credentials:
    """Credentials with a code that was not used yet, waited for if need be. The last seconds of a code are left alone."""
    device = CodeDevice.objects.get(user=user, withdrawn_at__isnull=True)
    while device.last_step >= codes.step_at(clock.now()) or codes.seconds_left(clock.now()) < 3:
        time.sleep(0.2)
    return Credentials(settings.DEMO_PASSWORD, codes.code_at(device, clock.now()), user.username)


# Documents


def write_sops() -> None:
    for sop in content.SOPS:
        by = _user(content.AUTHOR)
        record = sops.create(
            starter_name=sop.name, title=sop.title, area=Area.objects.get(name=sop.area), by=by, gate=sop.gate,
            reading_roles=sop.reading_roles, reading_days=sop.reading_days,
        )  # fmt: skip
        draft = _write(record.draft, sop.text(), by)
        if sop.stage != "draft":
            sops.submit(draft, by=by, message="First issue", reviewers=[_user(content.REVIEWER)],
                        approvers=[_user(content.APPROVER)], due_at=_in_days(7))  # fmt: skip


def write_documents() -> None:
    by = _user(content.AUTHOR)
    _write_definition(by)
    types = RecordType.objects.in_bulk()
    for document in content.DOCUMENTATION:
        record = validation_docs.create(
            types[document.kind],
            title=document.title,
            system=document.system,
            area=Area.objects.get(name=document.area),
            by=by,
        )
        draft = _write(record.draft, document.text(), by)
        if document.stage != "draft":
            approver = content.APPROVER_NOT_TRAINED if document.stage == "rejected" else content.APPROVER
            later = _in_days(document.effective_in_days) if document.effective_in_days else None
            validation_docs.submit(draft, by=by, message=document.submit_message, reviewers=[_user(content.REVIEWER)],
                                   approvers=[_user(approver)], due_at=_in_days(4), effective_on=later)  # fmt: skip


def _write_definition(by: User) -> None:
    area = Area.objects.get(name=content.SEQUENCING)
    kind = defining.create_type(
        content.TYPE_CODE, name=content.TYPE_NAME, prefix="", numbering="typed", digits=3, area=area, by=by
    )
    draft = defining.save(
        Draft.objects.get(record=kind.definition), content.NGS_RUN_PACKAGE, by=by, message="First issue", on_top_of=1
    )
    asked = requests.review_then_approval([_user(content.REVIEWER)], [_user(content.APPROVER)], _in_days(5))
    defining.submit(
        draft, by=by, message="First issue", then=lambda version: requests.open_route(version, asked, by=by)
    )


def _write(draft: Draft, text: str, by: User) -> Draft:
    return drafts.save(draft, starter.sections_of(text)[1], by=by, message="", on_top_of=draft.revision)


def _numbers(stage: str) -> set[str]:
    titles = [document.title for document in content.DOCUMENTATION if document.stage == stage]
    return set(Record.objects.filter(title__in=titles).values_list("number", flat=True))


def _stage(*stages: str) -> set[str]:
    found = set().union(*(_numbers(stage) for stage in stages))
    waiting = [sop.title for sop in content.SOPS if sop.stage in stages]
    return found | set(Record.objects.filter(title__in=waiting).values_list("number", flat=True))


def reject() -> None:
    document = next(document for document in content.DOCUMENTATION if document.stage == "rejected")
    (number,) = _numbers("rejected")
    sign(content.REVIEWER, only=number, meaning=Meaning.REJECTION, reason=document.notes["reject"])


def open_drafts() -> None:
    """What the author has in hand: the next version of two documents."""
    by = _user(content.AUTHOR)
    for document in content.DOCUMENTATION:
        if document.changes:
            draft = drafts.check_out(Draft.objects.get(record__title=document.title), by=by)
            drafts.save(draft, starter.sections_of(document.next_text())[1], by=by, message=document.notes["save"],
                        on_top_of=draft.revision)  # fmt: skip


def set_route() -> None:
    """Summary reports are approved by one of two: whoever is there first."""
    review, approval = routes.first_rows()
    routes.change(
        content.ROUTE_OF, [review, replace(approval, asked=2)], by=_user(content.APPROVER), reason=content.ROUTE_WHY,
        on_top_of=0,
    )  # fmt: skip


# Records


def register_packages() -> None:
    """Version after version: each version's files are put, found under their prefix and registered."""
    kind = RecordType.objects.get(pk=content.TYPE_CODE)
    for package in content.PACKAGES:
        by = _user(content.OPERATOR)
        record = numbers.create(
            kind, title=package.title, area=Area.objects.get(name=package.area), by=by, number=package.number
        )
        if package.number == content.REFUSED_REGISTRATION["number"]:
            _be_refused(record, by)
        for number, said in enumerate(package.versions, start=1):
            _put(package.number, number)
            _register(record, number, said.message, by)


def verify_records() -> None:
    """As the nightly job does: every byte of every approved data version read again."""
    for version in Version.objects.filter(state="approved", record__type__kind="data").select_related("record"):
        verification.verify(version, by=trail.SYSTEM)


def _register(record: Record, number: int, message: str, by: User) -> None:
    found = registration.look(RECORDS_BUCKET, _prefix(record.number), by=by)
    registration.register(
        record, found.entries, packages.metadata_of(record.number, number, _today()), by=by, message=message,
        then=lambda version, definition: routes.of_definition(version, definition, by=by),
    )  # fmt: skip


def _be_refused(record: Record, by: User) -> None:
    """Offered before the report had been copied: both failures are told at once, and stay on the trail."""
    offered = packages.incomplete(record.number, 1, _today())
    for key, data in offered.items():
        _filler().put(RECORDS_BUCKET, f"inbox/{record.number}/{key}", data, created=_written(record.number, 1))
    found = registration.look(RECORDS_BUCKET, f"inbox/{record.number}/", by=by)
    wrong = {**packages.metadata_of(record.number, 1, _today()), **content.WRONG_METADATA}
    try:
        with trail.refusals(by):
            registration.register(
                record, found.entries, wrong, by=by, message=str(content.REFUSED_REGISTRATION["message"])
            )
    except registration.ContractFailed:
        return
    raise AssertionError("an incomplete package was admitted")


def _prefix(number: str) -> str:
    return packages.storage_key(number, "")


def earn_the_right_to_sign() -> None:
    """Quality files the letter to the agency, and who signs reads the e-signature SOP: all but one approver, who sees on the
    signing page what is missing and where to mend it."""
    scope = [f"{content.FIRM.name}, {content.FIRM.site}", "The records portal"]
    approver = _user(content.APPROVER)
    file_copy(
        render_letter(letter(content.FIRM.name, scope, approver.legal_name)), sent_on=_today() - timedelta(days=30),
        scope="\n".join(scope), addressee="FDA, Electronic Submissions", by=approver,
    )  # fmt: skip
    for username in (content.AUTHOR, content.OPERATOR, content.REVIEWER, content.APPROVER):
        _read(_user(username))


def _acknowledge(user: User) -> None:
    """As the account page does, without a code: this is no signature."""
    with transaction.atomic():
        revision, sha256 = accountability.REVISION, accountability.text_sha256()
        Acknowledgement.objects.create(user=user, revision=revision, text_sha256=sha256)
        detail = {"revision": revision, "text_sha256": sha256}
        trail.record(Action.USER_ACKNOWLEDGED, user, by=user, detail=detail)


def _read(reader: User) -> None:
    row = Qualification.objects.filter(user=reader, gate="signing").first()
    if row is None:
        return
    version = Version.objects.select_related("record").get(pk=row.version_id)
    sitting = Sitting.objects.create(user=reader, address="127.0.0.1", agent="demo")
    for page in range(1, version.rendition_pages + 1):
        intents.serve(version, page, user=reader, sitting=sitting)
    intent = intents.open_for(version, user=reader, sitting=sitting)
    sops.read(intent.pk, signer=reader, credentials=_fresh(reader), sitting=sitting)


# CloudTrail


def put_trail() -> None:
    """Log files of the last 90 days, as CloudTrail would have delivered them, and the trail that names their bucket."""
    history = demo_trail.build(_objects(), now=clock.now(), bucket=RECORDS_BUCKET, account=ACCOUNT, region=REGION)
    demo_trail.write(history.files, lambda key, data: s3.client().put_object(Bucket=TRAIL_BUCKET, Key=key, Body=data))
    stopped = (history.gap[0] + timedelta(hours=1), history.gap[1])  # its last digest tells of the stop itself
    now = clock.now()
    StandIn(settings.S3_ENDPOINT_URL or "").digest(now - timedelta(days=demo_trail.DAYS), now, [stopped])
    cloudtrail.add_trail(
        {"name": "gxp-data-events", "account": ACCOUNT, "region": REGION, "bucket": TRAIL_BUCKET, "prefix": "", "enabled": True,
         "started_from": _today() - timedelta(days=91), "source_identity_enforced": True},
        by=_user(content.ADMINISTRATORS[0]),
    )  # fmt: skip


def _objects() -> list[demo_trail.Stored]:
    """The registered objects, each written by the pipeline some days after its run began, one version after the other."""
    found: dict[tuple[str, str], demo_trail.Stored] = {}
    for file in (
        File.objects.filter(bucket=RECORDS_BUCKET).select_related("version__record").order_by("version__ordinal")
    ):
        written = _written(file.version.record.number, file.version.ordinal)
        found.setdefault(
            (file.key, file.s3_version), demo_trail.Stored(file.bucket, file.key, file.s3_version, file.size, written)
        )
    return list(found.values())


def pull_trail() -> None:
    for pulled in Trail.objects.all():
        cloudtrail.pull(pulled)


def acknowledge_set_up() -> None:
    """What the storage owner did on the first day is known. What happened in the weeks before waits for somebody to look."""
    of_today = Q(sentence__startswith=f"{OWNER.name} called", sentence__contains=f" at {_today()}")
    no_bucket_yet = Q(kind=Alarm.Kind.ANCHOR_UNWRITABLE)
    for alarm in alarms.open_alarms().filter(of_today | no_bucket_yet):
        alarms.acknowledge(alarm, by=_user(content.ADMINISTRATORS[1]), comment=content.SET_UP_KNOWN)


def _in_days(days: int) -> datetime:
    return clock.now() + timedelta(days=days)
