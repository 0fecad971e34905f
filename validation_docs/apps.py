from django.apps import AppConfig


class ValidationDocsConfig(AppConfig):
    name = "validation_docs"
    verbose_name = "Validation documents"
