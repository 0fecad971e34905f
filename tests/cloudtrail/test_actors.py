"""From the identity in an event to a person, or the plain word that nobody can say."""

import json
import random
from datetime import timedelta

import pytest

from cloudtrail.actors import Identity, Standing, attribute, expiration, fingerprint, identity, issue
from cloudtrail.events import parse
from tests.cloudtrail import given


def who(identity_):
    return identity(json.dumps(identity_).encode())


def issues_of(*events):
    """The lookup over everything that these events handed out."""
    found = []
    for event in events:
        file = parse(given.packed([event]))
        found.append(issue(file.events[0], file.times[0]))
    assert all(found)

    def lookup(key, shared):
        return [one for one in found if (one.access_key == key if key else one.shared_event_id == shared)]

    return lookup


def nothing(key, shared):
    return ()


def told(identity_, issues=nothing, enforced=()):
    found = attribute(who(identity_), issues, enforced)
    return found.standing, found.name


def test_an_iam_user_is_proven():
    assert told(given.iam_user()) == (Standing.PROVEN, "maja")


def test_a_session_is_led_back_through_its_access_key():
    handed = issues_of(given.assume_role("ASIA1", by=given.iam_user(), name="botocore-session-17"))
    found = attribute(who(given.session("ASIA1")), handed)
    assert (found.standing, found.name, found.role) == (Standing.PROVEN, "maja", "ngs-analyst")
    assert len(found.hops) == 3
    assert "ASIA1 was handed out by AssumeRole at 2026-04-12 12:00:00 UTC" in found.hops[1].text


def test_a_chain_of_roles_is_led_back_to_its_beginning():
    handed = issues_of(
        given.assume_role("ASIA1", by=given.iam_user()),
        given.assume_role("ASIA2", by=given.session("ASIA1", role="hop-one")),
        given.assume_role("ASIA3", by=given.session("ASIA2", role="hop-two")),
    )
    found = attribute(who(given.session("ASIA3", role="last")), handed)
    assert (found.standing, found.name, found.role) == (Standing.PROVEN, "maja", "last")
    assert [hop for hop in found.hops if "hop-one" in hop.text]
    assert [hop for hop in found.hops if "hop-two" in hop.text]


