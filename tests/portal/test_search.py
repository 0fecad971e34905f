"""Search finds what one may see, by number, title, hash, signature and person, and nothing else."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from records import numbers
from records.models import RecordType
from signatures.models import Signature


def groups(client, words):
    response = client.get("/search/", {"q": words, "all": "1"})
    assert response.status_code == 200
    return {group["kind"]: group["rows"] for group in response.context["groups"]}


@pytest.fixture
def reader(firm):
    return firm.client(firm.reviewer)


@pytest.fixture
def outsider(firm):
    return firm.client(firm.outsider)


def test_a_number_in_full_leads_to_its_record_in_any_case(firm, reader):
    assert reader.get("/search/", {"q": " kras-001 "}).headers["Location"] == "/records/KRAS-001/"
    assert reader.get("/search/", {"q": "URS-0001"}).headers["Location"] == "/documents/URS-0001/"


def test_part_of_a_number_or_a_title_lists_records(firm, reader):
    assert [row.number for row in groups(reader, "KRAS")["records"]] == ["KRAS-001"]
    assert [row.number for row in groups(reader, "lung PANEL")["records"]] == ["KRAS-001"]


def test_the_start_of_a_top_hash_finds_its_version(firm, reader):
    version = firm.version("KRAS-001", 2)
    assert groups(reader, version.top_hash[:4])["versions"][0].pk in {v.pk for v in firm.kras.versions.all()}
    assert [row.pk for row in groups(reader, f"sha256:{version.top_hash.upper()}")["versions"]] == [version.pk]
    assert "versions" not in groups(reader, version.top_hash[:3]), "three digits are no start of a hash"


@pytest.mark.parametrize(
    "words", ["KRAS-001 v2", "kras-001 V2", "KRAS-001 version 2", "KRAS-001, version 2", "KRAS-001  v 2"]
)
def test_a_version_is_found_as_it_is_written(firm, reader, outsider, words):
    assert [row.pk for row in groups(reader, words)["versions"]] == [firm.version("KRAS-001", 2).pk]
    assert groups(outsider, words) == {}
    assert groups(reader, words[:-1] + "9") == {}


def test_a_signature_is_found_by_its_id_and_by_its_statements_hash(firm, reader):
    signature = Signature.objects.filter(version__record__number="KRAS-001").first()
    assert [row.pk for row in groups(reader, str(signature.pk))["signatures"]] == [signature.pk]
    assert signature.pk in {row.pk for row in groups(reader, signature.statement_sha256[:8])["signatures"]}


def test_what_belongs_to_another_area_is_not_found_by_any_word(firm, outsider):
    version = firm.version("KRAS-001")
    signature = Signature.objects.filter(version=version).first()
    for words in ("KRAS-001", "KRAS", "Lung", version.top_hash, signature.statement_sha256, str(signature.pk)):
        assert "records" not in groups(outsider, words)
        assert "versions" not in groups(outsider, words)
        assert "signatures" not in groups(outsider, words)
    assert outsider.get("/search/", {"q": "KRAS-001"}).status_code == 200, "no redirect tells that it exists"


def test_people_are_found_by_those_who_may_read_about_people(firm):
    assert [row.legal_name for row in groups(firm.client(firm.inspector), "okafor")["people"]] == ["Chidi Okafor"]
    assert "people" not in groups(firm.client(firm.author), "okafor")


@pytest.mark.parametrize("words", ["", " ", "zzzzz", "%", "_", "\\", "'; DROP TABLE", "<script>", "é" * 500])
def test_words_of_any_sort_are_answered(firm, reader, words):
    response = reader.get("/search/", {"q": words})
    assert response.status_code == 200
    assert "<script>" not in response.content.decode().replace('<script src="', "")


def test_wildcards_of_sql_are_ordinary_letters(firm, reader):
    assert groups(reader, "%") == {}
    assert groups(reader, "KRAS_001") == {}


def test_the_number_of_queries_does_not_grow_with_what_is_found(firm, reader):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            groups(reader, "panel")
        return len([one for one in captured if 'UPDATE "accounts_sitting"' not in one["sql"]])

    queries()
    few = queries()
    ngs = RecordType.objects.get(pk="NGS")
    for number in range(30):
        numbers.create(
            ngs, title=f"Lung panel {number}", area=firm.laboratory, by=firm.operator, number=f"KRAS-1{number:02}"
        )
    assert queries() == few
    assert len(groups(reader, "panel")["records"]) == 20


def test_numbers_that_begin_with_the_words_come_first(firm, reader):
    ngs = RecordType.objects.get(pk="NGS")
    numbers.create(ngs, title="About KRAS-77", area=firm.laboratory, by=firm.operator, number="KRAS-002")
    numbers.create(ngs, title="Something", area=firm.laboratory, by=firm.operator, number="KRAS-777")
    assert [row.number for row in groups(reader, "KRAS-77")["records"]] == ["KRAS-777", "KRAS-002"]
