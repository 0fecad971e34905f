"""What the log-in page shows where the demo runs: every account with its role and its live one-time code. Never elsewhere."""

from dataclasses import dataclass

from django.conf import settings
from django.http import Http404

from accounts import codes
from accounts.models import CodeDevice, User
from audit import clock


@dataclass(frozen=True)
class LiveCode:
    """`code` is "" once it was used: then the next one is to be waited for."""

    user: User
    code: str
    device: CodeDevice


def demand() -> None:
    """Raise Http404 unless this is the demo, which cannot run on anything but the embedded servers."""
    if not settings.DEMO:
        raise Http404


def live_codes(user: User | None = None) -> list[LiveCode]:
    """What the phones of all accounts, or of one, show now. Raises Http404 outside of the demo."""
    demand()
    now = clock.now()
    devices = (
        CodeDevice.objects.filter(confirmed_at__isnull=False, withdrawn_at__isnull=True, user__is_active=True)
        .select_related("user")
        .prefetch_related("user__groups")
        .order_by("user__legal_name")
    )
    if user is not None:
        devices = devices.filter(user=user)
    return [
        LiveCode(device.user, "" if device.last_step >= codes.step_at(now) else codes.code_at(device, now), device)
        for device in devices
    ]
