from django.urls import path

from records import views

app_name = "records"
urlpatterns = [
    path("documents/<str:number>/edit/", views.edit, name="edit"),
    path("documents/<str:number>/edit/autosave/", views.autosave, name="autosave"),
    path("documents/<str:number>/edit/preview/", views.preview, name="preview"),
    path("documents/<str:number>/edit/images/", views.add_image, name="add_image"),
    path("documents/<str:number>/edit/throw-away/", views.throw_away, name="throw_away"),
    path("documents/<str:number>/check-out/", views.check_out, name="check_out"),
    path("documents/<str:number>/take-over/", views.take_over, name="take_over"),
    path("documents/<str:number>/check-in/", views.check_in, name="check_in"),
    path("documents/<str:number>/images/<str:name>", views.image, name="image"),
    path("documents/<str:number>/v<int:ordinal>/recall/", views.recall, name="recall"),
]
