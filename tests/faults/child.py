"""A process that does one act and stands still at one place of it, for whoever kills it there.

`python -m tests.faults.child PLACE sign VERSION USERNAME`, `... PLACE job JOB` or `... PLACE pull TRAIL`. PLACE is `module:function:before` or
`:after`; it prints `here` when it gets there, and `done` if it was let go on.
"""

import importlib
import os
import sys
import time
from typing import Any

import django

STANDS_STILL = 120  # seconds; the parent kills it long before


def stand_still_at(place: str) -> None:
    """Whoever calls the function by that module's name stops before it, or when it is done."""
    module_name, name, when = place.split(":")
    module = importlib.import_module(module_name)
    original = getattr(module, name)

    def gate(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs) if when == "after" else None
        os.write(1, b"here\n")  # at once: several threads may get here
        time.sleep(STANDS_STILL)
        return made if when == "after" else original(*args, **kwargs)

    setattr(module, name, gate)


def sign(version: str, username: str) -> None:
    from accounts.models import User
    from records.models import Version
    from tests import acts

    acts.sign(User.objects.get(username=username), Version.objects.get(pk=version))


def job(pk: str) -> None:
    from jobs import queue

    queue.run(pk)


def pull(pk: str) -> None:
    from cloudtrail import transitions
    from cloudtrail.models import Trail

    transitions.pull(Trail.objects.get(pk=pk))


if __name__ == "__main__":
    from tests import conftest  # noqa: F401 the tests' servers and their cheap passwords

    django.setup()
    place, act, *arguments = sys.argv[1:]
    stand_still_at(place)
    {"sign": sign, "job": job, "pull": pull}[act](*arguments)
    print("done", flush=True)
