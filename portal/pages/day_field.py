from datetime import date
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator


class DayField(forms.DateField):
    """A day that a log can speak of, in the browser's own picker; one beyond is told, and cannot break arithmetic."""

    def __init__(self, **more: Any) -> None:
        wrong = "This is no day that a log could tell of."
        limits = [MinValueValidator(date(2000, 1, 1), wrong), MaxValueValidator(date(2199, 12, 31), wrong)]
        widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        super().__init__(required=False, widget=widget, validators=limits, **more)
