"""The starter pack holds together: every number that is named exists, and the trace has no hole from requirement to test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from accounts import accountability
from accounts.rights import CONDITIONS
from signatures.meanings import SENTENCES, Meaning

ROOT = Path(__file__).resolve().parents[2]
STARTER = ROOT / "validation_docs" / "starter"
SOPS = ROOT / "sops" / "starter"
KINDS = ("VP", "URS", "FS", "DS", "RA", "IQ", "OQ", "PQ", "VSR")
NUMBER = re.compile(r"\b(?:URS|FS|DS|RA|IQ|OQ|PQ)-\d{3}\b")
CLASS = {"HH": 1, "HM": 1, "MH": 1, "HL": 2, "MM": 2, "LH": 2, "ML": 3, "LM": 3, "LL": 3}  # severity, probability
PRIORITY = {
    1: dict(L="High", M="High", H="Medium"),
    2: dict(L="High", M="Medium", H="Low"),
    3: dict(L="Medium", M="Low", H="Low"),
}  # class, detectability


def text(kind: str) -> str:
    return (STARTER / f"{kind}.md").read_text(encoding="utf-8")


def items(kind: str) -> dict[str, str]:
    """Number of each item of the document, with its body."""
    parts = re.split(rf"^### ({kind}-\d{{3}}) .+$", text(kind), flags=re.M)[1:]
    numbers = parts[::2]
    assert len(numbers) == len(set(numbers)), f"{kind}: a number stands twice"
    return {number: re.split(r"^## ", body, flags=re.M)[0] for number, body in zip(numbers, parts[1::2], strict=True)}


def traces(body: str) -> list[str]:
    line = re.findall(r"^Traces to: (.+)$", body, flags=re.M)
    assert len(line) == 1, f"one line of traces, not {len(line)}: {body[:80]}"
    return [number.strip() for number in line[0].split(",")]


def steps() -> Iterator[tuple[str, list[str]]]:
    """Each test step of IQ, OQ and PQ with the numbers it traces to."""
    for kind in ("IQ", "OQ", "PQ"):
        for line in text(kind).splitlines():
            if match := re.match(rf"\| ({kind}-\d{{3}}\.\d+) \|", line):
                cells = [cell.strip() for cell in line.strip("|").split("|")]
                assert len(cells) == 4, f"{match[1]}: {len(cells)} cells"
                assert all(cells), f"{match[1]}: an empty cell"
                yield match[1], [number.strip() for number in cells[3].split(",")]


@pytest.mark.parametrize(
    "path", [*(STARTER / f"{kind}.md" for kind in KINDS), *sorted(SOPS.glob("*.md"))], ids=lambda path: path.stem
)
def test_each_starter_has_one_title_and_sections(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert sum(line.startswith("# ") for line in lines) == 1
    sections = [line for line in lines if line.startswith("## ")]
    assert len(sections) >= 4
    assert len(sections) == len(set(sections)), "a section title stands twice"
    assert not [line for line in lines if line.startswith(">") and not line.startswith("> Guidance: ")]
    assert not [line for line in lines if line.startswith("####")]


def test_no_number_is_named_that_does_not_exist() -> None:
    known = {number for kind in ("URS", "FS", "DS", "RA", "IQ", "OQ", "PQ") for number in items(kind)}
    for kind in KINDS:
        unknown = {number for number in NUMBER.findall(text(kind)) if number not in known}
        assert not unknown, f"{kind} names {sorted(unknown)}"


def test_numbers_count_without_gap() -> None:
    for kind in ("URS", "FS", "DS", "RA", "IQ", "OQ", "PQ"):
        numbers = list(items(kind))
        assert numbers == [f"{kind}-{n:03}" for n in range(1, len(numbers) + 1)]


def test_every_requirement_says_shall_and_names_its_source() -> None:
    for number, body in items("URS").items():
        assert " shall " in body, number
        assert re.search(r"^Source: .+ Criticality: (high|medium|low)\.$", body, flags=re.M), number


def test_every_function_names_requirements_and_every_requirement_has_a_function() -> None:
    named = set()
    for number, body in items("FS").items():
        assert set(traces(body)) <= set(items("URS")), number
        named |= set(traces(body))
    assert set(items("URS")) == named


def test_every_design_element_names_functions_and_every_function_has_a_design() -> None:
    named = set()
    for number, body in items("DS").items():
        assert set(traces(body)) <= set(items("FS")), number
        named |= set(traces(body))
    assert set(items("FS")) == named


def test_every_requirement_and_every_function_is_tested() -> None:
    tested = {number for _, numbers in steps() for number in numbers}
    assert set(items("URS")) <= tested
    assert set(items("FS")) <= tested


def test_each_step_stands_in_its_case_and_counts_from_one() -> None:
    seen: dict[str, int] = {}
    for step, numbers in steps():
        case, count = step.split(".")
        assert int(count) == seen.get(case, 0) + 1, step
        seen[case] = int(count)
        assert {number.split("-")[0] for number in numbers} == {"URS", "FS"}, step
    assert set(seen) == {case for kind in ("IQ", "OQ", "PQ") for case in items(kind)}
    for kind in ("IQ", "OQ", "PQ"):
        for case, body in items(kind).items():
            assert set(re.findall(rf"^\| ({kind}-\d{{3}})\.", body, flags=re.M)) == {case}


def test_a_step_names_a_requirement_that_its_function_fulfils() -> None:
    fulfils = {number: set(traces(body)) for number, body in items("FS").items()}
    for step, numbers in steps():
        requirements = {number for number in numbers if number.startswith("URS")}
        functions = {number for number in numbers if number.startswith("FS")}
        assert requirements <= set().union(*(fulfils[function] for function in functions)), step


def test_class_and_priority_of_each_risk_follow_from_its_scores() -> None:
    before, after = {}, {}
    for line in text("RA").splitlines():
        if not line.startswith("| RA-"):
            continue
        number, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if len(cells) == 6:
            before[number] = cells[1:]
        elif len(cells) == 5:
            after[number] = cells
    assert list(before) == list(after) == list(items("RA"))
    for number, (severity, probability, detectability, risk_class, priority) in [*before.items(), *after.items()]:
        assert int(risk_class) == CLASS[severity[0] + probability[0]], number
        assert priority == PRIORITY[int(risk_class)][detectability[0]], number
    assert all(after[number][0] == before[number][0] for number in before), "controls do not lower a severity"
    assert not [number for number, scores in after.items() if scores[4] == "High"]


def test_each_requirement_of_high_criticality_that_a_risk_names_is_tested_by_a_case_of_that_risk() -> None:
    tested: dict[str, set[str]] = {}
    for step, numbers in steps():
        tested.setdefault(step.split(".")[0], set()).update(numbers)
    rows = dict(re.findall(r"^\| (RA-\d{3}) \| (URS[^|]+) \|", text("RA"), flags=re.M))
    for number, body in items("RA").items():
        cases = re.findall(r"[IOP]Q-\d{3}", body.split("Tested by:")[1])
        covered = set().union(*(tested[case] for case in cases))
        assert covered & {requirement.strip() for requirement in rows[number].split(",")}, number


def test_places_to_fill_are_a_closed_list() -> None:
    """A name that is misspelt would never be filled: the demo's list is the list."""
    from demo.content import FILLED

    for path in [*STARTER.glob("*.md"), *SOPS.glob("*.md")]:
        body = path.read_text(encoding="utf-8")
        assert set(re.findall(r"\[FILL: ([^\]]+)\]", body)) <= set(FILLED), path.name
        assert body.count("[FILL:") == len(re.findall(r"\[FILL: [^\]\n]+\]", body)), f"{path.name}: a place is torn"


