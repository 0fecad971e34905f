"""A reason is words, everywhere one is asked for (EU GMP Annex 11, 9; draft 12.2): one rule, held against every verb."""

import ast
import inspect
import re
import uuid
from collections.abc import Callable
from datetime import date

import pytest

from accounts import transitions as people_verbs
from audit import alarms, clock, reasons, reviews, trail
from audit.alarms import Kind
from audit.models import Entry, ReviewFilter
from cloudtrail import archive
from cloudtrail import transitions as trails
from cloudtrail.models import Trail
from portal import posture, restoring
from records import drafts
from records import transitions as versions
from signatures import routes
from signatures import transitions as signing
from signatures.models import Step
from sops import transitions as sops
from tests.test_floors import FLOORS, ROOT, modules

WORDS = {"reason", "comment", "why", "evidence"}
# Functions that take a reason which another one has looked at already, or which may be left out.
PASSED_ON = {
    "accounts/qualifications.py:lift": "in the transaction of a signature that gave it",
    "accounts/transitions.py:waive_letter": "in the transaction of an approved report that gives it",
    "accounts/transitions.py:end_waiver": "in the transaction of the signature that undoes the approval",
    "audit/reasons.py:demand_reason": "the rule itself",
    "audit/trail.py:record": "writes what the verbs have looked at",
    "records/transitions.py:move": "takes the step of a verb that has looked at it",
    "records/transitions.py:move_locked": "the same, where the version is locked already",
    "storage/transitions.py:register_bucket": "nothing is changed: a reason may be given",
    "portal/management/commands/archive_events.py:handle": "gives it to the verb",
}
BAD = ["", "            ", "x", "xxxxxxxxxxxx", "..............", "short one"]

SERVICE = {"kind": "service", "identifier": "backup.amazonaws.com", "person": "Ben Ito", "since": date(2026, 1, 1)}

