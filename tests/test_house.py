"""Rules of the house that no tool knows: each is a small function over text or rows, tried on good and bad examples."""

import ast
import io
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, models
from django.urls import URLPattern, get_resolver

from tests.test_floors import FLOORS, ROOT, modules

PRODUCT = [app for app in FLOORS if app not in {"demo", "standin"}]
ADMIT_ANYTHING = {"utils", "util", "helpers", "services", "service", "managers", "misc", "common"}
CLOCKS = {"timezone.now", "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time"}
OWN_CLOCK = {
    "audit/clock_guard.py": "holds the process's clock against the one clock; what comes of it is dated by the latter",
    "cloudtrail/quick.py": "a request to S3 is signed with the time that S3 will look at",
    "storage/probe.py": "asks S3 for retention by the wall clock that S3 keeps too; nothing of it becomes a fact",
    "printing/templatetags/look.py": "the foot of a page says when it was made; printing knows no database",
}
WRITES = {"create", "bulk_create", "get_or_create", "update_or_create"}
# Whoever is not logged in may come here.
OPEN_VIEWS = {
    "accounts.views.log_in",
    "accounts.views.passkey_challenge",
    "accounts.arrivals.ask_log_in",  # these four: 404 where single sign-on is not configured
    "accounts.arrivals.log_in",
    "accounts.arrivals.returned",
    "accounts.arrivals.ask_enrol",
    "accounts.views.live_codes",  # 404 outside of the demo
    "accounts.views.enrol",
    "accounts.views.password_forgotten",
    "accounts.views.password_reset",
    "accounts.views.lost_ask",
    "accounts.views.lost_link",
    "signatures.views.public_key",
    "portal.pages.health.healthz",
    "portal.pages.verify.verify",  # says of an artefact what it says itself, and whether it holds
}
# Tables that the trail does not watch, and why each may change unrecorded.
UNWATCHED = {
    "django_session": "sessions come and go; what counts of one is its sitting",
    "django_content_type": "made by migrations",
    "django_migrations": "made by migrations",
    "auth_permission": "made by migrations; the application may only read it",
    "accounts_invitation": "links: each sending and each use is an entry, the row holds a hash and times",
    "accounts_ssorequest": "questions to the identity provider: what is proved or refused by one is an entry",
    "accounts_lockout": "counts of failures; each failure is an entry, and success clears the count",
    "cloudtrail_reconciliation": "when a bucket was last compared; lost, it is compared again",
    "cloudtrail_listing": "where the next listing of a trail's bucket begins; lost, it begins anew",
    "records_buffer": "what is typed and not saved is no record",
    "jobs_job": "progress of work; what the work did is recorded by its verbs",
}
TEXT = re.compile(
    r"\.(py|html|txt|md|css|js|toml|in|svg|json|sh|yml|yaml|cfg)$|^(Makefile|\.ci/run|\.gitignore|LICENSE)$"
)
PLACES = {
    "a folder of one machine": re.compile(r"(?<![\w.-])/(?:work|root|home|Users|mnt)/[\w.-]+|(?<![\w.-])/tmp/(?!bash)[\w.-]+"),
    "a package registry": re.compile(r"--(?:extra-)?index-url|--find-links|\bhttps?://[\w.-]*(?:pypi|artifactory|nexus|registry)[\w.-]*/", re.I),
}  # fmt: skip
# Texts of others, and lines that speak of such a place in general.
PLACES_ALLOWED = re.compile(r"^(static/vendor/|tests/vendor/|LICENSE$|tests/test_house\.py$)")


def product_modules() -> Iterator[tuple[str, str]]:
    """Path and source of every module that a firm runs, migrations left out."""
    for app in PRODUCT:
        for path in modules(app):
            if "migrations" not in path.parts:
                yield str(path.relative_to(ROOT)), path.read_text()


def templates() -> Iterator[tuple[str, str]]:
    for folder in [ROOT / "templates", *ROOT.glob("*/templates")]:
        for path in sorted(folder.rglob("*.html")):
            yield str(path.relative_to(ROOT)), path.read_text()


def told(rule: Callable[[str, str], list[str]], sources: Iterator[tuple[str, str]]) -> str:
    return "\n".join(sentence for path, source in sources for sentence in rule(path, source))


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a chain of names, else what of it is one."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}".lstrip(".")
    return node.id if isinstance(node, ast.Name) else ""


