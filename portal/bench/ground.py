"""What the measurements stand on: people, a definition and a record, in a database that is thrown away afterwards."""

import os
import time
import uuid
from functools import cache

import psycopg
from django.contrib.auth.models import Group
from django.db import transaction
from django.test import Client

from accounts import accountability, codes
from accounts.identity import Credentials
from accounts.models import (
    Acknowledgement,
    Area,
    Founding,
    Letter,
    Lockout,
    Membership,
    Policy,
    Qualification,
    Sitting,
    User,
)
from audit import clock, trail
from audit.actions import Action
from audit.clock import Now
from demo import content
from portal.consequences import approved, signed
from records import contract, defining, numbers, registration
from records.models import Draft, Record, RecordType, Version
from signatures import intents, requests, routes
from signatures.models import Step
from signatures.transitions import sign_all
from storage.models import Bucket

PASSWORD = "long enough for a bench"  # noqa: S105
BUCKET = "bench-records"
POLICY = uuid.UUID(int=1)  # the e-signature SOP that everybody was trained on


def person(role: str, name: str = "") -> User:
    """A new person with the role, enrolled: one-time codes are used once, so each signing takes another person."""
    name = name or f"{role}-{uuid.uuid4().hex[:8]}"
    with transaction.atomic():
        user = User(username=name, legal_name=name.title(), email=f"{name}@bench.example")
        user.set_password(PASSWORD)
        user.save()
        user.groups.add(Group.objects.get(name=role))
        Membership.objects.create(user=user, area=area())
        user.identity_proved_at, user.identity_proved_by = clock.now(), prover()
        user.save()
        Acknowledgement.objects.create(
            user=user, revision=accountability.REVISION, text_sha256=accountability.text_sha256()
        )
        Qualification.objects.create(
            user=user,
            topic="SOP",
            version_id=POLICY,
            ordinal=1,
            label="SOP",
            gate="signing",
            due_at=clock.now(),
            met_at=clock.now(),
        )
        device = codes.new_device(user)
        device.confirmed_at = clock.now()
        device.save()
        trail.record(Action.USER_ENROLLED, user, by=trail.SYSTEM)
        # As of somebody who has signed before.
        Lockout.objects.create(username_folded=user.username_folded, purpose=Lockout.Purpose.SIGNING)
    return user


@cache
def prover() -> User:
    """Somebody else, who has seen who everybody is."""
    with transaction.atomic():
        user = User.objects.create(username="bench.prover", legal_name="Bench Prover", email="prover@bench.example")
        trail.record(Action.USER_ENROLLED, user, by=trail.SYSTEM)
    return user


@cache
def area() -> Area:
    with transaction.atomic():
        made = Area.objects.create(name="Bench")
        trail.record(Action.AREA_CREATED, made, by=trail.SYSTEM)
        trail.record(Action.FOUNDING_ENDED, Founding.objects.create(ended_at=Now()), by=trail.SYSTEM)
        about = trail.Subject("version", str(POLICY), "SOP")
        Policy.objects.create(
            version_id=POLICY, topic="SOP", label="SOP", page="/training/", area=made, begins_at=clock.now()
        )
        trail.record(Action.VERSION_EFFECTIVE, about, by=trail.SYSTEM)
        letter = Letter.objects.create(
            sent_on=clock.now().date(), scope="Bench", addressee="Bench", copy={}, filed_by=prover()
        )
        trail.record(Action.LETTER_FILED, letter, by=trail.SYSTEM)
        bucket = Bucket.objects.create(name=BUCKET, label="Bench", purpose="records")
        trail.record(Action.BUCKET_REGISTERED, bucket, by=trail.SYSTEM)
    return made


def new_area(name: str) -> Area:
    with transaction.atomic():
        made = Area.objects.create(name=name)
        trail.record(Action.AREA_CREATED, made, by=trail.SYSTEM)
    return made


def owner() -> psycopg.Connection:
    """A connection as the owner of the tables."""
    return psycopg.connect(os.environ["MIGRATE_DATABASE_URL"])


@cache
def record_type() -> RecordType:
    """A type whose definition admits any file, effective."""
    author = person("author")
    made = defining.create_type(
        "BENCH", name="Bench package", prefix="BEN", numbering="counted", digits=5, area=area(), by=author
    )
    schema = {"$schema": contract.DIALECT, "type": "object"}
    open_to_all = {"name": "Bench package", "required_files": [], "other_files": True, "metadata_schema": schema}
    values = content.NGS_RUN_PACKAGE | open_to_all
    draft = defining.save(Draft.objects.get(record=made.definition), values, by=author, message="", on_top_of=1)
    reviewer, approver = person("reviewer"), person("approver")
    version = defining.submit(draft, by=author, message="Bench", then=lambda version: requests.open_route(
        version, requests.review_then_approval([reviewer], [approver], None), by=author))  # fmt: skip
    for signer in (reviewer, approver):
        sign(version, signer)
    return RecordType.objects.get(pk="BENCH")


def record() -> Record:
    return numbers.create(record_type(), title="Bench", area=area(), by=operator())


@cache
def operator() -> User:
    return person("operator")


def prepared(version: Version, signer: User) -> tuple[uuid.UUID, str, Credentials, Sitting]:
    """All that a person has done when they press the button: pages opened, dialog opened, password and code typed."""
    sitting = Sitting.objects.create(user=signer, address="127.0.0.1")
    for page in range(1, version.rendition_pages + 1):
        intents.serve(version, page, user=signer, sitting=sitting)
    step = Step.objects.awaiting(signer).get(version=version)
    intent = intents.open_for(version, user=signer, sitting=sitting, step=step)
    if (left := codes.seconds_left(clock.now())) < 3:
        time.sleep(left)  # a code that changes on the way would be refused
    code = codes.code_at(signer.devices.get(), clock.now())
    return intent.pk, step.meaning, Credentials(PASSWORD, code, signer.username), sitting


def sign(version: Version, signer: User) -> None:
    intent, meaning, credentials, sitting = prepared(version, signer)
    sign_all(
        [intent],
        meaning,
        signer=signer,
        credentials=credentials,
        sitting=sitting,
        reviewed=True,
        approved=approved,
        signed=signed,
    )


def registered(record: Record) -> Version:
    by = operator()
    found = registration.look(BUCKET, f"{record.number}/", by=by)
    return registration.register(
        record,
        found.entries,
        {},
        by=by,
        then=lambda version, definition: routes.of_definition(version, definition, by=by),
    )


def browser(user: User) -> Client:
    client = Client(HTTP_HOST="127.0.0.1")
    client.force_login(user, backend="accounts.backends.PasswordBackend")
    session = client.session
    session["sitting"] = str(Sitting.objects.create(user=user, address="127.0.0.1").pk)
    session.save()
    return client
