import pytest
from django.test import Client


@pytest.fixture
def visitor() -> Client:
    """A browser in which nobody is logged in."""
    return Client(raise_request_exception=False)
