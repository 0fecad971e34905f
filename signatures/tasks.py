"""What workers do for signatures; importing this makes the handlers known."""

from signatures import mail

__all__ = ["mail"]
