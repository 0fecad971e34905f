from django.urls import path, re_path

from signatures import views

app_name = "signatures"
urlpatterns = [
    path("sign/pages/<uuid:version>/<int:number>.png", views.page, name="page"),
    path("sign/step-up/<uuid:pk>/", views.step_up, name="step_up"),
    path("signatures/<uuid:pk>/", views.signature, name="signature"),
    path("signatures/<uuid:pk>/statement.json", views.statement, name="statement"),
    path("signatures/<uuid:pk>/signature.der", views.seal, name="seal"),
    re_path(r"^keys/(?P<pk>[0-9a-f]{64})\.pem$", views.public_key, name="key"),
]
