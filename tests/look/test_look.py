from datetime import UTC, date, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from django import forms
from django.template import engines
from hypothesis import given
from hypothesis import strategies as st

from printing.templatetags import look

MOMENT = datetime(2026, 4, 12, 14, 22, 31, 408_123, tzinfo=UTC)


def drawn(text: str, **context) -> str:
    return engines["django"].from_string("{% load look %}" + text).render(context)


@pytest.mark.parametrize(
    ("precision", "words"),
    [
        ("date", "12 Apr 2026"),
        ("m", "12 Apr 2026 14:22 UTC"),
        ("s", "12 Apr 2026 14:22:31 UTC"),
        ("ms", "12 Apr 2026 14:22:31.408 UTC"),
        ("us", "12 Apr 2026 14:22:31.408123 UTC"),
        ("clock", "14:22:31"),
    ],
)
def test_a_time_is_said_in_utc(precision, words):
    assert look.utc(MOMENT, precision) == words
    assert look.utc(MOMENT.astimezone(timezone(timedelta(hours=9))), precision) == words


def test_a_time_without_a_zone_is_a_fault_not_a_guess():
    with pytest.raises(ValueError, match="no time zone"):
        look.utc(MOMENT.replace(tzinfo=None))


def test_no_time_and_a_day_are_said_too():
    assert look.utc(None) == ""
    assert look.utc(date(2036, 4, 12)) == "12 Apr 2036"
    assert look.weekday(date(2026, 11, 19)) == "Thursday 19 November 2026"
    assert look.iso(MOMENT) == "2026-04-12T14:22:31.408123Z"


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (1_420_000_000, "1.42 GB"),
        (88_213_311, "88.2 MB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes_have_three_figures_and_decimal_units(size, words):
    assert look.filesize(size) == words


def test_a_hash_is_short_and_keeps_its_algorithm():
    assert look.short_hash("9f3c41d7" + "0" * 52 + "e02b") == "9f3c41d7 … e02b"
    assert look.short_hash("sha256:9f3c41d7" + "0" * 52 + "e02b") == "sha256:9f3c41d7 … e02b"
    assert look.short_hash("null") == "null"
    assert look.short_hash(None) == ""


@pytest.mark.parametrize(
    ("name", "letters"),
    [("Chidi Okafor", "CO"), ("Anna-Karin Å. Öberg", "AÖ"), ("root", "R"), ("", "?"), (None, "?"), ("—", "?")],
)
def test_initials_of_any_name(name, letters):
    assert look.initials(name) == letters


def test_a_state_has_a_tone_and_words_and_an_unknown_one_stays_visible():
    assert look.tone_of("in_review") == ("info", "In review")
    assert look.tone_of("PROVEN") == ("ok", "PROVEN")
    assert look.tone_of("half_done") == ("mute", "Half done")
    assert {tone for tone, _ in look.STATES.values()} <= {"ok", "warn", "bad", "info", "mute"}
    assert look.message_tone("error safe") == "bad"


@given(st.lists(st.integers(min_value=0, max_value=10**6), max_size=20))
def test_stretches_of_a_coverage_bar_fill_it_end_to_end(amounts):
    laid = look.stretches([{"state": "proved", "amount": amount} for amount in amounts])
    end = 0.0
    for part in laid:
        assert float(part.x[:-1]) == pytest.approx(end, abs=0.01)
        end += float(part.width[:-1])
    assert not any(amounts) or end == pytest.approx(100, abs=0.05)


def test_what_people_write_is_escaped_in_every_component():
    evil = '"><script>alert(1)</script>'
    pages = [
        drawn("{% pill s %}{% hash s %}{% person s s %}{% icon s s %}", s=evil),
        drawn(
            '{% include "components/signature.html" %}',
            signature={
                "printed_name": evil,
                "role": evil,
                "meaning": evil,
                "sentence": evil,
                "top_hash": evil,
                "signed_at": MOMENT,
                "state": evil,
                "note": evil,
                "withdrawn": {"by": evil, "at": MOMENT, "reason": evil},
            },
        ),
        drawn(
            '{% include "components/verdict.html" %}',
            verdict={
                "tone": "ok",
                "say": evil,
                "meta": evil,
                "rows": [{"what": evil, "value": evil, "when": evil, "state": evil, "label": evil}],
                "know": [evil],
                "cannot": [evil],
            },
        ),
        drawn(
            '{% include "components/timeline.html" %}',
            days=[
                {
                    "day": MOMENT,
                    "entries": [{"at": MOMENT, "source": evil, "sentence": evil, "detail": evil, "who": evil}],
                }
            ],
        ),
        drawn(
            '{% include "components/facts.html" %}',
            facts=[{"label": evil, "value": evil}, {"label": evil, "hash": evil}],
        ),
        drawn(
            '{% include "components/diff.html" %}',
            diff={
                "left_label": evil,
                "right_label": evil,
                "rows": [
                    {
                        "kind": "change",
                        "left_no": 1,
                        "right_no": 1,
                        "left": [{"op": "del", "text": evil}],
                        "right": [{"op": "ins", "text": evil}],
                    }
                ],
            },
        ),
        drawn("{% coverage s l %}", s=[{"state": evil, "amount": 1, "words": evil}], l=evil),
        drawn("{{ s|markdown }}", s=evil),
    ]
    for html in pages:
        assert "<script" not in html


def test_inline_components_leave_no_space_behind_them():
    assert (
        drawn("{% pill 'approved' %}, {% hash h %}, {% time t %}, {% person 'Maja Ruiz' %}.", h="ab", t=MOMENT).count(
            " ,"
        )
        == 0
    )
    assert not drawn("{% time t %}", t=MOMENT).endswith((" ", "\n"))


class Form(forms.Form):
    title = forms.CharField(help_text="As on the first page.")
    kind = forms.ChoiceField(choices=[("a", "A")], widget=forms.RadioSelect)
    agree = forms.BooleanField()


def test_a_field_names_its_help_and_its_error_to_screen_readers():
    html = drawn("{% field form.title %}{% field form.kind %}{% field form.agree %}", form=Form({}))
    assert 'aria-describedby="id_title_helptext id_title_error"' in html
    assert 'id="id_title_helptext"' in html
    assert 'id="id_title_error"' in html
    assert html.count('aria-invalid="true"') >= 2
    assert "<legend>Kind" in html


def test_all_that_is_wrong_with_a_form_is_counted_and_linked():
    html = drawn("{% form_errors form %}", form=Form({}))
    assert "3 things to put right" in html
    assert 'href="#id_title"' in html
    assert drawn("{% form_errors form %}", form=Form()).strip() == ""


def test_a_done_job_no_longer_asks():
    text = '{% include "components/progress.html" with title="Hash" poll_url="/jobs/1/" %}'
    assert 'hx-get="/jobs/1/"' in drawn(
        text, job=SimpleNamespace(id=1, state="running", done=1, total=2, message="", error="")
    )
    assert "hx-get" not in drawn(text, job=SimpleNamespace(id=1, state="done", done=2, total=2, message="", error=""))


@pytest.mark.parametrize("name", ["400.html", "403.html", "404.html", "500.html"])
def test_error_pages_need_no_context(name):
    html = engines["django"].get_template(name).render({})
    assert "Go to your desk" in html
    assert 'id="rail"' not in html
