"""What stands in the way of the signatures just asked for, said to whoever asked: else it is found out when their turn comes."""

from django.contrib import messages

from accounts.http import PersonRequest
from audit import clock
from records.models import Version
from signatures import readiness


def tell(request: PersonRequest, version: Version) -> None:
    for obstacle in readiness.obstacles(version, clock.now()):
        messages.warning(request, obstacle)
