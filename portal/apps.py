from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "portal"

    def ready(self) -> None:
        from portal import alarm_mail, anchoring, chain_walk, evidence, handlers, reports  # noqa: F401 mark what workers can do
