"""The edge of the portal: each request has an id of its own, and what was refused in it is kept and told."""

import logging
from types import SimpleNamespace as Like

import pytest
from django.http import Http404, HttpResponse
from psycopg.errors import DiskFull

from audit import middleware, trail
from audit.requests import RequestIdFilter, request_id

OUTSIDE = request_id.get()


def test_a_request_has_an_id_of_its_own_while_it_lasts_and_the_answer_names_it():
    seen = []

    def answer(request):
        seen.append((request, request_id.get()))
        return HttpResponse("done")

    edge = middleware.RequestId(answer)
    given = [edge(name)["X-Request-Id"] for name in ("one", "two")]
    assert seen == [("one", given[0]), ("two", given[1])] and len({*given, OUTSIDE}) == 3
    assert all(len(each) == 32 for each in given) and request_id.get() == OUTSIDE
    assert middleware.Refusals(answer)("three").content == b"done" and seen[2][0] == "three"


def test_the_id_is_given_back_when_the_request_fails():
    def fail(request):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        middleware.RequestId(fail)("one")
    assert request_id.get() == OUTSIDE


def test_a_line_of_the_log_names_the_request_and_is_kept():
    line = logging.makeLogRecord({})
    token = request_id.set("abc")
    assert RequestIdFilter().filter(line) is True and line.request_id == "abc"
    request_id.reset(token)


@pytest.fixture
def kept(monkeypatch) -> list:
    told: list = []
    monkeypatch.setattr(trail, "record_refusal", lambda refused, by: told.append((refused, by)))
    monkeypatch.setattr(trail, "access", lambda *what: told.append(what))
    monkeypatch.setattr(middleware, "render", lambda request, page, told, status: (page, told, status))
    return told


@pytest.mark.parametrize("known", [True, False])
def test_what_was_refused_is_kept_with_who_asked_and_told(kept, known):
    user = Like(is_authenticated=known)
    request, by = Like(user=user, path="/records/" + "x" * 200), user if known else trail.NOBODY
    process = middleware.Refusals(lambda request: HttpResponse()).process_exception
    refused = trail.Forbidden("Not you.")
    assert process(request, refused) == ("refused.html", {"message": "Not you.", "status": 403, "recorded": True}, 403)
    assert process(request, Http404()) is None
    cut = request.path[:200]
    assert kept == [(refused, by), (by, "refused", trail.Subject("url", cut, cut))]
    assert process(request, ValueError()) is None and len(kept) == 2


def test_a_full_disk_is_told_and_nothing_is_claimed_to_be_kept(kept):
    full = RuntimeError()
    full.__cause__ = DiskFull()
    process = middleware.Refusals(lambda request: HttpResponse()).process_exception
    told = process(Like(user=Like(is_authenticated=False), path="/"), full)
    assert told == ("refused.html", {"message": middleware.FULL, "status": 503}, 503) and kept == []
