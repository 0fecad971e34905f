"""The house's floors: imports go down only, and no template of a lower floor names what stands above it.

An import counts wherever it stands: at the top, inside a function, or for type checking alone.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {
    "audit": 0, "printing": 0, "jobs": 0,
    "accounts": 1, "storage": 1,
    "records": 2,
    "signatures": 3,
    "validation_docs": 4, "sops": 4, "cloudtrail": 4,
    "inspections": 5,
    "portal": 6, "demo": 6, "standin": 6,
}  # fmt: skip
# Who may lean on a neighbour, one way only; nobody else on a floor knows the others.
NEIGHBOURS = {
    "jobs": {"audit"},  # a job that failed is an entry
    "storage": {"accounts"},  # a bucket belongs to an area
    "demo": {"portal", "standin"},  # fills the firm through the same verbs, as the people that the stand-in knows
    "portal": {"demo"},  # `manage.py demo`
}
REFERENCE = re.compile(r"(\w+)\.[A-Z]\w*")  # "records.Version", as foreign keys name a model
NAMED_URL = re.compile(r"""["'](\w+):[\w-]+["']""")
NAMED_TEMPLATE = re.compile(r"""["'](\w+)/[\w./-]+\.(?:html|txt|md)["']""")
TAG = re.compile(r"{%.*?%}", re.DOTALL)


def may_import(importer: str, imported: str) -> bool:
    if importer == imported:
        return True
    if importer == "standin":
        return False
    return FLOORS[imported] < FLOORS[importer] or imported in NEIGHBOURS.get(importer, set())


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each import, and of each model that is named by a string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.lineno, node.module
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in {
            "ForeignKey",
            "OneToOneField",
            "ManyToManyField",
        }:
            for named in node.args[:1] + [keyword.value for keyword in node.keywords if keyword.arg == "to"]:
                if isinstance(named, ast.Constant) and REFERENCE.fullmatch(str(named.value)):
                    yield node.lineno, str(named.value)


def wrong_imports(app: str, path: str, source: str) -> list[str]:
    """Sentences, one for each import that does not go down."""
    return [
        f"{path}:{line}: {app} (floor {FLOORS[app]}) imports {name} (floor {FLOORS[name.split('.')[0]]});"
        " imports go down only: take it as an argument, or move the code up"
        for line, name in imports(ast.parse(source))
        if name.split(".")[0] in FLOORS and not may_import(app, name.split(".")[0])
    ]


def tag_libraries() -> dict[str, str]:
    """Which app brings the library of template tags of a name."""
    return {path.stem: path.parent.parent.name for path in ROOT.glob("*/templatetags/*.py") if path.stem != "__init__"}


def wrong_names(app: str, path: str, template: str, libraries: dict[str, str]) -> list[str]:
    """Sentences, one for each URL, template or tag of a higher floor (or of a neighbour) that a template names."""
    named: set[str] = set()
    for tag in TAG.findall(template):
        words = tag[2:-2].split()
        if words and words[0] == "load":
            named |= {libraries[word] for word in words[1:] if word in libraries}
        named |= {name for name in NAMED_URL.findall(tag) if name in FLOORS}
        named |= {name for name in NAMED_TEMPLATE.findall(tag) if name in FLOORS}
    return [
        f"{path}: a template of {app} (floor {FLOORS[app]}) names a URL, template or tag of {name} (floor {FLOORS[name]});"
        " compose such a page in portal/pages/"
        for name in sorted(named)
        if not may_import(app, name)
    ]


def modules(app: str) -> list[Path]:
    return sorted(path for path in (ROOT / app).rglob("*.py"))


def test_every_package_stands_on_a_floor():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == set(FLOORS), "an app came or went: say in FLOORS, and in docs, where it stands"


@pytest.mark.parametrize("app", FLOORS)
def test_imports_go_down_only(app):
    wrong = [
        sentence
        for path in modules(app)
        for sentence in wrong_imports(app, str(path.relative_to(ROOT)), path.read_text())
    ]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("app", FLOORS)
def test_templates_name_what_is_below_only(app):
    libraries = tag_libraries()
    wrong = [
        sentence
        for folder in (ROOT / "templates" / app, ROOT / app / "templates")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for sentence in wrong_names(app, str(path.relative_to(ROOT)), path.read_text(), libraries)
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_shell_and_the_components_name_no_app():
    """They stand under every floor; the shell knows paths, not names of views."""
    shared = [*(ROOT / "templates").glob("*.html"), *(ROOT / "templates" / "components").glob("*")]
    wrong = [
        sentence
        for path in shared
        for sentence in wrong_names("printing", str(path.relative_to(ROOT)), path.read_text(), tag_libraries())
    ]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("app", "source"),
    [
        ("records", "from signatures.models import Signature"),
        ("records", "def view():\n    from portal import consequences"),
        ("audit", "if TYPE_CHECKING:\n    import accounts.models"),
        ("sops", "from validation_docs import transitions"),
        ("cloudtrail", "import sops"),
        ("audit", "from jobs import queue"),
        ("accounts", "from storage import s3"),
        ("standin", "from demo import people"),
        ("inspections", "from portal.pages import record"),
        ("records", "class A(models.Model):\n    by = models.ForeignKey('signatures.Signature', models.PROTECT)"),
        ("records", "class A(models.Model):\n    by = models.ForeignKey(to='sops.Sop', on_delete=models.PROTECT)"),
    ],
)
def test_an_import_that_climbs_is_told(app, source):
    assert len(wrong_imports(app, "x.py", source)) == 1


@pytest.mark.parametrize(
    ("app", "source"),
    [
        ("signatures", "from records.models import Version"),
        ("sops", "from accounts import permissions\nimport audit.trail"),
        ("records", "from . import manifest\nfrom records import contract\nimport json"),
        ("portal", "from sops import transitions\nfrom validation_docs import transitions"),
        ("records", "class A(models.Model):\n    by = models.ForeignKey('accounts.User', models.PROTECT)"),
        ("records", "name = 'signatures.models'"),
    ],
)
def test_an_import_that_goes_down_is_fine(app, source):
    assert wrong_imports(app, "x.py", source) == []


@pytest.mark.parametrize(
    ("app", "template"),
    [
        ("records", "<a href=\"{% url 'portal:record' record.number %}\">"),
        ("records", '{% include "signatures/_card.html" %}'),
        ("sops", '{% extends "validation_docs/page.html" %}'),
        ("accounts", "{% load look signing %}"),
    ],
)
def test_a_template_that_climbs_is_told(app, template):
    assert len(wrong_names(app, "x.html", template, {"look": "printing", "signing": "signatures"})) == 1


@pytest.mark.parametrize(
    ("app", "template"),
    [
        ("records", '{% extends "base.html" %}{% load look %}{% include "components/pill.html" with text="portal: a" %}'),
        ("portal", "{% url 'records:register' record.number %}{% include 'signatures/_card.html' %}"),
        ("records", "<a href=\"/records/{{ number }}/\">portal:record</a>"),
    ],
)  # fmt: skip
def test_a_template_that_names_what_is_below_is_fine(app, template):
    assert wrong_names(app, "x.html", template, {"look": "printing"}) == []
