"""A process that dies between the signature's row and its commit signs nothing (§2 row 24)."""

import json
import os
import signal
import subprocess
import sys

import pytest

from accounts.models import Sitting
from audit import trail
from audit.actions import Action
from audit.models import Entry
from records.models import Version
from signatures import intents
from signatures.models import Intent, Signature
from signatures.transitions import sign
from tests import acts, builders
from tests.conftest import ROOT

# A worker that is killed in its transaction, when signature, state and entry are written and nothing is committed.
DYING = """
import json, os, signal, sys
import django
django.setup()
from django.contrib.auth.hashers import Argon2PasswordHasher
Argon2PasswordHasher.time_cost, Argon2PasswordHasher.memory_cost, Argon2PasswordHasher.parallelism = 1, 256, 1
from accounts.identity import Credentials
from accounts.models import Sitting, User
from signatures.models import Signature
from signatures.transitions import sign

said = json.load(sys.stdin)

def die(signature):
    assert Signature.objects.filter(pk=signature.pk).exists()
    os.kill(os.getpid(), signal.SIGKILL)

sign(said["intent"], "review", signer=User.objects.get(pk=said["user"]), sitting=Sitting.objects.get(pk=said["sitting"]),
     credentials=Credentials(**said["credentials"]), signed=die)
"""


@pytest.mark.compliance("§2.24", "11.200(a)(1)")
def test_compliance_a_process_killed_between_insert_and_commit_signs_nothing_and_the_code_stays_spent(people):
    version = builders.a_document_in_review(people)
    step, where = acts.waiting_step(version, people.reviewer), acts.sitting(people.reviewer)
    intent = acts.intend(version, people.reviewer, where, step)
    typed = acts.credentials(people.reviewer)
    said = {
        "intent": str(intent.pk),
        "user": str(people.reviewer.pk),
        "sitting": str(where.pk),
        "credentials": typed.__dict__,
    }
    died = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DYING],
        input=json.dumps(said), text=True, capture_output=True, cwd=ROOT, env=dict(os.environ), timeout=120, check=False,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr[-2000:]
    assert not Signature.objects.exists()
    assert not Entry.objects.filter(action=Action.SIGNATURE_APPLIED).exists()
    assert Version.objects.get(pk=version.pk).state == "in_review"
    assert acts.waiting_step(version, people.reviewer) == step

    def again(intent: Intent):
        return sign(
            intent.pk,
            "review",
            signer=people.reviewer,
            credentials=typed,
            sitting=Sitting.objects.get(pk=where.pk),
        )

    # Whoever tries again is told what happened, and what to do.
    with pytest.raises(intents.IntentRefused, match="Open it again: nothing was signed"):
        again(intent)
    fresh = intents.open_for(version, user=people.reviewer, sitting=where, step=step)
    with trail.refusals(people.reviewer), pytest.raises(trail.Refused, match=r"used|next"):
        again(fresh)
    assert not Signature.objects.exists()
