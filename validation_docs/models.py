"""VP, URS, FS, DS, RA, IQ, OQ, PQ and VSR of a computerised system."""

from django.db import models

from records.models import Record


class ValidationDocument(models.Model):
    record = models.OneToOneField(Record, models.PROTECT, primary_key=True, related_name="validation_document")
    system = models.TextField(help_text="name of the computerised system that the document is about")

    def __str__(self) -> str:
        return str(self.record)