def calls(source: str) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield node, dotted(node.func)


# The rules


def names_that_admit_anything(path: str, source: str = "") -> list[str]:
    where = Path(path)
    return [
        f"{path}: a module of this name admits anything: name it after what it holds"
        for name in (where.stem, where.parent.name)
        if name in ADMIT_ANYTHING
    ]


def other_clocks(path: str, source: str) -> list[str]:
    """Facts are dated by `audit.clock` alone: one clock, in UTC, the database's."""
    return [
        f"{path}:{node.lineno}: {name}() is not the one clock: use audit.clock.now() or Now()"
        for node, name in calls(source)
        if ".".join(name.split(".")[-2:]) in CLOCKS
    ]


def signatures_made_elsewhere(path: str, source: str) -> list[str]:
    """A row of `Signature` is made in one place, where everything that signing asks is asked."""
    if "signatures.models" not in source and not path.startswith("signatures/"):
        return []
    made = re.compile(rf"(?:\w+\.)*Signature(?:\.objects\.(?:{'|'.join(WRITES)}))?")
    return [
        f"{path}:{node.lineno}: a signature is made in signatures/signing.py alone"
        for node, name in calls(source)
        if made.fullmatch(name) and path != "signatures/signing.py"
    ]


def states_written_elsewhere(path: str, source: str) -> list[str]:
    """`state` of a version is written by the verbs' one `move()`; files of a trail and jobs have steps of their own."""
    app = path.split("/")[0]
    if path == "records/transitions.py" or app in {"jobs", "cloudtrail"} or FLOORS[app] < FLOORS["records"]:
        return []
    lines: list[int] = []
    for node in ast.walk(ast.parse(source)):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
        )
        if any(isinstance(target, ast.Attribute) and target.attr == "state" for target in targets):
            lines.append(node.lineno)
        if isinstance(node, ast.Call):
            name, given = dotted(node.func), {keyword.arg for keyword in node.keywords}
            writes = name.split(".")[-1] in {"update", *WRITES} or name.endswith("Version")
            if (writes and "state" in given) or (name == "setattr" and ast.unparse(node.args[1]) == "'state'"):
                lines.append(node.lineno)
    return [f"{path}:{line}: the state of a version is written in records/transitions.py alone" for line in lines]


INLINE = {
    "a style attribute": re.compile(r"<[a-z][^>]*\sstyle\s*=", re.I),
    "a style element": re.compile(r"<style[\s>]", re.I),
    "an event attribute": re.compile(r"<[a-z][^>]*\son[a-z]+\s*=", re.I),
    "an inline script": re.compile(r"<script(?![^>]*\ssrc\s*=)[^>]*>", re.I),
    "a javascript: address": re.compile(r"""=\s*["']?\s*javascript:""", re.I),
    "hx-on, which is evaluated": re.compile(r"\shx-on[:=]", re.I),
}


def inline_parts(path: str, source: str) -> list[str]:
    """The Content-Security-Policy allows nothing inline."""
    plain = re.sub(r"{%.*?%}|{{.*?}}|{#.*?#}", "", source, flags=re.DOTALL)
    return [
        f"{path}: {what}, which the Content-Security-Policy refuses"
        for what, found in INLINE.items()
        if found.search(plain)
    ]


def unpinned(path: str, source: str) -> list[str]:
    """Every requirement has one version and at least one SHA-256."""
    packages = re.split(r"\n(?=\S)", source.strip().replace("\\\n", ""))
    return [
        f"{path}: {package.split()[0]} is not pinned with hashes"
        for package in packages
        if not package.startswith(("#", "-c"))
        and not re.match(r"[\w.\-\[\],]+==\S+( ;.*?)?\s+--hash=sha256:[0-9a-f]{64}", package)
    ]


def named_places(path: str, source: str) -> list[str]:
    """What is true on one machine only has no place in the repository."""
    return [
        f"{path}:{number}: names {what}: {found.group()}"
        for what, pattern in PLACES.items()
        for number, line in enumerate(source.splitlines(), 1)
        for found in [pattern.search(line)]
        if found
    ]


