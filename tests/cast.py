"""The cast: one person per role, enrolled, so that tests can speak of them by what they are."""

import os
import uuid
from datetime import datetime, timedelta
from functools import cached_property

import psycopg
from django.contrib.auth.models import Group
from django.db import transaction
from django.test import Client

from accounts import accountability, codes
from accounts.identity import Credentials
from accounts.models import (
    Acknowledgement,
    Area,
    CodeDevice,
    Founding,
    Letter,
    Membership,
    Policy,
    Qualification,
    Sitting,
    User,
)
from audit import trail
from audit.actions import Action
from audit.clock import Now, now

# The e-signature SOP that was in effect before the tests' own begins: no record stands behind it.
POLICY = {
    "version_id": uuid.UUID("00000000-0000-4000-8000-000000000001"),
    "topic": "SOP-0000",
    "label": "SOP-0000 1.0, Electronic signatures",
}
PASSWORD = "correct horse battery"
LABORATORY = "Sequencing laboratory"
ELSEWHERE = "Another site"
PEOPLE = {
    # username: (legal name, title, role, area)
    "author": ("Ana Lindqvist", "Validation lead", "author", LABORATORY),
    "reviewer": ("Maja Ruiz", "Quality engineer", "reviewer", LABORATORY),
    "approver": ("Chidi Okafor", "QA manager", "approver", LABORATORY),
    "approver2": ("Ingrid Solheim", "Head of quality", "approver", LABORATORY),
    "operator": ("Tomasz Nowak", "Sequencing operator", "operator", LABORATORY),
    "scientist": ("Priya Raman", "Scientist", "scientist", LABORATORY),
    "inspector": ("Ellen Marsh", "Inspector", "inspector", LABORATORY),
    "administrator": ("Dave Mbeki", "System administrator", "administrator", LABORATORY),
    "administrator2": ("Yuki Tanaka", "System administrator", "administrator", LABORATORY),
    # Has every content role that one person may have, elsewhere: what is the laboratory's does not exist for them.
    "outsider": ("Omar Haddad", "QA manager", "approver", ELSEWHERE),
}


def gather() -> None:
    """Write the cast into an empty database, each act recorded."""
    with transaction.atomic():
        areas = {name: Area.objects.create(name=name) for name in (LABORATORY, ELSEWHERE)}
        for area in areas.values():
            trail.record(Action.AREA_CREATED, area, by=trail.SYSTEM)
        for username, (name, title, role, area) in PEOPLE.items():
            user = User(username=username, legal_name=name, title=title, email=f"{username}@lab.example")
            user.set_password(PASSWORD)
            user.save()
            user.groups.add(Group.objects.get(name=role))
            Membership.objects.create(user=user, area=areas[area])
            device = codes.new_device(user)
            device.confirmed_at = now()
            device.save()
            trail.record(Action.USER_ENROLLED, user, by=trail.SYSTEM)
            sign_ready(user)
        users = list(User.objects.order_by("username"))
        for user in users:  # nobody proves their own
            user.identity_proved_at = now()
            user.identity_proved_by = next(other for other in users if other != user)
            user.save()
        founding = Founding.objects.create(ended_at=Now())
        trail.record(Action.FOUNDING_ENDED, founding, by=trail.SYSTEM)
        in_force()


def sign_ready(user: User) -> None:
    """What the account page and the training page bring about: accountability taken on, trained on the SOP of before."""
    Acknowledgement.objects.create(
        user=user, revision=accountability.REVISION, text_sha256=accountability.text_sha256()
    )
    Qualification.objects.create(
        user=user, topic=POLICY["topic"], version_id=POLICY["version_id"], ordinal=1, label=POLICY["label"],
        gate="signing", due_at=now(), met_at=now(),
    )  # fmt: skip


def in_force() -> None:
    """An e-signature SOP of before, and the letter to the agency."""
    Policy.objects.create(**POLICY, page="/training/", area=Area.objects.get(name=LABORATORY), begins_at=now())
    trail.record(
        Action.VERSION_EFFECTIVE, trail.Subject("version", str(POLICY["version_id"]), POLICY["label"]), by=trail.SYSTEM
    )
    letter = Letter.objects.create(
        sent_on=now().date(), scope="All sites", addressee="FDA, Electronic Submissions", copy={"sha256": "0" * 64},
        filed_by=User.objects.get(username="approver"),
    )  # fmt: skip
    trail.record(Action.LETTER_FILED, letter, by=trail.SYSTEM)


def time_for_a_code(at_least: int = 5) -> datetime:
    """Now, moved on to the next one-time code where the present one ends within so many seconds: no test loses that race."""
    left = codes.seconds_left(now())
    if left < at_least:
        with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as connection:
            connection.execute("UPDATE test_clock SET ahead = ahead + %s", [timedelta(seconds=left)])
    return now()


class Cast:
    """`people.author` and so on, read from the test's own database."""

    def __getattr__(self, username: str) -> User:
        if username not in PEOPLE:
            raise AttributeError(username)
        user = User.objects.get(username=username)
        setattr(self, username, user)
        return user

    @cached_property
    def laboratory(self) -> Area:
        return Area.objects.get(name=LABORATORY)

    def code(self, user: User) -> str:
        """The one-time code that the user's device shows now."""
        return codes.code_at(CodeDevice.objects.get(user=user, withdrawn_at=None), time_for_a_code())

    def credentials(self, user: User) -> Credentials:
        return Credentials(username=user.username, password=PASSWORD, code=self.code(user))

    def sitting(self, user: User) -> Sitting:
        return Sitting.objects.create(user=user, address="127.0.0.1")

    def client(self, user: User) -> Client:
        """A browser in which the user is logged in."""
        client = Client(raise_request_exception=False)
        client.force_login(user, backend="accounts.backends.PasswordBackend")
        session = client.session
        session["sitting"] = str(self.sitting(user).pk)
        session.save()
        return client
