from django.apps import AppConfig


class PrintingConfig(AppConfig):
    name = "printing"
    label = "printing"
    verbose_name = "Printing"
