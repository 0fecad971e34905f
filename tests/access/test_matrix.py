"""URL by role: what each person gets, held against `matrix.txt`. What is the laboratory's does not exist for others."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.urls import Resolver404, resolve

from accounts.models import Policy
from audit.models import Access, Entry
from tests import conftest
from tests.access import matrix
from tests.access.matrix import ROLES, Line
from tests.browser.site import on
from tests.conftest import clone, superuser
from tests.firm import Firm
from tests.furnished import places

EMPTY_FORM = {"csrfmiddlewaretoken": "a"}
LINES = matrix.lines()
ROUTES = [route for route, _ in matrix.patterns()]
# Whatever of the laboratory could show on a page of somebody who belongs elsewhere.
TITLES = r"Lung panel|Electronic signatures|S3 records system"
OF_THE_LABORATORY = re.compile(rf"(?:KRAS|URS|VP|FS|SOP|DEF)-0\d\d|{TITLES}")
NUMBERS_SHOWN = {
    "/search/": "an example says what a number looks like",
    "/search/?q=KRAS": "the words that were asked for, and that example",
    "/audit/access/": "a refused read names the address that was asked for",
    "/audit/access/export/": "the same",
    "/account/": "the e-signature SOP in effect is the whole firm's",
    "/people/{person}/": "the same",
    "/audit/export/": "an entry about a record type says which definition it got",
}


class House:
    """The furnished firm, and a browser for each role."""

    def __init__(self, known: dict[str, str] | None = None) -> None:
        """`known`: the places of another clone of the same template, which are the same."""
        self.database = connection.settings_dict["NAME"]
        self.firm = Firm()
        self.places = known or places()
        self.browsers: dict[str, Client] = {}

    def browser(self, role: str) -> Client:
        if role not in self.browsers:
            person = getattr(self.firm, role, None)
            self.browsers[role] = self.firm.client(person) if person else Client(raise_request_exception=False)
        return self.browsers[role]

    def ask(self, line: Line, role: str):
        """A form is sent with nothing but the token that every form has."""
        path = line.at(self.places)
        return self.browser(role).get(path) if line.method == "GET" else self.browser(role).post(path, EMPTY_FORM)


@pytest.fixture(scope="module")
def shared(template_furnished, django_db_blocker):
    """One database, and its house, for everything that changes nothing."""
    name = clone(template_furnished)
    with django_db_blocker.unblock(), on(name):
        made = House()
    yield name, made
    with superuser() as cursor:
        cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def house(shared, django_db_blocker):
    name, made = shared
    with django_db_blocker.unblock(), on(name):
        yield made


def route_of(line: Line) -> str:
    """The route that the line's path leads to, as `patterns()` writes it."""
    sample = re.sub(r"\{(?:file|broken|entry|actor)\}", "1", line.path)
    sample = re.sub(r"\{key\}", "0" * 64, sample)
    sample = re.sub(r"\{(\w+)\}", lambda found: "t" if found[1] in {"enrol", "reset", "image"} else SOME_KEY, sample)
    return f"/{resolve(sample.split('?')[0]).route}"


SOME_KEY = "7f8a2a3e-6b0c-4d57-9a53-0d8d8a6a6c11"


def expected(line: Line) -> dict[str, int]:
    return dict(zip(ROLES, line.expected, strict=True))


@pytest.mark.compliance("11.10(d)")
@pytest.mark.parametrize("line", [line for line in LINES if line.method == "GET"], ids=str)
def test_what_each_role_gets(house, line):
    answers = {role: house.ask(line, role) for role in ROLES}
    assert {role: answer.status_code for role, answer in answers.items()} == expected(line)
    for role, answer in answers.items():
        if answer.status_code in {403, 404} and role != "anonymous":
            assert told(house, role, answer), f"{line} refused to {role} is in no log"
    if answers["outsider"].status_code == 200:
        telling = re.compile(TITLES) if line.path in NUMBERS_SHOWN else OF_THE_LABORATORY
        said = text(answers["outsider"])
        for label in Policy.objects.values_list("label", flat=True):
            said = said.replace(label, "")  # everybody who may sign is told which e-signature SOP is in effect
        shown = telling.search(said)
        assert not shown, f"{line} shows {shown and shown.group()} to somebody of another area"


def text(answer) -> str:
    return b"".join(answer).decode(errors="replace")


def told(house: House, role: str, answer) -> bool:
    """Is this refused read in the reading log, or (for an act that the role does not include) on the trail?"""
    same = {"request_id": answer["X-Request-Id"], "actor": str(getattr(house.firm, role).pk)}
    return Access.objects.filter(what="refused", **same).exists() or Entry.objects.filter(**same).exists()


