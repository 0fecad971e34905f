"""What came from others is what was published, and the house uses only what is there."""

import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VENDOR = ROOT / "static" / "vendor"
LIST = (VENDOR / "VENDORED.md").read_text()
OURS = [
    path for path in ROOT.rglob("*.html") if not {".venv", ".run", "staticfiles"} & set(path.relative_to(ROOT).parts)
]


def test_every_vendored_file_is_listed_with_its_digest():
    listed = {
        (VENDOR / name).resolve(): digest for name, digest in re.findall(r"\| `(\S+)` \| `([0-9a-f]{64})` \|", LIST)
    }
    present = [
        path
        for folder in (VENDOR, ROOT / "tests" / "vendor")
        for path in folder.rglob("*")
        if path.is_file() and path.name != "VENDORED.md"
    ]
    assert {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in present} == listed


def test_bootstrap_with_its_last_line_back_is_the_published_file():
    published = re.search(r"published one,\n`([0-9a-f]{64})`", LIST).group(1)
    whole = (VENDOR / "bootstrap" / "bootstrap.min.css").read_bytes() + b"/*# sourceMappingURL=bootstrap.min.css.map */"
    assert hashlib.sha256(whole).hexdigest() == published


def test_every_vendored_package_has_its_licence():
    for folder in (path for path in VENDOR.iterdir() if path.is_dir()):
        assert list(folder.glob("LICENSE*")), folder.name
    assert list((ROOT / "tests" / "vendor").glob("*LICENSE*"))


def test_every_style_sheet_names_only_files_that_are_there():
    for sheet in (ROOT / "static").glob("*.css"):
        for name in re.findall(r'url\("([^"]+)"\)', sheet.read_text()):
            assert (sheet.parent / name).is_file(), name
    assert "data:" not in re.sub(r"/\*.*?\*/", "", (ROOT / "static" / "look.css").read_text(), flags=re.S)


def test_every_icon_that_a_template_names_is_in_the_sprite():
    sprite = set(re.findall(r'<symbol id="([^"]+)"', (ROOT / "static" / "icons.svg").read_text()))
    for path in OURS:
        named = set(re.findall(r'\{%\s*icon "([^"]+)"', path.read_text()))
        assert named <= sprite, (path.relative_to(ROOT), named - sprite)


def test_no_template_carries_inline_style_script_or_handler():
    for path in OURS:
        text = re.sub(r"\{% comment %\}.*?\{% endcomment %\}", "", path.read_text(), flags=re.S)
        assert not re.search(r"<[a-z][^>]*\s(style|on[a-z]+)\s*=", text), path.relative_to(ROOT)
        assert not re.search(r"<style|<script(?![^>]*\ssrc=)", text), path.relative_to(ROOT)
        assert not re.search(r"javascript:", text), path.relative_to(ROOT)
