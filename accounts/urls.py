from django.urls import path

from accounts import views

app_name = "accounts"
urlpatterns = [
    path("login/", views.log_in, name="login"),
    path("login/codes/", views.live_codes, name="live_codes"),
    path("logout/", views.log_out, name="logout"),
]
