from django.urls import path

from portal.pages import (
    audit,
    checkpoints,
    desk,
    documents,
    inspection,
    letter,
    prepared,
    reassign,
    record_audit,
    reviews,
    routes,
    search,
    security,
    sign,
    sign_list,
    signed_acts,
    verify,
)

app_name = "portal"
urlpatterns = [
    path("", desk.page, name="desk"),
    path("sign/list/", sign_list.page, name="sign_list"),
    path("sign/list/open/", sign_list.open_dialog, name="open_list"),
    path("sign/<uuid:pk>/", sign.page, name="sign"),
    path("sign/<uuid:pk>/reassign/", reassign.page, name="reassign"),
    path("sign/<uuid:pk>/open/", sign.open_dialog, name="open_dialog"),
    *routes.URLS,
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
    *security.URLS,
    *reviews.URLS,
]
