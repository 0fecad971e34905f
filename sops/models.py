"""Standard operating procedures, and who must read them."""

from django.db import models

from records.models import Record


class Sop(models.Model):
    class Gate(models.TextChoices):
        NONE = "", "Nothing waits for it"
        SIGNING = "signing", "Nobody signs while their reading of it is overdue"

    record = models.OneToOneField(Record, models.PROTECT, primary_key=True, related_name="sop")
    gate = models.TextField(choices=Gate, default=Gate.NONE, blank=True)
    reading_roles = models.JSONField(default=list, help_text="roles whose holders must read each version")
    reading_days = models.IntegerField(default=14, help_text="days from approval until the reading is due")

    def __str__(self) -> str:
        return str(self.record)
