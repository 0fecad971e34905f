"""The founding ceremony: two administrators who prove each other's identity. It happens once."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import links, transitions
from accounts.transitions import Founder
from audit import trail

ASKED = {
    "username": "user name (a to z, digits, dot, hyphen, underscore)",
    "legal-name": "legal name, as it is printed with a signature",
    "email": "e-mail address, of nobody else",
    "evidence": "what the other one saw to know who it is (kind of document, last four digits)",
}
NUMBERS = ("first", "second")


class Command(BaseCommand):
    help = (
        "Start the founding ceremony: two administrators, each of whom proves the other's identity. "
        "What no option says is asked for. Prints two enrolment links. Happens once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        for number in NUMBERS:
            for name, words in ASKED.items():
                parser.add_argument(f"--{number}-{name}", help=f"the {number} administrator's {words}")
        parser.add_argument(
            "--links", action="store_true", help="only print new links for founders who have not enrolled; old ones end"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with trail.refusals(trail.SYSTEM):
                made = transitions.founding_links() if options["links"] else transitions.found(*self._founders(options))
        except trail.Refused as refused:
            raise CommandError(refused.message) from None
        for user, token in made:
            self.stdout.write(f"{user.legal_name} ({user.username}): {links.url(token, links.Purpose.ENROL)}")
        self.stdout.write("Each link works once, for seven days. Hand each to its own person, and to nobody else.")

    def _founders(self, options: dict[str, Any]) -> tuple[Founder, Founder]:
        first, second = (
            Founder(**{name.replace("-", "_"): self._value(options, number, name) for name in ASKED})
            for number in NUMBERS
        )
        return first, second

    def _value(self, options: dict[str, Any], number: str, name: str) -> str:
        given = options[f"{number}_{name.replace('-', '_')}"]
        if given:
            return str(given)
        if not sys.stdin.isatty():
            raise CommandError(f"--{number}-{name} is missing: the {number} administrator's {ASKED[name]}.")
        return input(f"The {number} administrator's {ASKED[name]}: ")
