"""What became of a signature later is told with its artefact: withdrawn, or under review (§2.14, §2.19)."""

import pytest
from django.db import transaction

from accounts.models import Suspicion
from audit import trail
from audit.actions import Action
from signatures.artefacts import Standing, judge
from signatures.models import Signature
from tests import acts
from tests.portal.test_verify import ask, issued, told


@pytest.mark.compliance("§2.14", "S3", "S5")
def test_compliance_a_signature_that_was_withdrawn_is_genuine_and_counts_no_more(firm, ticking):
    pdf = issued(firm)
    signature = Signature.objects.get(version__record__number="URS-0001", meaning="approval")
    statement, seal = bytes(signature.statement), bytes(signature.seal)
    ticking.next_code()
    acts.withdraw(firm.approver, signature, reason="A secret of the firm.")
    assert judge(pdf).standing is Standing.WITHDRAWN
    for answer in (told(ask(pdf)), told(ask(statement, seal))):
        assert "Genuine, but later withdrawn." in answer
        assert "and its signer withdrew it later: it counts no more." in answer
        assert "Chidi Okafor" in answer and "A secret of the firm" not in answer
    assert "Withdrawn" in told(ask(issued(firm)))  # a copy of today says so itself


@pytest.mark.compliance("§2.19", "S7", "S5")
def test_compliance_a_signature_of_a_compromised_account_is_told_to_be_under_review(firm):
    pdf = issued(firm)
    signature = Signature.objects.get(version__record__number="URS-0001", meaning="approval")
    with transaction.atomic():
        Suspicion.objects.create(user=signature.signer, kind=Suspicion.Kind.COMPROMISED, since=signature.signed_at,
                                 raised_by=firm.administrator, reason="Found a secret note.")  # fmt: skip
        trail.record(Action.USER_CHANGED, signature.signer, by=firm.administrator)
    assert judge(pdf).standing is Standing.UNDER_REVIEW
    answer = told(ask(pdf))
    assert "Genuine, and under review." in answer and "secret note" not in answer
