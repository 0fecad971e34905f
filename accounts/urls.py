from django.urls import path

from accounts import administration, arrivals, views

app_name = "accounts"
urlpatterns = [
    path("login/", views.log_in, name="login"),
    path("login/codes/", views.live_codes, name="live_codes"),
    path("logout/", views.log_out, name="logout"),
    path("enrol/<token>/", views.enrol, name="enrol"),
    path("password/forgotten/", views.password_forgotten, name="password_forgotten"),
    path("password/<token>/", views.password_reset, name="password_reset"),
    path("account/", views.account, name="account"),
    path("account/code/", views.my_live_code, name="my_live_code"),
    path("account/password/", views.change_password, name="change_password"),
    path("account/device/", views.replace_device, name="replace_device"),
    path("account/device/test/", views.try_device, name="test_device"),
    path("account/accountability/", views.accountability_page, name="accountability"),
    path("account/lost/", views.lost, name="lost"),
    path("lost/", views.lost_ask, name="lost_ask"),
    path("lost/<token>/", views.lost_link, name="lost_link"),
    path("account/passkeys/new/", views.new_passkey, name="new_passkey"),
    path("account/passkeys/<uuid:pk>/withdraw/", views.withdraw_passkey, name="withdraw_passkey"),
    path("login/sso/", arrivals.log_in, name="sso_login"),
    path("login/sso/ask/", arrivals.ask_log_in, name="sso_ask_login"),
    path("sso/return/", arrivals.returned, name="sso_return"),
    path("enrol/<token>/sso/", arrivals.ask_enrol, name="sso_ask_enrol"),
    path("account/sso/", arrivals.link, name="sso_link"),
    path("passkeys/challenge/", views.passkey_challenge, name="passkey_challenge"),
    path("account/sittings/end/", views.end_other_sittings, name="end_other_sittings"),
    path("people/", administration.people, name="people"),
    path("people/invite/", administration.invite, name="invite"),
    path("people/areas/", administration.areas, name="areas"),
    path("people/areas/<uuid:pk>/", administration.area, name="area"),
    path("people/<uuid:pk>/", administration.person, name="person"),
    path("people/<uuid:pk>/trail/", administration.person_trail, name="person_trail"),
    path("people/<uuid:pk>/<slug:act>/", administration.person_act, name="person_act"),
]
