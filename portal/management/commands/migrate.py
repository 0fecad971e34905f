"""`migrate`, as the role that owns the tables; then the application's rights, from what the triggers say."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.core.management.commands import migrate
from django.db import connections

from audit import rights


class Command(migrate.Command):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database="owner")

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        rights.grant(connections[options["database"]], settings.DATABASES["default"]["USER"], settings.DATABASE_READER)
