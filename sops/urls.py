from django.urls import path

from sops import views

app_name = "sops"
urlpatterns = [
    path("training/", views.training, name="training"),
    path("training/people/", views.people, name="people"),
    path("training/read/<uuid:pk>/", views.read, name="read"),
    path("training/read/<uuid:pk>/open/", views.open_dialog, name="open_reading"),
    path("training/<str:number>/", views.matrix, name="matrix"),
    path("training/<str:number>/ask/", views.ask, name="ask"),
    path("training/<str:number>/rule/", views.rule, name="rule"),
]
