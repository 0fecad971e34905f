"""The compliance matrix is complete, in step with the tests, and claims nothing that the software is not."""

import re

import pytest

from tests.conftest import ROOT
from tools import compliance_matrix


def test_every_row_of_the_matrix_is_held_by_a_test_or_says_why_not():
    assert compliance_matrix.gaps() == []


def test_the_matrix_is_in_step_with_the_tests():
    assert compliance_matrix.MATRIX.read_text() == compliance_matrix.matrix(), "run make compliance-matrix"


PARAGRAPHS = [
    "11.1",
    "11.2",
    "11.3",
    "11.10(a)",
    "11.10(b)",
    "11.10(c)",
    "11.10(d)",
    "11.10(e)",
    "11.10(f)",
    "11.10(g)",
    "11.10(h)",
    "11.10(i)",
    "11.10(j)",
    "11.10(k)",
    "11.30",
    "11.50(a)(1)",
    "11.50(a)(2)",
    "11.50(a)(3)",
    "11.50(b)",
    "11.70",
    "11.100(a)",
    "11.100(b)",
    "11.100(c)",
    "11.200(a)(1)",
    "11.200(a)(1)(i)",
    "11.200(a)(1)(ii)",
    "11.200(a)(2)",
    "11.200(a)(3)",
    "11.200(b)",
    "11.300(a)",
    "11.300(b)",
    "11.300(c)",
    "11.300(d)",
    "11.300(e)",
]


def test_every_paragraph_of_part_11_has_its_row():
    rows = [row["id"] for part in compliance_matrix.parts() for row in part["row"]]
    assert [name for name in PARAGRAPHS if name not in rows] == []
    assert len(rows) == len(set(rows))


@pytest.mark.compliance("11.200(b)")
def test_nobody_is_told_of_biometric_signatures_but_that_there_are_none():
    told = [
        sentence
        for folder, kind in (
            ("templates", "*.html"),
            ("docs", "*.md"),
            ("validation_docs/starter", "*.md"),
            ("sops", "*.md"),
        )
        for path in set((ROOT / folder).rglob(kind)) - {compliance_matrix.MATRIX}
        for sentence in re.split(r"[.|]\s", path.read_text())
        if re.search(r"biometric signatures?", sentence, re.IGNORECASE)
    ]
    assert [sentence for sentence in told if not re.search(r"\b(not|no|outside)\b", sentence)] == []