# Examples


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (names_that_admit_anything, "records/utils.py", ""),
        (names_that_admit_anything, "sops/services/reading.py", ""),
        (other_clocks, "records/a.py", "from django.utils import timezone\nat = timezone.now()"),
        (other_clocks, "records/a.py", "at = datetime.datetime.now(UTC)"),
        (other_clocks, "records/a.py", "at = datetime.now(tz=UTC)"),
        (signatures_made_elsewhere, "sops/a.py", "from signatures.models import Signature\nSignature.objects.create(step=step)"),
        (signatures_made_elsewhere, "signatures/views.py", "row = models.Signature(step=step)"),
        (signatures_made_elsewhere, "portal/a.py", "from signatures.models import Signature\nSignature.objects.bulk_create(rows)"),
        (states_written_elsewhere, "sops/a.py", "version.state = 'approved'"),
        (states_written_elsewhere, "records/a.py", "Version.objects.filter(pk=1).update(state='approved')"),
        (states_written_elsewhere, "records/a.py", "Version.objects.create(record=record, state=State.APPROVED)"),
        (states_written_elsewhere, "portal/a.py", "setattr(version, 'state', 'approved')"),
        (inline_parts, "a.html", '<p style="color: red">'),
        (inline_parts, "a.html", "<style>p {}</style>"),
        (inline_parts, "a.html", '<button type="button" onclick="go()">'),
        (inline_parts, "a.html", "<script>go()</script>"),
        (inline_parts, "a.html", '<script type="module">go()</script>'),
        (inline_parts, "a.html", '<a href="javascript:go()">'),
        (unpinned, "r.txt", "django>=5.2"),
        (unpinned, "r.txt", "django==5.2.1"),
        (unpinned, "r.txt", "django==5.2.1 \\\n    --hash=sha256:12"),
        (named_places, "a.md", "see /home/" + "ana/notes"),
        (named_places, "a.txt", "--index-url " + "https://x.example/simple"),
        (named_places, "a.py", "URL = 'https://pypi." + "corp.example/simple'"),
    ],
)  # fmt: skip
def test_a_breach_is_told(rule, path, source):
    assert rule(path, source)


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (names_that_admit_anything, "records/redline.py", ""),
        (other_clocks, "records/a.py", "at = clock.now()\nstarted = time.monotonic()"),
        (signatures_made_elsewhere, "signatures/signing.py", "Signature.objects.create(step=step)"),
        (signatures_made_elsewhere, "sops/a.py", "from signatures.models import Signature\nSignature.objects.filter(step=step)"),
        (signatures_made_elsewhere, "printing/a.py", "card = Signature(printed_name='A')"),
        (states_written_elsewhere, "records/transitions.py", "version.state = 'approved'"),
        (states_written_elsewhere, "records/a.py", "found = Version.objects.filter(state='approved')\nif version.state == 'approved': pass"),
        (states_written_elsewhere, "cloudtrail/ingest.py", "row.state = LogFile.State.STORED"),
        (inline_parts, "a.html", '<script src="/static/js/app.js" defer></script><p class="style=" data-online="1">'),
        (inline_parts, "a.html", "{# no style=\"\" here #}<script src=\"{% static 'js/app.js' %}\"></script>"),
        (unpinned, "r.txt", "# why\ndjango==5.2.1 ; python_version > '3' \\\n    --hash=sha256:" + "a" * 64),
        (named_places, "a.md", "kept under /var/tmp/ and .run/; see https://pypi.org and docs/install.md"),
    ],
)  # fmt: skip
def test_what_is_right_is_left_alone(rule, path, source):
    assert rule(path, source) == []


# The house, held against them


def test_no_module_has_a_name_that_admits_anything():
    everything = ((str(path.relative_to(ROOT)), "") for app in [*FLOORS, "tests"] for path in modules(app))
    assert not told(names_that_admit_anything, everything)


def test_facts_are_dated_by_the_one_clock():
    assert not told(other_clocks, ((path, source) for path, source in product_modules() if path not in OWN_CLOCK))


def test_exceptions_to_the_one_clock_are_still_needed():
    sources = dict(product_modules())
    assert [path for path in OWN_CLOCK if not other_clocks(path, sources.get(path, ""))] == []


def test_a_signature_is_made_in_one_place():
    assert not told(signatures_made_elsewhere, product_modules())
    assert re.search(r"Signature(\.objects\.create)?\(", (ROOT / "signatures/signing.py").read_text())


def test_a_state_is_written_in_one_place():
    assert not told(states_written_elsewhere, product_modules())