Verb = Callable[[object, str], object]
TRIED: dict[str, Verb] = {
    "accounts/transitions.py:change_details": lambda f, r: people_verbs.change_details(f.author, by=f.administrator, reason=r, legal_name="Ana L", email="ana@lab.example", title="", expires_at=None),
    "accounts/transitions.py:set_roles": lambda f, r: people_verbs.set_roles(f.author, ["author", "reviewer"], by=f.administrator, reason=r),
    "accounts/transitions.py:set_areas": lambda f, r: people_verbs.set_areas(f.author, [], by=f.administrator, reason=r),
    "accounts/transitions.py:grant": lambda f, r: people_verbs.grant(f.outsider, f.kras, by=f.administrator, reason=r),
    "accounts/transitions.py:revoke": lambda f, r: people_verbs.revoke(f.outsider, f.kras, by=f.administrator, reason=r),
    "accounts/transitions.py:withdraw_device": lambda f, r: people_verbs.withdraw_device(f.author, by=f.administrator, reason=r),
    "accounts/transitions.py:link_identity": lambda f, r: people_verbs.link_identity(f.author, subject="a-subject", by=f.administrator, reason=r),
    "accounts/transitions.py:unlink_identity": lambda f, r: people_verbs.unlink_identity(f.author, by=f.administrator, reason=r),
    "accounts/transitions.py:suspect": lambda f, r: people_verbs.suspect(f.author, since=clock.now(), by=f.administrator, reason=r),
    "accounts/transitions.py:clear": lambda f, r: people_verbs.clear(f.author, by=f.administrator, reason=r),
    "accounts/transitions.py:withdraw_passkey": lambda f, r: people_verbs.withdraw_passkey(f.author, uuid.uuid4(), by=f.administrator, reason=r),
    "accounts/transitions.py:deactivate": lambda f, r: people_verbs.deactivate(f.author, by=f.administrator, reason=r),
    "accounts/transitions.py:reactivate": lambda f, r: people_verbs.reactivate(f.author, by=f.administrator, reason=r),
    "accounts/transitions.py:unlock": lambda f, r: people_verbs.unlock(f.author, by=f.administrator, reason=r),
    "accounts/transitions.py:prove_identity": lambda f, r: people_verbs.prove_identity(f.author, by=f.administrator, evidence=r),
    "accounts/transitions.py:change_area": lambda f, r: people_verbs.change_area(f.laboratory, name="New", description="", by=f.administrator, reason=r),
    "audit/alarms.py:acknowledge": lambda f, r: alarms.acknowledge(alarms.raise_alarm(Kind.LOCK_OUT, f.author, "Locked."), by=f.approver, comment=r),
    "audit/reviews.py:make_filter": lambda f, r: reviews.make_filter("Mine", why=r, every_days=7, by=f.approver),
    "audit/reviews.py:retire_filter": lambda f, r: reviews.retire_filter(ReviewFilter.objects.first(), by=f.approver, reason=r),
    "cloudtrail/archive.py:close": lambda f, r: archive.close(date(2026, 1, 1), by=f.administrator, reason=r),
    "cloudtrail/transitions.py:change_trail": lambda f, r: trails.change_trail(Trail.objects.first().pk, {}, by=f.administrator, reason=r),
    "cloudtrail/transitions.py:enter_in_directory": lambda f, r: trails.enter_in_directory(SERVICE, by=f.administrator, reason=r),
    "cloudtrail/transitions.py:end_in_directory": lambda f, r: trails.end_in_directory(trails.enter_in_directory(SERVICE | {"identifier": f"{uuid.uuid4()}.amazonaws.com"}, by=f.administrator, reason="who answers for it").pk, clock.now().date(), by=f.administrator, reason=r),
    "portal/posture.py:propose": lambda f, r: posture.propose({}, by=f.approver, why=r),
    "portal/restoring.py:report": lambda f, r: restoring.report(by=f.administrator, reason=r),
    "records/drafts.py:take_over": lambda f, r: drafts.take_over(f.record("FS-0001").draft, by=f.author, reason=r),
    "records/transitions.py:recall": lambda f, r: versions.recall(f.version("VP-0001"), by=f.author, reason=r),
    "records/transitions.py:retire": lambda f, r: versions.retire(f.version("URS-0001"), by=f.approver, reason=r),
    "signatures/routes.py:change": lambda f, r: routes.change("document", [], by=f.approver, reason=r, on_top_of=0),
    "signatures/transitions.py:reassign": lambda f, r: signing.reassign(Step.objects.get(version=f.version("VP-0001"), meaning="approval"), to=f.approver2, by=f.author, reason=r),
    "sops/transitions.py:change_rule": lambda f, r: sops.change_rule(f.record("SOP-0001").sop, by=f.author, reading_roles=[], reading_days=7, reason=r),
}  # fmt: skip


def verbs() -> set[str]:
    """Public functions of the product that take somebody's reason, by file and name."""
    found = set()
    for app in set(FLOORS) - {"demo", "standin"}:
        for path in modules(app):
            if "migrations" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    names = {argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]}
                    if names & WORDS and "by" in names:
                        found.add(f"{path.relative_to(ROOT)}:{node.name}")
    return found


@pytest.mark.compliance("11.10(e)")
def test_compliance_every_verb_that_takes_a_reason_is_on_the_list():
    assert verbs() == set(TRIED) | set(PASSED_ON)
    assert inspect.signature(reasons.fault).parameters["letters"].default == reasons.LETTERS == 10


@pytest.mark.compliance("11.10(e)")
def test_compliance_no_verb_takes_blanks_or_a_keystroke_for_a_reason(furnished):
    for name, verb in TRIED.items():
        for bad in BAD:
            before = Entry.objects.order_by("-id").values_list("id", flat=True).first()
            with pytest.raises(trail.Refused) as caught, trail.refusals(furnished.administrator):
                verb(furnished, bad)
            said = caught.value.message
            assert re.search(r"Give (a|the) (reason|comment)|Say what was seen", said), (name, bad, said)
            told = Entry.objects.filter(id__gt=before, action__endswith=".refused")
            assert told.count() == 1, (name, bad)


@pytest.mark.parametrize(
    "good", ["On the way there", "It cannot be tested.", "Sie übernimmt die QA", "配置変更のため試験を再実施した"]
)
def test_words_of_any_language_are_a_reason(good):
    assert reasons.fault(good) == ""
