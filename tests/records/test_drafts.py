"""A draft is held by one person, saved with history and an entry, and autosaved without either."""

import io

import pytest
from django.db import transaction
from PIL import Image

from accounts.models import User
from accounts.transitions import set_roles
from audit import trail
from audit.models import Entry, RowChange
from records import documents, drafts, open_places
from records.models import Buffer, Draft, Version
from records.transitions import move
from signatures import requests
from signatures.requests import Asked
from tests import builders
from tests.firm import make_buckets


def _png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 3), "teal").save(stream, "PNG")
    return stream.getvalue()


PNG = _png()


@pytest.fixture(autouse=True)
def store(people):
    make_buckets()


@pytest.fixture
def second_author(people):
    """The reviewer, who is given the author's role as well."""
    set_roles(people.reviewer, ["author", "reviewer"], by=people.administrator, reason="Writes as well from now on")
    return User.objects.get(pk=people.reviewer.pk)


def draft_of(people) -> Draft:
    return builders.a_record(people).draft


def submitted(draft: Draft, *, by: User, asked: User | None = None) -> Version:
    """Submit it as it is now; `asked` is whose approval is asked for."""
    draft = Draft.objects.select_related("record__type", "checked_out_by").get(pk=draft.pk)

    def then(version: Version) -> None:
        if asked:
            requests.open_route(version, [Asked(1, "approval", "approver", asked)], by=by)

    return documents.submit(draft, by=by, message="An issue", then=then)


def moved(version: Version, *steps: str, by: User) -> None:
    with transaction.atomic():
        for step in steps:
            version = move(version, step, by=by, reason="As the signature says.")


def sections(text: str, title: str = "Purpose") -> list[dict[str, str]]:
    return [{"id": "s1", "title": title, "guidance": "", "text": text}]


def test_a_draft_that_somebody_holds_is_not_checked_out_by_another(people, second_author):
    draft = draft_of(people)
    with pytest.raises(drafts.DraftRefused, match="Ana Lindqvist has it checked out"):
        drafts.check_out(draft, by=second_author)
    assert Draft.objects.get(pk=draft.pk).checked_out_by == people.author


def test_taking_over_needs_a_reason_and_is_on_the_trail_with_it(people, second_author):
    draft = draft_of(people)
    with pytest.raises(trail.Refused, match="10 letters"):
        drafts.take_over(draft, by=second_author, reason="now")
    drafts.take_over(draft, by=second_author, reason="Ana is on leave until Monday.")
    told = Entry.objects.get(subject_id=str(draft.pk), action="draft.taken_over")
    assert (told.actor_name, told.reason, told.detail) == (
        "Maja Ruiz",
        "Ana is on leave until Monday.",
        {"from": "Ana Lindqvist"},
    )


def test_who_lost_the_draft_can_neither_save_nor_autosave_it(people, second_author):
    draft = draft_of(people)
    drafts.take_over(draft, by=second_author, reason="Ana is on leave until Monday.")
    draft.refresh_from_db()
    for verb in (
        lambda: drafts.save(draft, sections("Mine."), by=people.author, message="", on_top_of=1),
        lambda: drafts.keep(draft, sections("Mine."), by=people.author, on_top_of=1),
        lambda: drafts.check_in(draft, by=people.author),
        lambda: drafts.add_image(draft, "gel.png", PNG, by=people.author),
    ):
        with pytest.raises(drafts.DraftRefused):
            verb()


def test_a_save_on_top_of_an_older_revision_is_refused_and_changes_nothing(people):
    draft = draft_of(people)
    drafts.save(draft, sections("First."), by=people.author, message="one", on_top_of=1)
    with pytest.raises(drafts.DraftRefused, match="saved elsewhere"):
        drafts.save(draft, sections("From another tab."), by=people.author, message="two", on_top_of=1)
    assert Draft.objects.get(pk=draft.pk).sections == sections("First.")


def test_an_autosave_writes_no_entry_no_history_and_no_row_change(people):
    draft = draft_of(people)
    before = (Entry.objects.count(), Draft.history.count(), RowChange.objects.count())
    drafts.keep(draft, sections("Half a sent"), by=people.author, on_top_of=1)
    drafts.keep(draft, sections("Half a sentence."), by=people.author, on_top_of=1)
    assert (Entry.objects.count(), Draft.history.count(), RowChange.objects.count()) == before
    assert Buffer.objects.get().sections == sections("Half a sentence.")
    assert Draft.objects.get(pk=draft.pk).sections == sections("Why.")


