"""`manage.py register_version TYPE NUMBER`: the gate of the browser, for operators and scripts."""

import os
import pwd
import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Area, User, folded
from audit import clock, reasons, trail
from audit.actions import Action
from records import manifest, numbers, registration
from records.kinds import Kind
from records.models import Record, RecordType, Version
from signatures import routes
from storage import s3


class Command(BaseCommand):
    help = "Register what lies under an S3 prefix, or what a Quilt manifest names, as the next version of a record."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("type", help="code of the record type, such as NGS")
        parser.add_argument("number", help="of the record; a new one is made where there is none")
        source = parser.add_mutually_exclusive_group(required=True)
        source.add_argument("--from", dest="prefix", metavar="s3://BUCKET/PREFIX/", help="register the newest versions")
        source.add_argument("--manifest", type=Path, metavar="FILE", help="a Quilt v0 manifest, with its own metadata")
        parser.add_argument("--metadata", type=Path, metavar="FILE", help="a JSON object; needed with --from")
        parser.add_argument("--message", default="", help="why this version, for the change history")
        parser.add_argument("--again", default="", metavar="REASON", help="why object versions that belong to a version already "
                            "are registered again")  # fmt: skip
        parser.add_argument("--by", default="", metavar="USERNAME", help="who registers it; else $COUNTERSIGN_BY, "
                            "else the portal's user of your login name")  # fmt: skip
        parser.add_argument("--title", default="", help="of a new record")
        parser.add_argument("--area", default="", help="of a new record; else the only one of whoever registers")

    def handle(self, *, type: str, number: str, by: str, message: str, **options: Any) -> None:
        user = _person(by)
        record_type = RecordType.objects.filter(pk=type.upper(), kind=Kind.DATA).first()
        if record_type is None:
            raise CommandError(f"There is no type of data record {type}.")
        try:
            with trail.refusals(user), s3.asking_for(user.username, user.username):
                version = _register(record_type, number.upper(), user, message, options)
        except registration.ContractFailed as refused:
            reasons = "\n".join(f"  {failure.sentence}" for failure in refused.failures)
            raise CommandError(f"{number.upper()} was not registered:\n{reasons}") from refused
        except (trail.Refused, s3.StorageError, manifest.ManifestError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{version.record.number} version {version.ordinal} registered, top hash {version.top_hash}")


def _register(record_type: RecordType, number: str, user: User, message: str, options: dict[str, Any]) -> Version:
    package, entries, metadata = _source(user, options)
    record = Record.objects.visible_to(user).filter(number=number).select_related("type", "area").first()
    if record is None:
        record = _new(record_type, number, user, options, (entries, metadata))
    elif record.type_id != record_type.pk:
        raise trail.Refused(
            f"{number} is a {record.type.name}, not a {record_type.name}.",
            action=Action.VERSION_REFUSED, subject=record, by=user,
        )  # fmt: skip
    if (held := registration.belongs_to(entries, record, by=user)) and reasons.fault(options["again"]):
        raise trail.Refused(
            f"{' '.join(held)} Say with --again REASON why they are registered again.",
            action=Action.VERSION_REFUSED, subject=record, by=user,
        )  # fmt: skip
    message = registration.with_reason(
        message or (package.message if package else ""), options["again"] if held else ""
    )
    return registration.register(
        record, entries, metadata, by=user, message=message, package=package,
        then=lambda version, definition: routes.of_definition(version, definition, by=user),
    )  # fmt: skip


def _source(
    user: User, options: dict[str, Any]
) -> tuple[manifest.Manifest | None, list[manifest.Entry], dict[str, Any]]:
    """The Quilt manifest or None, the entries, and the metadata."""
    if options["manifest"]:
        package = manifest.parse(_read(options["manifest"]))
        return package, list(package.entries), package.user_meta
    found = re.fullmatch(r"s3://([^/]+)/(.*)", options["prefix"])
    if found is None:
        raise CommandError(f"--from takes s3://bucket/prefix/, not {options['prefix']}.")
    if options["metadata"] is None:
        raise CommandError("--from needs --metadata FILE.")
    try:
        metadata = manifest.read_json(_read(options["metadata"]))
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{options['metadata']} is not JSON: {error}.") from error
    if not isinstance(metadata, dict):
        raise CommandError(f"{options['metadata']} must hold a JSON object.")
    bucket, prefix = found.groups()
    return None, registration.look(bucket, prefix, by=user).entries, metadata


def _new(
    record_type: RecordType, number: str, user: User, options: dict[str, Any], package: tuple[list[Any], dict[str, Any]]
) -> Record:
    """A record for the first version, made once the package passes the contract: a refusal leaves nothing behind."""
    areas = Area.objects.filter(members=user)
    area = areas.filter(name=options["area"]).first() if options["area"] else areas.first() if len(areas) == 1 else None
    if area is None:
        raise CommandError(f"Say with --area to which area {number} belongs: {', '.join(a.name for a in areas)}.")
    if not options["title"].strip():
        raise CommandError(f"There is no record {number} that you may see. Say with --title what it is, to make one.")
    draft = Record(type=record_type, number=number, title=options["title"], area=area, created_by=user)
    if broken := registration.failures(record_type, *package, by=user, when=clock.now()):
        raise registration.ContractFailed(broken, draft, user)
    return numbers.create(record_type, title=options["title"], area=area, by=user, number=number)


def _person(username: str) -> User:
    """Whoever registers: named, or the portal's user of the same name as the login. A version has an author, never nobody."""
    name = username or os.environ.get("COUNTERSIGN_BY") or pwd.getpwuid(os.getuid()).pw_name
    user = User.objects.filter(username_folded=folded(name)).first()
    if user is None or not user.usable_at(clock.now()):
        raise CommandError(f"Say with --by USERNAME who registers it; {name} is no active user of the portal.")
    return user


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
