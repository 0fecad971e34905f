"""Starter content: Markdown files that ship with the code, `# Title`, `## Section`, `> Guidance: ...` before the text."""

import re
from collections.abc import Iterable
from pathlib import Path

from records.drafts import Section

MARKS = re.compile(r"[\\`*_\[\]<>|&~!#]")
GUIDANCE = "> Guidance:"


def read(path: Path) -> tuple[str, list[Section]]:
    """The title and the sections of a starter file."""
    return sections_of(path.read_text(encoding="utf-8"))


def sections_of(markdown: str) -> tuple[str, list[Section]]:
    """The title and the sections of a document written as one Markdown text."""
    title: str = ""
    sections: list[Section] = []
    for line in markdown.splitlines():
        if line.startswith("# ") and not title:
            title = line[2:].strip()
        elif line.startswith("## "):
            sections.append({"id": f"s{len(sections) + 1}", "title": line[3:].strip(), "guidance": "", "text": ""})
        elif sections:
            _add(sections[-1], line)
    for section in sections:
        section["text"] = section["text"].strip()
        section["guidance"] = section["guidance"].strip()
    return title, sections


def filled(sections: Iterable[Section], name: str, value: str) -> list[Section]:
    """The sections with the value where they say `[FILL: name]`. It is text: nothing in it is Markdown."""
    as_text = MARKS.sub(r"\\\g<0>", " ".join(value.split()))
    return [{**section, "text": section["text"].replace(f"[FILL: {name}]", as_text)} for section in sections]


def _add(section: Section, line: str) -> None:
    """Guidance is the block quote that stands first; everything after it is text."""
    if line.startswith(GUIDANCE) and not section["text"].strip():
        section["guidance"] += line[len(GUIDANCE) :].strip() + " "
    elif line.startswith(">") and section["guidance"] and not section["text"].strip():
        section["guidance"] += line[1:].strip() + " "
    else:
        section["text"] += line + "\n"
