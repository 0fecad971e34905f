"""The firm with something behind every URL: a trail with files, jobs, open links, a picture, a reading, a verification.

`furnish()` makes it once, for the template database; `places()` says where things are, for URLs that hold a key.
"""

import base64
import gzip
import hashlib
import json
import os
import secrets
import tempfile
import urllib.request
from datetime import date
from pathlib import Path

from accounts.models import Area, Invitation, Letter, User
from accounts.transitions import add_passkey, ask_reset, invite
from audit import clock
from audit.alarms import Kind, raise_alarm
from audit.models import Alarm, Entry, ReviewFilter
from cloudtrail import transitions as cloudtrail
from cloudtrail.models import Actor, DirectoryEntry, LogFile, Trail
from jobs import queue
from jobs.models import Job
from portal import evidence, posture
from portal.pages.letter import file_copy
from records import drafts, verification
from records.models import Attachment, Version
from signatures.models import PortalKey, Signature, Step
from sops.models import Sop
from tests import acts, builders, firm
from tests.accounts.authenticator import Authenticator
from tests.cast import LABORATORY
from tests.cloudtrail import given

# Tokens that tests know; the database keeps their SHA-256 alone, as with real ones.
ENROL_TOKEN, RESET_TOKEN, LOST_TOKEN = "a-token-for-enrolment", "a-token-for-a-password", "a-token-for-a-loss"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
ACCOUNT = "111122223333"


def deliver() -> None:
    """Let the stand-in deliver the CloudTrail files of what was asked of it so far."""
    request = urllib.request.Request(f"{os.environ['S3_ENDPOINT_URL']}/standin/deliver", method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def furnish() -> None:
    cast = firm.Firm()
    file_copy(
        builders.pdf("Letter", 1),
        sent_on=clock.now().date(),
        scope="All sites",
        addressee="FDA, Electronic Submissions",
        by=cast.approver,
    )
    _trails(cast)
    _open_links(cast)
    _jobs(cast)
    draft = cast.record("FS-0001").draft
    drafts.add_image(draft, "gel.png", PIXEL, by=cast.author)
    acts.read(cast.reviewer, cast.version("SOP-0001"))
    verification.verify(cast.version("KRAS-001"), by=cast.operator)
    newcomer = User.objects.get(username="newcomer")
    raise_alarm(Kind.ROLES_GRANTED, newcomer, "Dave Mbeki gave Noor Haile the role Scientist.")
    _passkey(cast.reviewer)
    posture.read_now()
    posture.ask()


def _passkey(user: User) -> None:
    challenge = secrets.token_bytes(32)
    firm.next_code()
    add_passkey(user, credentials=acts.credentials(user), made=Authenticator().make(challenge, user=user.pk.bytes),
                challenge=challenge, name="Security key", sitting=acts.sitting(user))  # fmt: skip


def _trails(cast: firm.Firm) -> None:
    values = {"name": "Laboratory", "account": ACCOUNT, "region": "eu-central-1", "bucket": "gxp-trail", "prefix": ""}
    made = cloudtrail.add_trail(values, by=cast.administrator)
    deliver()
    cloudtrail.pull(made)
    with tempfile.TemporaryDirectory() as folder:
        for file, data in (
            ("A" * 16, b"not gzip"),
            ("B" * 16, gzip.compress(json.dumps({"Records": [given.s3()]}).encode())),
        ):
            path = Path(folder) / _log_key(file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        cloudtrail.load(Path(folder))
    cloudtrail.enter_in_directory(
        {"kind": "service", "identifier": "batch.amazonaws.com", "person": "Dave Stone", "since": date(2026, 1, 1)},
        by=cast.operator, reason="The pipeline is his, says the register of systems")  # fmt: skip


def _log_key(unique: str) -> str:
    day, name = "2026/04/12", f"{ACCOUNT}_CloudTrail_eu-central-1_20260412T1200Z_{unique}.json.gz"
    return f"AWSLogs/{ACCOUNT}/CloudTrail/eu-central-1/{day}/{name}"


def _open_links(cast: firm.Firm) -> None:
    laboratory = Area.objects.get(name=LABORATORY)
    newcomer = invite(username="newcomer", legal_name="Noor Haile", email="noor@lab.example", roles=["scientist"],
                      areas=[laboratory], by=cast.administrator)  # fmt: skip
    ask_reset(cast.scientist.username)
    _known(newcomer, Invitation.Purpose.ENROL, ENROL_TOKEN)
    _known(cast.scientist, Invitation.Purpose.PASSWORD, RESET_TOKEN)
    _known(cast.scientist, Invitation.Purpose.LOST, LOST_TOKEN)


def _known(user: User, purpose: str, token: str) -> None:
    digest = hashlib.sha256(token.encode()).hexdigest()
    Invitation.objects.update_or_create(
        user=user, purpose=purpose, defaults={"token_sha256": digest, "expires_at": acts.in_days(7)}
    )


def _jobs(cast: firm.Firm) -> None:
    version = cast.version("KRAS-001")
    args = {"version": str(version.pk), "title": "Verify KRAS-001 version 1", "page": version.get_absolute_url()}
    queue.enqueue("records.verify", args=args, key="waiting", by=cast.operator)
    failed = queue.enqueue(
        "records.verify", args={**args, "version": str(cast.operator.pk)}, key="failing", by=cast.operator
    )
    queue.run(failed.pk)
    pack = evidence.ask_for(version, ["readme", "manifest"], 90, by=cast.inspector)
    assert queue.run(pack.pk).state == Job.State.DONE


def places() -> dict[str, str]:
    """What stands for the names in braces in `tests/access/matrix.txt`."""
    cast = firm.Firm()
    log, broken = (LogFile.objects.filter(state=state).first() for state in ("stored", "quarantined"))
    return {
        "enrol": ENROL_TOKEN,
        "reset": RESET_TOKEN,
        "lost": LOST_TOKEN,
        "step": str(Step.objects.awaiting(cast.reviewer).get(version__record__number="VP-0001").pk),
        "signed_step": str(Step.objects.filter(signature__isnull=False).first().pk),
        "version": str(cast.version("KRAS-001").pk),
        "unsigned": str(cast.version("KRAS-001", 2).pk),
        "reading": str(cast.version(Sop.objects.get().record.number).pk),
        "signature": str(Signature.objects.filter(version__record__number="URS-0001").first().pk),
        "letter": str(Letter.objects.first().pk),
        "key": PortalKey.objects.first().pk,
        "person": str(cast.reviewer.pk),
        "passkey": str(cast.reviewer.passkeys.get().pk),
        "newcomer": str(User.objects.get(username="newcomer").pk),
        "area": str(cast.laboratory.pk),
        "trail": str(Trail.objects.get(name="Laboratory").pk),
        "file": str(log.pk),
        "broken": str(broken.pk),
        "actor": str(Actor.objects.filter(standing="PROVEN").first().pk),
        "listed": str(DirectoryEntry.objects.get().pk),
        "filter": str(ReviewFilter.objects.get(name="Signatures").pk),
        "alarm": str(Alarm.objects.earliest("first_at").pk),
        "job": str(Job.objects.get(state="queued", kind="records.verify").pk),
        "failed_job": str(Job.objects.get(state="failed").pk),
        "pack": str(Job.objects.get(kind=evidence.EVIDENCE).pk),
        "entry": str(
            Entry.objects.filter(subject_kind="version", subject_id=str(cast.version("KRAS-001").pk)).first().pk
        ),
        "image": Attachment.objects.get().name,
        "kras": str(cast.kras.pk),
        "approved": str(Version.objects.get(record__number="URS-0001").pk),
    }
