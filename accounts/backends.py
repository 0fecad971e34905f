"""Django asks a backend for the person of a session. Who may log in is decided in `accounts.identity`, not here."""

from typing import Any

from django.http import HttpRequest

from accounts.models import User
from audit import clock


class PasswordBackend:
    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        """Nobody is let in by a password alone; log-in asks `identity.log_in()`."""
        return None

    def get_user(self, user_id: Any) -> User | None:
        user = User.objects.filter(pk=user_id).first()
        return user if user and user.usable_at(clock.now()) else None
