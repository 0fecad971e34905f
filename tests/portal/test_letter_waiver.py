"""A waiver of the letter to the agency lasts as long as the approval that brought it about (11.100(c))."""

import os
from types import SimpleNamespace as Like

import psycopg
import pytest

from accounts import rights
from accounts import transitions as people_verbs
from audit import clock, trail
from audit.models import Entry
from portal.pages import letter
from records.models import Version
from tests import acts, builders
from tests.signatures.test_later_acts import a_third_approver


@pytest.fixture
def waived(people, ticking):
    """No letter is on file; an approved report waives it. The approval."""
    builders.keep(b"x")
    with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as owner:
        owner.execute("ALTER TABLE accounts_letter DISABLE TRIGGER USER")
        owner.execute("DELETE FROM accounts_letter")
        owner.execute("ALTER TABLE accounts_letter ENABLE TRIGGER USER")
    form = Like(cleaned_data={"reason": "The letter is at the printer's.", "meanwhile": "Nothing regulated is signed.",
                              "approver": people.approver})  # fmt: skip
    report = letter._waiver(people.approver2, form)
    signature = acts.sign(people.approver, Version.objects.select_related("record__type").get(pk=report.pk))[0]
    ticking.next_code()
    assert rights._letter(people.reviewer, clock.now()).met
    return signature


def test_a_waiver_is_filed_where_its_approver_can_sign_it_and_asks_nobody_who_cannot_see_it(people):
    builders.keep(b"x")
    acts.area_of_their_own(people.approver2)
    said = {"reason": "The letter is at the printer's.", "meanwhile": "Nothing regulated is signed."}
    report = letter._waiver(people.approver2, Like(cleaned_data=said | {"approver": people.approver}))
    assert report.record.area == people.laboratory
    with pytest.raises(trail.Refused, match="Omar Haddad is in none of your areas"):
        letter._waiver(people.approver2, Like(cleaned_data=said | {"approver": people.outsider}))


@pytest.mark.compliance("11.100(c)", "S6")
def test_compliance_a_waiver_ends_when_its_approval_is_withdrawn(waived, people):
    acts.withdraw(people.approver, waived)
    assert not rights._letter(people.reviewer, clock.now()).met
    assert Entry.objects.filter(action="letter.waiver_ended").count() == 1


@pytest.mark.compliance("11.100(c)", "S6")
def test_compliance_a_waiver_ends_when_its_approval_does_not_stand(waived, people):
    people_verbs.suspect(people.approver, since=waived.signed_at, by=people.administrator, reason="Seen at two places")
    third = a_third_approver(people)
    acts.decide(third, waived, "does not stand")
    assert not rights._letter(people.reviewer, clock.now()).met
