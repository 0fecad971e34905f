"""Record definitions in the browser: written as data, read as a document, the gate once they are approved (R1)."""

import json

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.transitions import set_roles
from audit import clock
from audit.actions import Action
from audit.models import Entry
from demo import content
from records import contract, defining, definitions, drafts
from records.models import Draft, RecordType, Version
from records.transitions import move
from tests.acts import sign
from tests.firm import next_code


def form_of(client, url):
    """Every field of the page's definition form as a browser would send it."""
    from html.parser import HTMLParser

    class Fields(HTMLParser):
        def __init__(self):
            super().__init__()
            self.found, self.inside, self.area, self.select = {}, False, None, None

        def handle_starttag(self, tag, attributes):
            given = dict(attributes)
            if tag == "form":
                self.inside = given.get("id") == "definition"
            if not self.inside:
                return
            if tag == "input" and given.get("name"):
                if given.get("type") != "checkbox" or "checked" in given:
                    self.found[given["name"]] = given.get("value") or ("on" if given.get("type") == "checkbox" else "")
            elif tag == "textarea":
                self.area = given["name"]
                self.found[self.area] = ""
            elif tag == "select":
                self.select = given["name"]
            elif tag == "option" and "selected" in given:
                self.found[self.select] = given["value"]

        def handle_data(self, data):
            if self.area:
                self.found[self.area] += data

        def handle_endtag(self, tag):
            if tag == "textarea":
                self.found[self.area] = self.found[self.area].removeprefix("\n")
                self.area = None

    fields = Fields()
    fields.feed(client.get(url).content.decode())
    return fields.found


@pytest.fixture
def author(firm):
    """The author's browser, with the definition of NGS checked out."""
    client = firm.client(firm.author)
    assert client.post("/definitions/NGS/check-out/").status_code == 302
    return client


def saved():
    return defining.definition_of(Draft.objects.get(record__defines="NGS"))


def test_a_definition_that_is_opened_and_saved_says_the_same(author):
    before = saved()
    answer = author.post("/definitions/NGS/edit/", form_of(author, "/definitions/NGS/edit/"))
    assert answer.status_code == 302
    assert saved() == before


def test_a_definition_saved_as_json_says_the_same(author):
    before = saved()
    values = form_of(author, "/definitions/NGS/edit/?schema=json")
    assert values["schema_as"] == "json"
    assert author.post("/definitions/NGS/edit/", values).status_code == 302
    assert saved() == before


def test_a_field_is_added_and_asked_for_in_the_order_of_the_table(author):
    values = form_of(author, "/definitions/NGS/edit/")
    page = author.post("/definitions/NGS/edit/", values | {"add": "fields"})
    count = int(values["fields-TOTAL_FORMS"])
    assert f'name="fields-{count}-name"' in page.content.decode()
    more = {
        "fields-TOTAL_FORMS": str(count + 1), f"fields-{count}-name": "freezer", f"fields-{count}-type": "string",
        f"fields-{count}-choices": "F-07\nF-08", f"fields-{count}-required": "on",
    }  # fmt: skip
    assert author.post("/definitions/NGS/edit/", values | more).status_code == 302
    schema = saved().metadata_schema
    assert list(schema["properties"])[-1] == "freezer" and schema["required"][-1] == "freezer"
    assert schema["properties"]["freezer"] == {"type": "string", "enum": ["F-07", "F-08"]}


def test_a_row_marked_for_deletion_is_gone(author):
    values = form_of(author, "/definitions/NGS/edit/")
    assert author.post("/definitions/NGS/edit/", values | {"files-0-DELETE": "on"}).status_code == 302
    assert [file.pattern for file in saved().required_files] == [
        file["pattern"] for file in content.NGS_RUN_PACKAGE["required_files"][1:]
    ]


def test_problems_are_told_live_and_nothing_is_kept_of_the_question(author):
    values = form_of(author, "/definitions/NGS/edit/") | {
        "d-owner": "",
        "d-predicate_rule": "",
        "signers-0-role": "reviewer",
    }
    revision = Draft.objects.get(record__defines="NGS").revision
    said = author.post("/definitions/NGS/check/", values).content.decode()
    assert "The owner is empty." in said and "needs its predicate rule" in said and "No approver signs" in said
    assert Draft.objects.get(record__defines="NGS").revision == revision


@pytest.mark.parametrize(("change", "said"), [
    ({"d-retention_years": "soon"}, "Enter a whole number"),
    ({"fields-0-name": ""}, "has no name"),
    ({"fields-1-more": "{"}, "is not JSON"),
])  # fmt: skip
def test_what_cannot_be_read_is_not_saved_and_stays_in_the_form(author, change, said):
    answer = author.post(
        "/definitions/NGS/edit/", form_of(author, "/definitions/NGS/edit/") | change | {"d-name": "Kept as typed"}
    )
    text = answer.content.decode()
    assert answer.status_code == 400 and said in text and 'value="Kept as typed"' in text


