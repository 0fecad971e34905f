from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "portal"

    def ready(self) -> None:
        # What workers can do is marked where it is imported.
        from portal import alarm_mail, anchoring, chain_walk, evidence, handlers, posture, reports, signed_mail  # noqa: F401
