from django.urls import path

from portal.pages import desk, documents, sign

app_name = "portal"
urlpatterns = [
    path("", desk.page, name="desk"),
    path("sign/<uuid:pk>/", sign.page, name="sign"),
    path("sign/<uuid:pk>/open/", sign.open_dialog, name="open_dialog"),
    *documents.URLS,
]