class Untouched:
    """A firm that nobody has changed: made anew as soon as somebody did, which leaves a row change, a job or a sitting."""

    def __init__(self, template: str, known: dict[str, str]) -> None:
        self.template, self.known = template, known
        self.house: House | None = None
        self.before: tuple[int, ...] = ()

    def ask(self, line: Line, role: str):
        if self.house is None:
            conftest.point_at(clone(self.template))
            self.house = House(self.known)
        conftest.point_at(self.house.database)
        self.house.browser(role)
        before = self._changes()
        answer = self.house.ask(line, role)
        if self._changes() != before:
            self.drop()
        return answer

    def drop(self) -> None:
        if self.house is not None:
            conftest.point_at("postgres")
            with superuser() as cursor:
                cursor.execute(f'DROP DATABASE "{self.house.database}" WITH (FORCE)')
            self.house = None

    @staticmethod
    def _changes() -> tuple[int, ...]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT (SELECT max(id) FROM audit_rowchange), (SELECT count(*) FROM jobs_job),"
                " (SELECT count(*) FROM accounts_sitting WHERE ended_at IS NULL)"
            )
            return cursor.fetchone()


@pytest.fixture(scope="module")
def untouched(template_furnished, shared, django_db_blocker):
    firm = Untouched(template_furnished, shared[1].places)
    yield firm
    with django_db_blocker.unblock():
        firm.drop()


@pytest.mark.compliance("11.10(d)", "11.10(g)")
@pytest.mark.parametrize("line", [line for line in LINES if line.method == "POST"], ids=str)
def test_what_each_role_may_do(house, untouched, line):
    """An empty form from each role. Who is let through finds the firm untouched: what one did must not answer for the next."""
    got: dict[str, int] = {}
    for role in ROLES:
        if line.of(role) >= 400 or role == "anonymous":
            got[role] = house.ask(line, role).status_code
        else:
            got[role] = untouched.ask(line, role).status_code
            conftest.point_at(house.database)
    assert got == expected(line)


@pytest.mark.compliance("11.10(d)")
@pytest.mark.parametrize("route", dict.fromkeys(ROUTES))
def test_every_url_is_in_the_matrix_and_answers_no_other_method(house, route):
    methods = {line.method: line for line in LINES if route_of(line) == route}
    assert methods, f"{route} is missing in tests/access/{matrix.FILE.name}: say what each role gets"
    for method in {"GET", "POST"} - set(methods):
        line = Line(0, method, next(iter(methods.values())).path, ())
        assert house.ask(line, "approver").status_code == 405, f"{route} answers {method}: say so in the matrix"


def test_no_url_is_there_twice():
    """Of two equal routes the second is never reached."""
    assert sorted({route for route in ROUTES if ROUTES.count(route) > 1}) == []


@pytest.mark.parametrize("line", LINES, ids=str)
def test_every_line_speaks_of_a_url_that_is_there(line):
    try:
        assert route_of(line) in ROUTES
    except Resolver404:
        pytest.fail(f"{matrix.FILE.name}:{line.number}: no such URL: {line.path}")


@pytest.mark.compliance("11.10(d)")
def test_nobody_without_a_log_in_gets_what_is_not_open_to_all():
    open_to_all = {line.path for line in LINES if line.of("anonymous") not in {302, 405}}
    assert open_to_all == {
        "/healthz",
        "/login/",
        "/verify/",
        "/login/codes/",
        "/enrol/{enrol}/",
        "/password/forgotten/",
        "/password/{reset}/",
        "/keys/{key}.pem",
        "/lost/",
        "/lost/{lost}/",
        "/passkeys/challenge/",
        "/login/sso/",
        "/login/sso/ask/",
        "/sso/return/",
        "/enrol/{enrol}/sso/",
    }


@pytest.mark.parametrize(
    "text", ["GET /records/ 200", "PUT /a/ " + "200 " * 9, "GET a/ " + "200 " * 9, "GET /a/ " + "yes " * 9]
)
def test_a_line_that_cannot_be_read_is_told(text):
    with pytest.raises(ValueError):
        list(matrix.read(text))


def test_comments_and_empty_lines_are_passed_over():
    (line,) = matrix.read(f"# roles\n\nGET /a/{{step}}/ {'200 ' * 8}404  # why\n")
    assert (line.number, str(line), line.of("outsider")) == (3, "GET /a/{step}/", 404)
    assert line.at({"step": "7"}) == "/a/7/"