def test_a_session_of_a_service_is_a_service():
    handed = issues_of(given.assume_role("ASIA1", by={"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}))
    assert told(given.session("ASIA1", name="i-0dbc91f429e48eeed"), handed) == (Standing.SERVICE, "ec2.amazonaws.com")


def test_a_session_name_alone_is_a_claim():
    assert told(given.session("ASIA1", name="anna.lindqvist")) == (Standing.CLAIMED, "anna.lindqvist")


@pytest.mark.parametrize(
    "name",
    [
        "botocore-session-1688990082",
        "i-0dbc91f429e48eeed",
        "aws-go-sdk-1688990082523310002",
        "1688990082",
        "AWSCLI-Session",
    ],
)
def test_a_name_that_software_made_up_claims_nobody(name):
    assert told(given.session("ASIA1", name=name)) == (Standing.UNRESOLVED, "")


def test_a_bare_role_is_never_a_name():
    for issues in (nothing, issues_of(given.assume_role("ASIA1", by=given.session("ASIA0", role="other")))):
        found = attribute(who(given.session("ASIA1", role="ngs-analyst")), issues)
        assert found.standing is Standing.UNRESOLVED
        assert found.name == ""
        assert found.role == "ngs-analyst"


def test_a_claim_of_an_earlier_session_is_told_rather_than_none():
    handed = issues_of(given.assume_role("ASIA2", by=given.session("ASIA1", name="anna.lindqvist")))
    assert told(given.session("ASIA2"), handed) == (Standing.CLAIMED, "anna.lindqvist")


def test_a_source_identity_is_a_claim_unless_the_account_enforces_it():
    session = given.session("ASIA1", sourceIdentity="anna")
    assert told(session) == (Standing.CLAIMED, "anna")
    assert told(session, enforced={given.ACCOUNT}) == (Standing.PROVEN, "anna")
    assert told(session, enforced={"999999999999"}) == (Standing.CLAIMED, "anna")


def test_the_chain_outweighs_a_source_identity():
    handed = issues_of(given.assume_role("ASIA1", by=given.iam_user()))
    assert told(given.session("ASIA1", sourceIdentity="somebody-else"), handed) == (Standing.PROVEN, "maja")


def test_a_program_that_takes_a_role_for_a_person_leaves_the_word_to_the_source_identity():
    service = {"type": "AWSService", "invokedBy": "ecs-tasks.amazonaws.com"}
    handed = issues_of(
        given.assume_role("ASIA1", by=service), given.assume_role("ASIA2", by=given.session("ASIA1", role="portal"))
    )
    asked = given.session("ASIA2", role="portal-person", sourceIdentity="anna")
    assert told(given.session("ASIA2", role="portal-person"), handed) == (Standing.SERVICE, "ecs-tasks.amazonaws.com")
    assert told(asked, handed) == (Standing.CLAIMED, "anna")
    assert told(asked, handed, enforced={given.ACCOUNT}) == (Standing.PROVEN, "anna")


def test_identity_center_names_its_sessions_after_its_users():
    path = "aws-reserved/sso.amazonaws.com/eu-central-1/"
    session = given.session("ASIA1", role="AWSReservedSSO_Analyst_1a2b", name="anna@firm.example", path=path)
    assert told(session) == (Standing.PROVEN, "anna@firm.example")


def test_a_role_that_only_looks_like_identity_center_proves_nothing():
    session = given.session("ASIA1", role="AWSReservedSSO_Analyst_1a2b", name="anna@firm.example")
    assert told(session) == (Standing.CLAIMED, "anna@firm.example")


def test_service_linked_roles_are_their_services():
    session = given.session("", role="AWSServiceRoleForRDS", name="x", path="aws-service-role/rds.amazonaws.com/")
    del session["accessKeyId"]
    assert told(session) == (Standing.SERVICE, "rds.amazonaws.com")


@pytest.mark.parametrize(
    ("identity_", "standing", "name"),
    [
        ({"type": "AWSService", "invokedBy": "cloudtrail.amazonaws.com"}, Standing.SERVICE, "cloudtrail.amazonaws.com"),
        ({"accountId": "1", "invokedBy": "secretsmanager.amazonaws.com"}, Standing.SERVICE, "secretsmanager.amazonaws.com"),
        ({"type": "SAMLUser", "userName": "anna", "identityProvider": "p"}, Standing.PROVEN, "anna"),
        ({"type": "WebIdentityUser", "userName": "anna", "identityProvider": "accounts.google.com"}, Standing.PROVEN, "anna"),
        ({"type": "WebIdentityUser", "userName": "repo:firm/x:ref:main", "identityProvider": "token.actions.githubusercontent.com"},
         Standing.SERVICE, "repo:firm/x:ref:main"),
        ({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "9067", "identityStoreArn": "a"}}, Standing.PROVEN, "Identity Center user 9067"),
        ({"type": "FederatedUser", "arn": "arn:aws:sts::1:federated-user/x",
          "sessionContext": {"sessionIssuer": {"type": "IAMUser", "userName": "maja"}}}, Standing.PROVEN, "maja"),
        ({"type": "AWSAccount", "accountId": "ANONYMOUS_PRINCIPAL", "principalId": ""}, Standing.UNRESOLVED, "anonymous"),
        ({"type": "AWSAccount", "accountId": "999999999999", "principalId": "AIDAX"}, Standing.UNRESOLVED, ""),
        ({"type": "Root", "accountId": "111122223333"}, Standing.UNRESOLVED, "root user of account 111122223333"),
        ({"type": "Unknown"}, Standing.UNRESOLVED, ""),
        ({}, Standing.UNRESOLVED, ""),
    ],
)  # fmt: skip
def test_each_type_of_identity(identity_, standing, name):
    assert told(identity_) == (standing, name)


def test_a_role_of_another_account_is_led_back_by_the_shared_event():
    theirs = given.assume_role(
        "ASIA1", by={"type": "AWSAccount", "accountId": "444455556666", "principalId": "AIDAX"}, sharedEventID="e-7"
    )
    ours = given.assume_role("ASIA1", by=given.iam_user("tomasz", "AKIAT"), sharedEventID="e-7")
    assert told(given.session("ASIA1"), issues_of(theirs)) == (Standing.UNRESOLVED, "")
    assert told(given.session("ASIA1"), issues_of(theirs, ours)) == (Standing.PROVEN, "tomasz")


def test_a_key_that_was_handed_to_two_people_proves_neither():
    handed = issues_of(
        given.assume_role("ASIA1", by=given.iam_user()),
        given.assume_role("ASIA1", by=given.iam_user("tomasz", "AKIAT")),
    )
    assert told(given.session("ASIA1"), handed) == (Standing.UNRESOLVED, "")


@pytest.mark.parametrize(
    ("first", "last", "standing"),
    [
        (timedelta(0), timedelta(hours=1), Standing.PROVEN),
        (timedelta(minutes=-1), timedelta(0), Standing.PROVEN),  # clocks of two services differ
        (timedelta(hours=-1), timedelta(0), Standing.UNRESOLVED),
        (timedelta(0), timedelta(hours=1, seconds=1), Standing.UNRESOLVED),
        (timedelta(days=9), timedelta(days=9), Standing.UNRESOLVED),
    ],
)
def test_a_key_explains_only_what_lies_between_its_issue_and_its_expiry(first, last, standing):
    handed = issues_of(given.assume_role("ASIA1", by=given.iam_user(), name="anna"))
    found = attribute(who(given.session("ASIA1", name="anna")), handed, (), (given.NOON + first, given.NOON + last))
    assert found.standing is standing
    assert found.name == ("maja" if standing is Standing.PROVEN else "")
    if standing is Standing.UNRESOLVED:
        assert "valid only from 2026-04-12 12:00:00, when AssumeRole handed it out, until" in found.hops[-1].text


def test_a_chain_is_broken_where_an_expired_key_took_the_next_role():
    handed = issues_of(
        given.assume_role("ASIA1", by=given.iam_user()),
        given.assume_role("ASIA2", by=given.session("ASIA1"), at=given.NOON + timedelta(hours=3)),
    )
    assert told(given.session("ASIA2"), handed) == (Standing.UNRESOLVED, "")


def test_where_an_answer_says_no_end_the_duration_asked_for_counts():
    event = given.assume_role("ASIA1", by=given.iam_user())
    del event["responseElements"]["credentials"]["expiration"]
    file = parse(given.packed([event]))
    assert issue(file.events[0], file.times[0]).until == given.NOON + timedelta(hours=1)
    event["requestParameters"]["durationSeconds"] = "soon"
    file = parse(given.packed([event]))
    found = issue(file.events[0], file.times[0])
    assert (found.until, found.valid[1]) == (None, given.NOON + timedelta(hours=36))


def sign_in(name="anna@firm.example", event_name="UserAuthentication", outcome="Success", user="9067", **more):
    """How IAM Identity Center tells that somebody signed in."""
    behalf = {"userId": user, "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-1"}
    identity_ = {"type": "IdentityCenterUser", "accountId": given.ACCOUNT, "credentialId": "c-1", "onBehalfOf": behalf}
    return given.s3(event_name, "", by=identity_, eventSource="signin.amazonaws.com", resources=None,
                    additionalEventData={"AuthWorkflowID": "w", "CredentialType": "PASSWORD", "UserName": name},
                    serviceEventDetails={event_name: outcome}) | more  # fmt: skip


def test_a_sign_in_names_whoever_acts_with_what_it_gave():
    signed = issues_of(sign_in())
    bearer = {"type": "Unknown", "accountId": given.ACCOUNT, "credentialId": "c-1"}
    assert told(bearer) == (Standing.UNRESOLVED, "")
    found = attribute(who(bearer), signed)
    assert (found.standing, found.name, found.listed) == (Standing.PROVEN, "anna@firm.example", "user_id|9067")
    assert "signed in to IAM Identity Center at 2026-04-12 12:00:00 UTC (UserAuthentication)" in found.hops[0].text
    assert found.hops[0].event
    known_by_id = bearer | {"type": "IdentityCenterUser", "onBehalfOf": {"userId": "9067", "identityStoreArn": "a"}}
    assert told(known_by_id) == (Standing.PROVEN, "Identity Center user 9067")
    assert told(known_by_id, signed) == (Standing.PROVEN, "anna@firm.example")


def test_sign_ins_of_two_people_with_one_credential_name_neither():
    bearer = {"type": "Unknown", "accountId": given.ACCOUNT, "credentialId": "c-1"}
    assert told(bearer, issues_of(sign_in(), sign_in("tomasz@firm.example"))) == (Standing.UNRESOLVED, "")


@pytest.mark.parametrize(
    "event",
    [
        sign_in(outcome="Failure"),
        sign_in(errorCode="AccessDenied"),
        sign_in("HIDDEN_DUE_TO_SECURITY_REASONS"),
        sign_in("", additionalEventData=None),
        sign_in(event_name="ListApplications"),
        sign_in(serviceEventDetails=[[]], eventSource="s3.amazonaws.com"),
    ],
)
def test_what_is_no_sign_in_that_succeeded_and_says_who_proves_nothing(event):
    file = parse(given.packed([event]))
    assert issue(file.events[0], file.times[0]) is None


def test_a_chain_that_bites_its_tail_ends():
    handed = issues_of(
        given.assume_role("ASIA1", by=given.session("ASIA2")), given.assume_role("ASIA2", by=given.session("ASIA1"))
    )
    assert told(given.session("ASIA1"), handed) == (Standing.UNRESOLVED, "")


def test_a_refused_assume_role_hands_out_nothing():
    file = parse(given.packed([given.assume_role("ASIA1", by=given.iam_user(), errorCode="AccessDenied")]))
    assert issue(file.events[0], file.times[0]) is None


def test_equal_identities_have_one_fingerprint_whatever_their_order():
    names = list(given.session("ASIA1").items())
    random.Random(7).shuffle(names)
    assert fingerprint(who(dict(names))) == fingerprint(who(given.session("ASIA1")))
    assert fingerprint(who(given.session("ASIA1"))) != fingerprint(who(given.session("ASIA2")))


def test_an_identity_of_another_shape_stays_unresolved():
    assert identity(b'"nobody"') == Identity()
    assert identity(b'{"type": 7}') == Identity()


def test_expirations_are_read_in_both_forms():
    assert expiration("Apr 12, 2026, 12:00:00 PM") == given.NOON
    assert expiration("2026-04-12T12:00:00Z") == given.NOON
    assert expiration("soon") is None
    assert expiration(7) is None