def test_templates_hold_nothing_inline():
    assert not told(inline_parts, templates())


def test_requirements_are_pinned_with_hashes():
    files = [
        path
        for path in ROOT.glob("**/requirements*.txt")
        if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    ]
    assert {"requirements.txt", "requirements-dev.txt"} <= {path.name for path in files}
    assert not told(unpinned, ((str(path.relative_to(ROOT)), path.read_text()) for path in files))


def test_each_pinned_set_has_its_source_beside_it():
    for path in ROOT.glob("requirements*.txt"):
        wanted = re.findall(r"^([\w.-]+)", path.with_suffix(".in").read_text(), re.MULTILINE)
        pinned = {name.lower().replace("_", "-") for name in re.findall(r"^([\w.-]+)", path.read_text(), re.MULTILINE)}
        assert [name for name in wanted if name.lower() not in pinned and not name.startswith("-")] == [], path.name


def repository() -> Iterator[tuple[str, str]]:
    """Our own texts, as git knows them; in a copy without git, whatever is not hidden."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.split("\0") if listed.returncode == 0 else [
        str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file() and "/." not in f"/{path.relative_to(ROOT)}"
    ]  # fmt: skip
    for name in names:
        if TEXT.search(name) and not PLACES_ALLOWED.match(name) and (ROOT / name).exists():
            yield name, (ROOT / name).read_text(errors="replace")


def test_the_repository_names_no_place_of_one_machine():
    assert not told(named_places, repository())


def _patterns(patterns: list) -> Iterator[URLPattern]:
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern
        else:
            yield from _patterns(pattern.url_patterns)


def test_every_view_asks_for_a_log_in_but_for_a_short_list():
    views = {pattern.callback for pattern in _patterns(get_resolver().url_patterns)}
    open_views = {f"{view.__module__}.{view.__name__}" for view in views if not getattr(view, "login_required", True)}
    assert open_views - OPEN_VIEWS == set(), (
        "a view that anybody may see: say so in OPEN_VIEWS, or take the decorator away"
    )


def controlled(triggers: set[str]) -> bool:
    return bool(triggers & {"guard", "append_only", "never_deleted"})


def test_every_table_is_controlled_or_says_why_not(empty):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, coalesce(array_agg(t.tgname) FILTER (WHERE t.tgname IS NOT NULL), '{}') FROM pg_class c"
            " LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
            " GROUP BY c.relname"
        )
        tables = {name: set(triggers) for name, triggers in cursor.fetchall()}
    tables.pop("test_clock")
    bare = {name for name, triggers in tables.items() if not controlled(triggers)}
    assert bare - set(UNWATCHED) == set(), (
        "a table without guard: put it under control in its app's 0002, or say why not"
    )
    assert set(UNWATCHED) - bare == set(), "said to be unwatched, and is not, or is gone"


def guarded_tables() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname IN ('guard', 'append_only')")
        return {name for (name,) in cursor.fetchall()}


def test_no_controlled_table_holds_a_float(empty):
    """Canonical bytes know no floats; a number with a fraction is kept as text or in a smaller unit."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type IN ('real', 'double precision')"
        )
        floats = [f"{table}.{column}" for table, column in cursor.fetchall() if table in guarded_tables()]
    assert floats == []


def test_people_are_never_taken_away_with_what_points_at_them():
    """Users are PROTECT: whoever signed stays."""
    loose = [
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models()
        if model._meta.app_label in FLOORS
        for field in model._meta.get_fields()
        if isinstance(field, models.ForeignKey)
        and field.related_model is apps.get_model("accounts.User")
        and field.remote_field.on_delete not in {models.PROTECT, models.DO_NOTHING}
        and not hasattr(model, "instance_type")  # rows of a history are append-only: the database refuses the change
    ]
    assert loose == []


def test_migrations_are_in_step_with_the_models(empty):
    said = io.StringIO()
    try:
        call_command("makemigrations", check=True, dry_run=True, stdout=said, stderr=said)
    except SystemExit:
        pytest.fail(f"run manage.py makemigrations:\n{said.getvalue()}")


def test_the_ci_runs_the_two_targets():
    script = (ROOT / ".ci/run").read_text()
    assert "make check" in script and "make test" in script and os.access(ROOT / ".ci/run", os.X_OK)
