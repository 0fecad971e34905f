from django.urls import path

from cloudtrail import identities, views

app_name = "cloudtrail"
urlpatterns = [
    path("", views.trails, name="trails"),
    path("new/", views.add, name="add"),
    path("actors/", identities.actors, name="actors"),
    path("actors/<int:actor_id>/", identities.actor_page, name="actor"),
    path("directory/", identities.directory, name="directory"),
    path("directory/<uuid:entry_id>/", identities.entry_page, name="directory-entry"),
    path("<uuid:trail_id>/", views.trail_page, name="trail"),
    path("<uuid:trail_id>/edit/", views.edit, name="edit"),
    path("<uuid:trail_id>/proof/", views.proof_page, name="proof"),
    path("<uuid:trail_id>/pull/", views.pull, name="pull"),
    path("<uuid:trail_id>/progress/", views.progress, name="progress"),
    path("files/<int:file_id>/", views.file_page, name="file"),
    path("files/<int:file_id>/again/", views.again, name="again"),
    path("files/<int:file_id>/<int:ordinal>/", views.event_page, name="event"),
]
