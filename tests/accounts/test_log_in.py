"""Log-in: password and one-time code together, the same words for everybody, a sitting from its start to its end."""

import pytest
from django.test import Client

from tests.cast import PASSWORD


@pytest.fixture
def visitor() -> Client:
    return Client(raise_request_exception=False)


def attempt(visitor, username, password=PASSWORD, code="000000", **more):
    return visitor.post("/login/", {"username": username, "password": password, "code": code, **more})


def test_password_and_code_start_a_sitting(people, visitor):
    answer = attempt(visitor, "Author", code=people.code(people.author), next="/login/?x=1")
    assert (answer.status_code, answer.url) == (302, "/login/?x=1")
    assert people.author.sittings.get().ended_at is None
