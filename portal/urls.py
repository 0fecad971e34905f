from django.urls import URLPattern, URLResolver, include, path

from portal.pages import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("", include("accounts.urls")),
]