def test_a_save_writes_an_entry_and_a_history_row_by_the_one_clock_and_empties_the_buffer(people, ticking):
    ticking.advance(days=400)
    draft = draft_of(people)
    drafts.keep(draft, sections("Half."), by=people.author, on_top_of=1)
    saved = drafts.save(draft, sections("Whole."), by=people.author, message="Purpose written", on_top_of=1)
    told = Entry.objects.get(subject_id=str(draft.pk), action="draft.saved")
    row = Draft.history.filter(revision=2).get()
    assert (told.reason, told.detail) == ("Purpose written", {"revision": 2})
    assert (row.history_user, row.message, row.sections) == (people.author, "Purpose written", sections("Whole."))
    assert abs((row.history_date - told.at).total_seconds()) < 5, "the history is dated by another clock than the trail"
    assert saved.revision == 2 and not Buffer.objects.exists()


def test_everybody_who_saved_is_sealed_as_a_contributor(people, second_author):
    draft = draft_of(people)
    drafts.check_in(draft, by=people.author)
    drafts.check_out(draft, by=second_author)
    drafts.save(draft, sections("Maja's words."), by=second_author, message="", on_top_of=1)
    drafts.check_in(draft, by=second_author)
    draft = Draft.objects.select_related("record__type", "checked_out_by").get(pk=draft.pk)
    version = documents.submit(draft, by=people.author, message="First issue", then=lambda made: None)
    assert set(version.contributors) == {str(people.author.pk), str(second_author.pk)}


def written_by(draft: Draft, writer: User, *, held_by: User) -> None:
    """The writer saves its whole text, and gives it back."""
    drafts.check_in(draft, by=held_by)
    drafts.check_out(draft, by=writer)
    drafts.save(draft, sections("Every word of it."), by=writer, message="", on_top_of=1)
    drafts.check_in(draft, by=writer)


@pytest.mark.compliance("§2.11")
@pytest.mark.parametrize("end", ["reject", "recall"])
def test_compliance_who_wrote_a_text_that_came_back_is_never_asked_to_sign_it(people, second_author, end):
    set_roles(second_author, ["author", "approver"], by=people.administrator, reason="Approves as well from now on")
    second_author = User.objects.get(pk=second_author.pk)
    draft = draft_of(people)
    written_by(draft, second_author, held_by=people.author)
    for _ in range(2):
        version = submitted(draft, by=people.author)
        assert str(second_author.pk) in version.contributors
        moved(version, end, by=people.approver)
    with pytest.raises(trail.Refused, match="wrote part of this version"):
        submitted(draft, by=people.author, asked=second_author)


@pytest.mark.compliance("§2.11")
def test_compliance_who_submitted_a_text_that_came_back_had_a_part_in_it_when_another_submits_it(people, second_author):
    draft = draft_of(people)
    drafts.check_in(draft, by=people.author)
    moved(submitted(draft, by=second_author), "reject", by=people.approver)
    assert str(second_author.pk) in submitted(draft, by=people.author).contributors


@pytest.mark.compliance("§2.11")
@pytest.mark.parametrize("steps", [["approve"], ["approve", "retire"]])
def test_compliance_who_wrote_nothing_since_the_last_approved_version_had_no_part_in_the_next_one(
    people, second_author, steps
):
    draft = draft_of(people)
    written_by(draft, second_author, held_by=people.author)
    moved(submitted(draft, by=people.author), "reject", by=people.approver)
    moved(submitted(draft, by=people.author), *steps, by=people.approver)
    assert submitted(draft, by=people.author).contributors == []


@pytest.mark.compliance("§2.11")
def test_compliance_who_added_an_image_that_the_text_shows_had_a_part_in_it_until_it_is_approved(people, second_author):
    draft = draft_of(people)
    drafts.take_over(draft, by=second_author, reason="Ana is on leave until Monday.")
    image = drafts.add_image(draft, "limits.png", PNG, by=second_author)
    drafts.take_over(draft, by=people.author, reason="Back from leave since today.")
    drafts.save(draft, sections("Limits."), by=people.author, message="", on_top_of=1)
    assert documents.writers(Draft.objects.get(pk=draft.pk)) == [str(people.author.pk)]
    shown = sections(f"Limits: ![limits](attachment:{image.name})")
    draft = drafts.save(draft, shown, by=people.author, message="", on_top_of=2)
    version = submitted(draft, by=people.author)
    assert str(second_author.pk) in version.contributors
    moved(version, "approve", by=people.approver)
    assert documents.writers(Draft.objects.get(pk=draft.pk)) == []


