"""Evidence packs: README, manifest and audit trail of one version in one PDF, made by a job (question four of an inspection)."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from accounts.models import User
from audit import clock
from inspections.evidence import Enclosed, Head, Part, Placed, Step, build, manifest, readme
from jobs import queue
from jobs.models import Job
from portal import reports
from portal.pages import document_parts, issuing, manifestation, record_exports
from portal.pages.timeline import Asked
from printing import pages
from printing.templatetags.look import utc
from records import copies
from records.kinds import Kind
from records.models import File, Version
from records.renditions import README
from signatures import certificate, offline, sealed_pdf
from signatures.checking import Verdict
from signatures.models import PortalCertificate, Signature
from storage import worm

EVIDENCE = "evidence.pack"
ISSUED, CERTIFICATES = "issued-copy.pdf", "portal-certificates.pem"
PARTS = {"readme": "README", "manifest": "Manifest", "audit": "Audit trail"}
DAYS = 90
LINES = 20_000  # of the audit trail on paper; more are refused, the CSV holds them all

CANNOT = (
    "That the content was right: the pack shows what was signed, by whom, and that it can be told from anything else.",
    "That the audit trail in this pack is complete: the whole trail, held against its checkpoints by countersign_verify.py, tells"
    " that without the portal. Both are to be had at /audit/checkpoints/.",
)


def ask_for(version: Version, parts: Collection[str], days: int, *, by: User) -> Job:
    args = {
        "record": str(version.record_id),
        "version": str(version.pk),
        "parts": [part for part in PARTS if part in parts],
        "days": days,
        "title": f"Evidence pack of {version.trail_subject().label}",
    }
    return queue.enqueue(EVIDENCE, args=args, by=by)


@queue.handler(EVIDENCE)
def make(job: Job) -> dict[str, Any]:
    """Gather, print, merge, keep. Only what the person who asked may see, at the time of making."""
    reader = User.objects.get(pk=job.requested_by)
    versions = Version.objects.visible_to(reader).select_related("record__type", "record__area", "author")
    version = versions.get(pk=job.args["version"])
    pdf = pack(version, job.args["parts"], job.args["days"], reader=reader, job=job)
    name = f"{version.record.number}-v{version.ordinal}-evidence.pdf"
    return reports.keep(pdf, name, "application/pdf") | {"pages": pages.page_count(pdf)}


def pack(version: Version, chosen: Collection[str], days: int, *, reader: User, job: Job | None = None) -> bytes:
    def tell(done: int, says: str) -> None:
        if job:
            job.progress(done, 5, says)

    _, own = certificate.in_use()  # no pack without its seal (11.30)
    now = clock.now()
    record = version.record
    head = Head(record.number, record.title, record.type.name, str(version.ordinal),
                f"made {utc(now, 's')} for {reader.legal_name} · uncontrolled when printed")  # fmt: skip
    parts: list[Part] = []
    enclosed: list[Enclosed] = []
    limits: list[str] = list(CANNOT)
    tell(0, "The content is read from S3 and hashed.")
    if "readme" in chosen:
        parts.append(_content(version, head))
    if "manifest" in chosen:
        tell(1, "The manifest is printed.")
        parts.append(("Manifest", _manifest(version, head)))
        raw = bytes(version.manifest)
        enclosed.append(Enclosed("manifest.jsonl", raw, "application/jsonl", "Quilt manifest, as sealed"))
    if "audit" in chosen:
        tell(2, "The audit trail is printed.")
        asked = Asked(record, now - timedelta(days=days), now, None, reader=reader)
        made = reports.report(asked, reader.legal_name)
        if made.total > LINES:
            raise ValueError(f"The audit trail has {made.total:,} lines; on paper go {LINES:,}. Ask for fewer days.")
        parts.append(("Audit trail", reports.as_pdf(made, "Audit trail")))
        limits += reports.limits(made)
        enclosed.append(
            Enclosed(
                "audit-trail.csv",
                "".join(reports.as_csv(made)).encode(),
                "text/csv",
                f"{made.total:,} lines, all columns",
            )
        )
    tell(3, "The signatures are checked.")
    signed = manifestation.signatures_of([version])
    enclosed += _proofs(version, reader.legal_name, now, own)
    tell(4, "The parts are put together.")
    limits.append(issuing.seal_note(own).splitlines()[0])
    whole = build(head, _facts(version, signed), parts, enclosed, _steps(version, signed, chosen), limits)
    return sealed_pdf.attest(whole, at=now)


def _content(version: Version, head: Head) -> Part:
    """The README of a package; of a document the rendition that was signed, which is its text."""
    if version.record.type.kind != Kind.DATA:
        return "Document as it was signed", worm.get(worm.Pin.from_json(version.rendition))
    file = version.files.filter(logical_key=README).first()
    text = copies.whole(file).decode("utf-8", "replace") if file and file.size <= copies.SMALL else ""
    return "README", readme(head, text)


def _manifest(version: Version, head: Head) -> bytes:
    facts = [
        ("Top hash", version.top_hash),
        ("SHA-256 of the pins", version.pins_sha256),
        ("Registered", f"{utc(version.created_at, 's')} by {version.author.legal_name}"),
        ("Message", version.message),
    ]
    return manifest(head, facts, version.metadata, [_placed(file) for file in version.files.all()])


def _placed(file: File) -> Placed:
    return Placed(file.logical_key, file.size, file.sha256, file.bucket, file.key, file.s3_version)


def _proofs(version: Version, printed_by: str, at: datetime, own: PortalCertificate) -> list[Enclosed]:
    """The sealed copy, and what proves each signature, under the names that the commands of the cover use."""
    copy = _issued(version, printed_by, at)
    told = [Enclosed(one.name, one.data, one.media_type, one.told) for one in issuing.proofs(version)]
    return [
        Enclosed(ISSUED, copy, "application/pdf", "Issued copy with its signatures, sealed by the portal"),
        *told,
        Enclosed(
            CERTIFICATES,
            own.chain_pem.encode(),
            "application/x-pem-file",
            "Certificate of the portal, with those above it",
        ),
    ]


def _issued(version: Version, printed_by: str, at: datetime) -> bytes:
    if version.record.type.kind == Kind.DATA:
        return record_exports.issued_copy(version, printed_by=printed_by, at=at)[0]
    effective = Version.objects.effective_on(at).filter(record=version.record).first()
    status = version.status_at(at)
    return document_parts.issued_copy(
        version, status, effective, printed_by=printed_by, at=at, purpose="Evidence pack"
    )[0]


def _facts(version: Version, signed: list[tuple[Signature, Verdict]]) -> list[tuple[str, str]]:
    last = version.verifications.order_by("-finished_at").first()
    told = [
        ("State", doubt[0].capitalize() if (doubt := issuing.doubt(version)) else version.get_state_display()),
        ("Top hash", version.top_hash),
        ("Rendition SHA-256", version.rendition_sha256),
        ("Registered", f"{utc(version.created_at, 's')} by {version.author.legal_name}"),
    ]
    told += [
        (
            f"Signed: {signature.get_meaning_display().lower()}",
            f"{signature.printed_name}, {signature.role}, {utc(signature.signed_at, 's')}. {manifestation.validity(verdict)}",
        )
        for signature, verdict in signed
    ] or [("Signed", "by nobody yet")]
    found = (
        f"{last.get_outcome_display()}, {utc(last.finished_at, 's')}, read for {last.by_name}"
        if last
        else "never since"
    )
    return [*told, ("Bytes read again", found)]


def _steps(version: Version, signed: list[tuple[Signature, Verdict]], chosen: Collection[str]) -> list[Step]:
    steps = [
        Step("This pack, and the issued copy inside, are sealed by the portal; no byte of them was changed if this answers"
             " “Signature is Valid” and “Total document signed”:", f"pdfsig -nocert FILE.pdf ; pdfsig -nocert {ISSUED}"),
        Step(f"Without a tool, the page {settings.SITE_URL}/verify/ takes this pack, {ISSUED}, or a statement with its seal,"
             " and says whether it holds and whether a signature was withdrawn since. It asks for no account."),
    ]  # fmt: skip
    if "manifest" in chosen:
        steps.append(Step("The top hash follows from the enclosed manifest:", "python -c \"import quilt3; print(quilt3.Package."
                          "load(open('manifest.jsonl')).top_hash)\""))  # fmt: skip
        file = version.files.first()
        if file:
            steps.append(Step("Each file on S3 has the SHA-256 that the manifest states; the first one, for example:",
                              f"aws s3api get-object --bucket {file.bucket} --key '{file.key}' --version-id '{file.s3_version}'"
                              f" file.bin && sha256sum file.bin"))  # fmt: skip
    steps += [
        Step(f"The signature of {signature.printed_name} ({signature.get_meaning_display().lower()}) answers “Verified OK” to:",
             offline.command(signature))
        for signature, _ in signed
    ]  # fmt: skip
    if signed:
        key = signed[0][0].key
        steps.append(Step(f"The key is the portal's: compare {key.pk} with the id that you got by another way.",
                          f"openssl pkey -pubin -in {offline.file_name(key.pk)} -outform DER | sha256sum"))  # fmt: skip
        steps.append(Step(f"Each statement names this top hash ({version.top_hash[:12]}…), the signer, the meaning and the time;"
                          " open the enclosed statement-….json and read."))  # fmt: skip
    return steps
