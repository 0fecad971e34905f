"""The portal's pages with the trails among them."""

from django.urls import include, path

urlpatterns = [path("trails/", include("cloudtrail.urls")), path("", include("portal.urls"))]