def test_the_page_on_validation_counts_as_the_pack_does() -> None:
    page = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    for kind in ("URS", "FS", "DS", "RA"):
        assert f"{kind}-001 to {list(items(kind))[-1]}" in page
    assert f"{len(items('URS'))} requirements" in page
    assert f"{len(items('RA'))} risks" in page


def signing_sop() -> str:
    """The SOP on electronic signatures, each run of white space one blank."""
    return " ".join((SOPS / "e-signatures.md").read_text(encoding="utf-8").split())


def test_the_sop_quotes_the_accountability_statement_word_for_word() -> None:
    section = signing_sop().split("## Accountability statement")[1].split(" ## ")[0]
    assert f"revision {accountability.REVISION}: " in section
    assert section.endswith(" ".join(f"- {sentence}" for sentence in accountability.STATEMENT))


def test_the_sop_explains_every_meaning_and_no_other() -> None:
    table = (
        (SOPS / "e-signatures.md").read_text(encoding="utf-8").split("## Meaning of signatures")[1].split("\n## ")[0]
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"][2:]
    assert {label for label, _, _ in rows} == {meaning.label for meaning in Meaning}
    for label, _, says in rows:
        assert says.startswith(SENTENCES[next(each for each in Meaning if each.label == label)].rstrip(".")), label


def test_the_function_who_may_sign_names_each_condition() -> None:
    """Reworded or new conditions of the right to sign are looked at here, and put into the text."""
    told = " ".join(items("FS")["FS-028"].split())
    assert len(CONDITIONS) == 8
    for words in (
        "reported against the account",
        "identity",
        "accountability statement",
        "letter",
        "SOP on electronic signatures is in effect",
        "not trained",
        "366 days",
        "set anew",
    ):
        assert words in told, words


def test_the_page_on_architecture_quotes_the_code_as_it_is() -> None:
    quoted = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert quoted in (ROOT / "signatures" / "transitions.py").read_text(encoding="utf-8")


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
            if "://" not in target and not target.endswith("record.png"):
                assert (path.parent / target).exists(), f"{path.name}: {target}"
