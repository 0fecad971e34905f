import csv
import gzip
import io
import json
from dataclasses import dataclass
from datetime import date

import pytest
from pypdf import PdfReader

from demo import content, packages
from records.contract import Definition, check

TODAY = date(2026, 11, 20)
ALL = [(package.number, version + 1) for package in content.PACKAGES for version in range(len(package.versions))]
DEFINITION = Definition.from_json(content.NGS_RUN_PACKAGE)


@dataclass
class Fact:
    logical_key: str
    size: int


def verdict(made, metadata):
    return check(DEFINITION, [Fact(key, len(data)) for key, data in made.items()], metadata)


@pytest.mark.parametrize(("number", "version"), [*ALL, ("KRAS-001", 4)])
def test_every_version_is_admitted_by_the_demos_definition(number, version):
    assert verdict(packages.files(number, version, TODAY), packages.metadata_of(number, version, TODAY)) == []


def test_the_incomplete_package_lacks_only_its_report():
    failures = verdict(packages.incomplete("BRCA-001", 1, TODAY), packages.metadata_of("BRCA-001", 1, TODAY))
    assert [failure.where for failure in failures] == ["qc/report.pdf"]


def test_the_same_version_is_made_of_the_same_bytes():
    first = packages.files("KRAS-002", 1, TODAY)
    packages._reads.cache_clear()
    assert packages.files("KRAS-002", 1, TODAY) == first


@pytest.mark.parametrize("version", [2, 3, 4])
def test_only_what_the_registration_says_differs_from_the_version_before(version):
    before, after = (packages.files("KRAS-001", number, TODAY) for number in (version - 1, version))
    _, said = packages.version_of("KRAS-001", version)
    assert {key for key in after if after[key] != before[key]} == set(said.changes.split(", "))


def test_the_sample_manifest_is_corrected_as_the_message_says():
    typed = [row for row in rows(1) if row["sample_id"] == "LU-3302"]
    corrected = [row for row in rows(2) if row["sample_id"] == "LU-3302"]
    assert (typed[0]["concentration_ng_ul"], corrected[0]["concentration_ng_ul"]) == ("14.2", "12.4")
    assert len(rows(2)) == packages.metadata(1, 2)["samples"]


def rows(version):
    return list(csv.DictReader(io.StringIO(packages.kras_package(1, version)["samples/manifest.csv"].decode())))


def test_the_new_pipeline_differs_in_duplicates_and_in_nothing_else():
    old, new = (json.loads(packages.kras_package(1, version)["qc/metrics.json"])["samples"] for version in (2, 3))
    for before, after in zip(old, new, strict=True):
        assert before.pop("duplicate_percent") > after.pop("duplicate_percent")
        assert before == after


def test_reads_are_fastq_in_pairs():
    made = packages.kras_package(1, 1)
    for sample in content.KRAS_001.samples:
        ends = [gzip.decompress(made[f"reads/{sample}_{end}.fastq.gz"]).decode().splitlines() for end in ("R1", "R2")]
        for lines in ends:
            assert len(lines) == 4 * packages.PAIRS
            assert all(line.startswith("@") for line in lines[::4])
            assert all(set(line) <= set("ACGTN") and len(line) == packages.LENGTH for line in lines[1::4])
            assert set(lines[2::4]) == {"+"}
            assert all(len(line) == packages.LENGTH for line in lines[3::4])
        assert [line.split()[0] for line in ends[0][::4]] == [line.split()[0] for line in ends[1][::4]]


def test_the_report_shows_the_figures_that_lie_beside_it():
    made = packages.kras_package(1, 3)
    text = PdfReader(io.BytesIO(made["qc/report.pdf"])).pages[0].extract_text()
    for sample in json.loads(made["qc/metrics.json"])["samples"]:
        assert sample["sample_id"] in text
        assert str(sample["q30_percent"]) in text


def test_the_pipeline_names_the_digests_of_the_reads_that_went_in():
    import hashlib

    made = packages.kras_package(1, 3)
    inputs = {item["file"]: item["sha256"] for item in json.loads(made["pipeline/run.json"])["inputs"]}
    assert inputs == {key: hashlib.sha256(data).hexdigest() for key, data in made.items() if key.startswith("reads/")}


def test_a_package_stays_small():
    assert sum(map(len, packages.kras_package(1, 3).values())) < 500_000


def test_a_version_that_the_demo_does_not_have_is_a_mistake():
    with pytest.raises(LookupError):
        packages.files("KRAS-002", 2, TODAY)
