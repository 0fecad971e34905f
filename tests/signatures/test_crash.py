"""A process that dies between the signature's row and its commit signs nothing, and the person is told so (§2 row 24)."""

import pytest

from accounts import identity
from accounts.models import Sitting
from audit import trail
from records.models import Version
from signatures import intents
from signatures.models import Intent, Signature
from signatures.transitions import sign
from tests import acts, builders
from tests.cast import time_for_a_code
from tests.faults.test_faults import killed_at, no_session_left_behind


@pytest.mark.compliance("§2.24", "11.200(a)(1)")
def test_compliance_whoever_signed_through_a_process_that_was_killed_is_told_to_try_again(people):
    version = builders.a_document_in_review(people)
    time_for_a_code(28)
    typed = acts.credentials(people.reviewer)
    killed_at("signatures.transitions:_consequence:after", "sign", str(version.pk), "reviewer")
    no_session_left_behind()
    assert not Signature.objects.exists()
    assert Version.objects.get(pk=version.pk).state == "in_review"
    intent = Intent.objects.get()
    where = Sitting.objects.get(pk=intent.sitting_id)

    def again(opened: Intent) -> Signature:
        with trail.refusals(people.reviewer):
            return sign(opened.pk, "review", signer=people.reviewer, credentials=typed, sitting=where)

    with pytest.raises(intents.IntentRefused, match="Open it again: nothing was signed"):
        again(intent)
    fresh = intents.open_for(
        version, user=people.reviewer, sitting=where, step=acts.waiting_step(version, people.reviewer)
    )
    with pytest.raises(identity.NotConfirmed):
        again(fresh)  # the code stays spent, or is over by now
    assert not Signature.objects.exists()
