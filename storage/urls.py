from django.urls import path

from storage import views

app_name = "storage"
urlpatterns = [
    path("", views.listing, name="list"),
    path("new/", views.new, name="new"),
    path("<str:name>/", views.bucket, name="bucket"),
]
