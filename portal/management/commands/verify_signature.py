"""`manage.py verify_signature ID|FILE`: a signature by its id, a sealed PDF, or a statement with its seal, against the record."""

import json
import uuid
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from signatures import artefacts
from signatures.artefacts import Judgement, Signed
from signatures.models import Signature

SAID = ("signature", "record", "version", "printed_name", "meaning", "signed_at")


class Command(BaseCommand):
    help = "Verify a signature, a sealed PDF or a statement: exit 0 if it is valid, 1 saying why it is not, or not any more."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", help="id of a signature, or a file: a sealed PDF or a statement")
        parser.add_argument("--seal", type=Path, metavar="FILE", help="the seal of the statement")
        parser.add_argument("--json", action="store_true", help="one object on standard output")

    def handle(self, *, what: str, seal: Path | None, json: bool, **options: Any) -> None:
        found = _judge(what, seal)
        self.stdout.write(_as_json(found) if json else _as_text(found))
        if not found.holds:
            raise SystemExit(1)


def _judge(what: str, seal: Path | None) -> Judgement:
    path = Path(what)
    if path.is_file():
        return artefacts.judge(path.read_bytes(), seal.read_bytes() if seal else None)
    try:
        row = Signature.objects.filter(pk=uuid.UUID(what)).first()
    except ValueError:
        row = None
    if row is None:
        raise CommandError(f"There is neither a file nor a signature {what}.")
    return artefacts.judge(bytes(row.statement), bytes(row.seal))


def _as_json(found: Judgement) -> str:
    seal = found.seal
    told = {
        "kind": found.kind,
        "standing": found.standing.value,
        "says": found.sentence,
        "sha256": found.sha256,
        "sealed_at": seal.sealed_at.isoformat() if seal and seal.sealed_at else None,
        "stamped_at": seal.stamped_at.isoformat() if seal and seal.stamped_at else None,
        "certificate": seal.certificate.pk if seal and seal.certificate else None,
        "signatures": [
            {
                **{name: one.says.get(name) for name in SAID},
                "standing": one.standing.value,
                "says": one.sentence,
                "problems": _problems(one),
            }
            for one in found.signed
        ],
    }  # fmt: skip
    return json.dumps(told, indent=2)


def _as_text(found: Judgement) -> str:
    lines = [f"{found.standing.value}: {found.sentence}"]
    for one in found.signed:
        says = one.says
        lines.append(
            f"  {says.get('printed_name')}, {one.meaning.lower()} of {says.get('record')} version {says.get('version')},"
            f" {says.get('signed_at')}: {one.standing.value}. {one.sentence}"
        )
        lines += [f"    {problem}" for problem in _problems(one)]
    return "\n".join(lines)


def _problems(one: Signed) -> list[str]:
    return one.verdict.problems if one.verdict else []
