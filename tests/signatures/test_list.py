"""The page of a list: chosen on the desk, each item opened, one code, all or none (§2 row 16, S8)."""

import re

import pytest

from audit.models import Entry
from records import transitions as records
from signatures.models import Intent, Signature, Step
from tests import acts, builders
from tests.cast import PASSWORD
from tests.signatures.test_pages import text


class Reader:
    """Maja Ruiz before three documents that wait for her."""

    def __init__(self, people, count: int = 3) -> None:
        self.people, self.user = people, people.reviewer
        self.versions = [builders.a_document_in_review(people, text=f"Text {number}") for number in range(count)]
        self.steps = [version.steps.get(assignee=self.user) for version in self.versions]
        self.client = people.client(self.user)

    def fields(self, **more) -> dict:
        return {"step": [str(step.pk) for step in self.steps], **more}

    def get(self):
        return self.client.get("/sign/list/", self.fields())

    def read(self, *versions) -> None:
        for version in versions:
            for page in range(1, version.rendition_pages + 1):
                assert self.client.get(f"/sign/pages/{version.pk}/{page}.png").status_code == 200

    def open(self) -> list[Intent]:
        assert self.client.post("/sign/list/open/", self.fields()).status_code == 302
        return list(Intent.objects.filter(used_at__isnull=True))

    def sign(self, opened: list[Intent], **more):
        typed = {"username": self.user.username, "password": PASSWORD, "code": self.people.code(self.user)}
        return self.client.post("/sign/list/", self.fields(intent=[str(one.pk) for one in opened], **typed, **more))


@pytest.mark.compliance("§2.16", "S8")
def test_compliance_a_list_is_explicit_and_each_item_says_whether_it_was_opened(people):
    reader = Reader(people)
    desk = text(reader.client.get("/"))
    assert all(f'value="{step.pk}"' in desk for step in reader.steps)
    reader.read(reader.versions[1])
    page = text(reader.get())
    assert [page.count(word) for word in ("Open here", "Not opened", "Opened</span>")] == [1, 1, 1]
    assert f"Next: {reader.versions[2].label}" in page
    assert "Open the sign dialog" not in page
    reader.read(*reader.versions)
    assert "Open the sign dialog" in text(reader.get())
    assert not Intent.objects.exists()


@pytest.mark.compliance("§2.16", "S8", "11.50(a)(3)")
def test_compliance_one_code_signs_the_list_and_each_signature_says_so(people):
    reader = Reader(people)
    reader.read(*reader.versions)
    opened = reader.open()
    assert "Sign all 3" in text(reader.get())
    answer = reader.sign(opened)
    assert answer.status_code == 302 and "/signatures/" in answer["Location"]
    signatures = list(Signature.objects.all())
    assert len({row.list_sha256 for row in signatures}) == 1 and len({row.intent_id for row in signatures}) == 3
    said = re.search(r"You signed 3 versions: ([^<]+)\.<", text(reader.client.get(answer["Location"])))
    assert said and sorted(said[1].split(", ")) == sorted(row.version.record.number for row in signatures)
    page = text(reader.client.get(signatures[0].get_absolute_url()))
    assert "Signed in a list of 3" in page
    assert page.count("last page opened") == 3
    assert Entry.objects.filter(action="signature.applied", detail__list_sha256=signatures[0].list_sha256).count() == 3


@pytest.mark.compliance("§2.16", "S8")
def test_compliance_nothing_of_a_list_is_signed_when_its_second_item_is_recalled_before_the_post(people):
    reader = Reader(people)
    reader.read(*reader.versions)
    opened = reader.open()
    records.recall(reader.versions[1], by=people.author, reason="A figure is missing in it.")
    answer = reader.sign(opened)
    assert answer.status_code == 403
    assert "waits for no signature" in text(answer)
    assert not Signature.objects.exists()


@pytest.mark.compliance("§2.16")
def test_compliance_what_is_no_list_opens_no_dialog(people):
    reader = Reader(people, 2)
    approval = builders.a_document_in_review(people, reviewers=[people.approver2])
    theirs = str(approval.steps.get(assignee=people.approver2).pk)
    mine = [str(step.pk) for step in reader.steps]
    for chosen, why in {
        (): "Choose 2 to 20",
        (mine[0],): "Choose 2 to 20",
        (mine[0], theirs): "asked of Ingrid Solheim",
        (mine[0], str(approval.steps.get(meaning="approval").pk)): "One list has one meaning",
    }.items():
        answer = reader.client.post("/sign/list/open/", {"step": list(chosen)})
        assert (answer.status_code, why in text(answer)) == (409, True), why
    assert people.client(people.outsider).post("/sign/list/open/", {"step": mine}).status_code == 404
    assert reader.client.get("/sign/list/?step=nonsense").status_code == 404
    assert not Intent.objects.exists()


@pytest.mark.compliance("§2.16", "11.10(e)")
def test_compliance_a_list_of_approvals_needs_the_tick_of_each(people):
    reader = Reader(people, 2)
    acts.sign(people.reviewer, *reader.versions)
    reader.user, reader.client = people.approver, people.client(people.approver)
    reader.steps = [Step.objects.get(version=version, assignee=people.approver) for version in reader.versions]
    reader.read(*reader.versions)
    before = text(reader.get())
    assert "Open the sign dialog" in before and "do so before you open it" in before
    assert all(f'href="{step.get_absolute_url()}?show=audit"' in before for step in reader.steps)
    opened = reader.open()
    answer = reader.sign(opened, reviewed=[str(opened[0].pk)])
    assert (answer.status_code, "tick that you have reviewed it" in text(answer)) == (400, True)
    answer = reader.sign(opened, reviewed=[str(one.pk) for one in opened])
    assert answer.status_code == 302
    assert Signature.objects.filter(meaning="approval", reviewed_to__isnull=False).count() == 2
