#!/usr/bin/env python
"""Django's command line. Without DATABASE_URL it works on the embedded servers, where there are any."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from portal import embedded

    embedded.ensure(sys.argv[1:])
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as wrong:  # a setting that is missing or unsafe: its sentence is all that helps
        sys.exit(str(wrong))


if __name__ == "__main__":
    main()
