"""One-time codes: the current step only (ASVS 6.5.5), each used once (ASVS 6.5.1), on the one clock."""

import base64
import secrets
import uuid
from datetime import datetime, timedelta
from urllib.parse import quote

from django.db import transaction
from django.db.models import QuerySet
from django_otp.oath import TOTP

from accounts import seeds
from accounts.models import CodeDevice, User
from audit import clock

STEP_SECONDS = 30
DIGITS = 6
SEED_BYTES = 20


class CodeReused(Exception):
    """The code was used before. `until` is when the next one comes."""

    def __init__(self, now: datetime) -> None:
        wait = seconds_left(now)
        super().__init__(f"This code was used already. Wait for the next one, in {wait} s.")
        self.until = now.replace(microsecond=0) + timedelta(seconds=wait)


def step_at(when: datetime) -> int:
    return int(when.timestamp()) // STEP_SECONDS


def seconds_left(when: datetime) -> int:
    return STEP_SECONDS - int(when.timestamp()) % STEP_SECONDS


def code_at(device: CodeDevice, when: datetime) -> str:
    totp = TOTP(seeds.decrypt(device.seed, device.pk), step=STEP_SECONDS, digits=DIGITS)
    totp.time = when.timestamp()
    return f"{totp.token():0{DIGITS}d}"


def new_device(user: User) -> CodeDevice:
    """An unproved device with a fresh seed; it counts once `prove()` has seen a code of it."""
    device = CodeDevice(pk=uuid.uuid4(), user=user)
    device.seed = seeds.encrypt(secrets.token_bytes(SEED_BYTES), device.pk)
    return device


def prove(device: CodeDevice, code: str) -> bool:
    """True if `code` is what an unproved device shows now: it is confirmed then, and the code counts as used. Saves nothing."""
    now = clock.now()
    if not _fits(device, code, now):
        return False
    device.confirmed_at, device.last_step = now, step_at(now)
    return True


def secret(device: CodeDevice) -> str:
    """The seed as people type it into an authenticator: base 32."""
    return base64.b32encode(seeds.decrypt(device.seed, device.pk)).decode().rstrip("=")


def otpauth_url(device: CodeDevice) -> str:
    """What the QR code holds (the Key URI format of authenticator apps)."""
    return (
        f"otpauth://totp/Countersign:{quote(device.user.username)}?secret={secret(device)}&issuer=Countersign"
        f"&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}"
    )


def device_in_use(user: User) -> CodeDevice | None:
    return _in_use(user).first()


def _in_use(user: User) -> QuerySet[CodeDevice]:
    return CodeDevice.objects.filter(user=user, confirmed_at__isnull=False, withdrawn_at__isnull=True)


def spend(user: User, code: str) -> bool:
    """True once for the current code of the person's device: it is spent and committed before this returns, whatever comes after.

    Must not be called inside a transaction that could roll back. Raises CodeReused for a right code that was used before.
    """
    with transaction.atomic(durable=True):
        held = _in_use(user).select_for_update(no_key=True).first()
        now = clock.now()
        if held is None or not _fits(held, code, now):
            return False
        if held.last_step >= step_at(now):
            raise CodeReused(now)
        held.last_step = step_at(now)
        held.save(update_fields=["last_step"])
        return True


def _fits(device: CodeDevice, code: str, when: datetime) -> bool:
    return secrets.compare_digest(code_at(device, when).encode(), code.replace(" ", "").encode())
