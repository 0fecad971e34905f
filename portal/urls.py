from django.urls import URLPattern, URLResolver, include, path

from portal.pages import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("", include("accounts.urls")),
    path("", include("records.urls")),
    path("", include("signatures.urls")),
    path("", include("sops.urls")),
    path("", include("portal.pages.urls")),
    path("records/", include("portal.pages.records")),
    path("definitions/", include("portal.pages.definitions")),
    path("jobs/", include("portal.pages.jobs")),
    path("storage/", include("storage.urls")),
    path("trails/", include("cloudtrail.urls")),
]