def test_a_save_over_a_newer_save_is_refused(author):
    values = form_of(author, "/definitions/NGS/edit/")
    assert author.post("/definitions/NGS/edit/", values).status_code == 302
    answer = author.post("/definitions/NGS/edit/", values)
    assert answer.status_code == 400 and b"saved elsewhere meanwhile" in answer.content


def test_a_definition_goes_from_nothing_to_the_gate(firm, ticking):
    client = firm.client(firm.author)
    answer = client.post("/definitions/new/", {"name": "Cell images", "code": "cell", "numbering": "counted", "begins_with": "CELL",
                                               "digits": "3", "area": str(firm.laboratory.pk)})  # fmt: skip
    assert answer["Location"] == "/definitions/CELL/edit/"
    kind = RecordType.objects.get(pk="CELL")
    assert definitions.in_force(kind, clock.now()) is None
    values = form_of(client, "/definitions/CELL/edit/") | {
        "d-description": "Images of one plate.", "d-part11_reason": "It is raw data.", "d-predicate_rule": "21 CFR 58.190",
        "d-owner": "Head of imaging", "files-TOTAL_FORMS": "1", "files-0-pattern": "*.png", "files-0-label": "Images",
        "files-0-min_count": "1",
    }  # fmt: skip
    assert client.post("/definitions/CELL/edit/", values).status_code == 302
    asked = {"message": "First issue", "reviewers": [str(firm.reviewer.pk)], "approvers": [str(firm.approver.pk)]}
    answer = client.post("/definitions/CELL/submit/", asked)
    version = Version.objects.get(record=kind.definition)
    assert answer["Location"] == version.get_absolute_url() and version.state == "in_review"
    assert sorted(file.logical_key for file in version.files.all()) == ["definition.json", "document.json"]
    next_code()
    for signer in (firm.reviewer, firm.approver):
        sign(signer, version)
    held, said = definitions.in_force(kind, clock.now())
    assert held == version and said.required_files == (contract.RequiredFile("*.png", "Images"),)


def test_a_definition_with_problems_is_not_submitted_and_the_refusal_is_kept(firm):
    client = firm.client(firm.author)
    client.post("/definitions/new/", {"name": "Cells", "code": "CELL", "numbering": "counted", "begins_with": "CELL",
                                      "digits": "3", "area": str(firm.laboratory.pk)})  # fmt: skip
    asked = {"message": "First issue", "reviewers": [], "approvers": [str(firm.approver.pk)]}
    answer = client.post("/definitions/CELL/submit/", asked)
    assert answer.status_code == 400 and b"The owner is empty." in answer.content
    assert not Version.objects.filter(record__defines="CELL").exists()
    assert Entry.objects.filter(action=Action.REQUEST_REFUSED, detail__message__icontains="The owner is empty").exists()


def test_what_lies_elsewhere_does_not_exist_and_only_authors_write(firm):
    assert firm.client(firm.outsider).get("/definitions/NGS/records/").status_code == 404
    assert b"NGS" not in firm.client(firm.outsider).get("/definitions/").content
    for who in (firm.operator, firm.approver, firm.inspector):
        client = firm.client(who)
        assert client.get("/definitions/").status_code == 200
        assert client.get("/definitions/NGS/edit/").status_code == 403
        assert client.post("/definitions/NGS/check-out/").status_code == 403


def test_the_list_takes_the_same_number_of_queries_however_many_types_there_are(firm):
    client = firm.client(firm.author)

    def queries():
        with CaptureQueriesContext(connection) as caught:
            assert client.get("/definitions/").status_code == 200
        return len(caught)

    queries()
    few = queries()
    for number in range(5):
        defining.create_type(f"TYPE{number}", name=f"Type {number}", prefix=f"TYPE{number}", numbering="counted", digits=3,
                             area=firm.laboratory, by=firm.author)  # fmt: skip
    assert queries() == few


@pytest.mark.compliance("§2.11")
def test_compliance_who_wrote_a_definition_that_came_back_had_a_part_in_its_next_version(firm):
    set_roles(firm.reviewer, ["author", "reviewer"], by=firm.administrator, reason="Writes as well from now on")
    writer = User.objects.get(pk=firm.reviewer.pk)
    draft = Draft.objects.select_related("record__type").get(record__defines="NGS")
    drafts.check_out(draft, by=writer)
    text = json.loads(draft.sections[0]["text"])
    defining.save(draft, text, by=writer, message="", on_top_of=draft.revision)
    drafts.check_in(draft, by=writer)
    for _ in range(2):
        draft = Draft.objects.select_related("record__type", "record__defines").get(pk=draft.pk)
        version = defining.submit(draft, by=firm.author, message="An issue", then=lambda made: None)
        assert str(writer.pk) in version.contributors
        with transaction.atomic():
            move(version, "reject", by=firm.approver, reason="As the signature says.")