def test_of_two_submissions_side_by_side_the_second_is_refused_with_a_sentence(people, monkeypatch):
    draft, made = draft_of(people), []
    rendered = documents.renditions.of_document

    def meanwhile(*args, **more):
        rendition = rendered(*args, **more)
        if not made:
            made.append(1)
            submitted(draft, by=people.author)
        return rendition

    monkeypatch.setattr(documents.renditions, "of_document", meanwhile)
    with pytest.raises(documents.NotReady, match="in review already"):
        submitted(draft, by=people.author)
    assert Version.objects.filter(record=draft.pk).count() == 1


def test_what_is_edited_while_a_version_is_in_review_belongs_to_the_next_version(people):
    draft = draft_of(people)
    first = documents.submit(draft, by=people.author, message="First issue", then=lambda made: None)
    drafts.check_out(draft, by=people.author)
    drafts.save(draft, sections("Edited in review."), by=people.author, message="", on_top_of=1)
    assert documents.sections_of(Version.objects.get(pk=first.pk))[0]["text"] == "Why."
    with pytest.raises(documents.NotReady, match="in review already"):
        documents.submit(
            Draft.objects.get(pk=draft.pk), by=people.author, message="Second issue", then=lambda made: None
        )


def test_a_submission_names_every_section_that_still_has_a_place_to_fill(people):
    draft = draft_of(people)
    text = "Kept in [FILL: records bucket] for [FILL: retention]."
    saved = drafts.save(
        draft,
        [*sections(text), {"id": "s2", "title": "Scope", "guidance": "", "text": " "}],
        by=people.author,
        message="",
        on_top_of=1,
    )
    with pytest.raises(documents.NotReady) as refused:
        documents.submit(saved, by=people.author, message="no", then=lambda made: None)
    for told in ("Purpose (2)", "empty sections: Scope", "Say in a few words what changed"):
        assert told in refused.value.message
    assert not Version.objects.exists()


def test_a_submission_is_refused_while_the_editor_holds_text_that_is_not_saved(people):
    draft = draft_of(people)
    drafts.keep(draft, sections("Newer words."), by=people.author, on_top_of=1)
    with pytest.raises(documents.NotReady, match="not saved"):
        documents.submit(draft, by=people.author, message="First issue", then=lambda made: None)
    drafts.throw_away(draft, by=people.author)
    assert documents.submit(draft, by=people.author, message="First issue", then=lambda made: None).ordinal == 1


def test_marks_around_open_places_never_touch_an_attribute():
    html = '<p><img alt="[FILL: a > b]" src="/x.png"> say [FILL: firm] &amp; go</p>'
    assert open_places.marked(html) == (
        '<p><img alt="[FILL: a > b]" src="/x.png"> say <mark>[FILL: firm]</mark> &amp; go</p>'
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        ("page.png", b"<html><script>alert(1)</script></html>"),
        ("gel.gif", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"),
        ("cut.png", PNG[:40]),
    ],
)
def test_only_pictures_that_can_be_decoded_are_taken(people, name, data):
    with pytest.raises(drafts.DraftRefused, match="PNG or JPEG"):
        drafts.add_image(draft_of(people), name, data, by=people.author)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [{"id": "s1", "title": " ", "text": "x"}],
        [{"id": "s1", "title": "T" * 201, "text": "x"}],
        [{"id": "s1", "title": "T", "text": "a\x00b"}],
        [{"id": "s1", "title": "T", "text": "x" * 200_001}],
        [{"id": f"s{number}", "title": "T", "text": "x"} for number in range(101)],
    ],
)
def test_sections_out_of_shape_are_refused_before_anything_is_stored(people, wrong):
    draft = draft_of(people)
    with pytest.raises(drafts.DraftRefused):
        drafts.save(draft, wrong, by=people.author, message="", on_top_of=1)
    assert Draft.objects.get(pk=draft.pk).revision == 1
