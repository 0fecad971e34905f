"""Starter content: Markdown files that ship with the code, `# Title`, `## Section`, `> Guidance: ...` before the text."""

from pathlib import Path

from records.drafts import Section

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


def _add(section: Section, line: str) -> None:
    """Guidance is the block quote that stands first; everything after it is text."""
    if line.startswith(GUIDANCE) and not section["text"].strip():
        section["guidance"] += line[len(GUIDANCE) :].strip() + " "
    elif line.startswith(">") and section["guidance"] and not section["text"].strip():
        section["guidance"] += line[1:].strip() + " "
    else:
        section["text"] += line + "\n"
