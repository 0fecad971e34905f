"""What `manage.py bench` prints: a figure and what it is held against."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext


@dataclass(frozen=True)
class Figure:
    """`against` says what the value is held against, with that one's own value in the same run."""

    name: str
    value: float
    unit: str
    against: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def seconds(act: Callable[[], object], rounds: int = 5) -> float:
    """The median time of `act`, after one round that is not counted."""
    return statistics.median(samples(act, rounds))


def samples(act: Callable[[], object], rounds: int) -> list[float]:
    act()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return taken


def p95(taken: list[float]) -> float:
    return sorted(taken)[max(0, round(len(taken) * 0.95) - 1)]


def queries(act: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        act()
    return len(captured)


def ratio(name: str, ours: float, limit: float, unit: str, against: str) -> Figure:
    """Ours as a multiple of the limit's figure."""
    return Figure(name, round(ours / limit, 3), unit, against)
