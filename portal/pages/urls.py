from django.urls import path

from portal.pages import (
    audit,
    checkpoints,
    desk,
    documents,
    inspection,
    letter,
    prepared,
    record_audit,
    search,
    sign,
    signed_acts,
    verify,
)

app_name = "portal"
urlpatterns = [
    path("", desk.page, name="desk"),
    path("sign/<uuid:pk>/", sign.page, name="sign"),
    path("sign/<uuid:pk>/open/", sign.open_dialog, name="open_dialog"),
    *record_audit.URLS,
    *documents.URLS,
    *audit.URLS,
    *checkpoints.URLS,
    *prepared.URLS,
    *search.URLS,
    *inspection.URLS,
    *verify.URLS,
    *signed_acts.URLS,
    *letter.URLS,
]
