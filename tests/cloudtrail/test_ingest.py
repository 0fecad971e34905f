"""Files become rows once, whole, and whatever their order; what cannot be read stands aside."""

import io
import json
import random
import threading
from datetime import UTC, datetime, timedelta
from time import sleep

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.utils import InternalError

from audit.models import Entry
from cloudtrail import attribution, ingest, transitions
from cloudtrail.actors import attribute, identity, issue
from cloudtrail.events import parse
from cloudtrail.models import Actor, Credential, Event, LogFile, Touch
from cloudtrail.touches import main_touch
from storage import s3
from tests.cloudtrail import given

STEPS = timedelta(minutes=1)


def load(root, **options):
    out = io.StringIO()
    call_command("load_trail", root, "--json", stdout=out, stderr=io.StringIO(), **options)
    return json.loads(out.getvalue())


COLUMNS = ("time", "event_id", "event_name", "bucket", "key", "s3_version", "reach", "error_code")
WHO = ("actor__standing", "actor__name", "actor__role", "actor__hops")


def rows():
    """Every event as stored, with who it was: what must not depend on the way the files came."""
    return sorted(Event.objects.values_list(*COLUMNS, *WHO), key=str)


def expected(events):
    """The same, by the pure functions alone, over everything at once."""
    file = parse(given.packed(events))
    issued = [found for event, time in zip(file.events, file.times, strict=True) if (found := issue(event, time))]

    def lookup(key, shared):
        return [one for one in issued if (one.access_key == key if key else one.shared_event_id == shared)]

    told = []
    for event, time, raw in zip(file.events, file.times, file.identities, strict=True):
        main, who = main_touch(event), attribute(identity(raw), lookup)
        what = (
            time,
            event.event_id,
            event.event_name,
            main.bucket,
            main.key,
            main.version,
            main.reach,
            event.error_code,
        )
        told.append((*what, who.standing.value, who.name, who.role, [hop._asdict() for hop in who.hops]))
    return sorted(told, key=str)


@given.needs_data
def test_the_public_data_set_comes_out_as_counted_twice(empty):
    actors = {"PROVEN": 2795, "CLAIMED": 0, "SERVICE": 105, "UNRESOLVED": 0}
    first = load(given.DATA)
    assert first == {"files": 55, "events_stored": 2900, "events_seen_before": 0, "actors": actors}
    second = load(given.DATA)
    assert second == {"files": 55, "events_stored": 0, "events_seen_before": 2900, "actors": actors}
    assert Event.objects.count() == Event.objects.values("event_id").distinct().count() == 2900
    roles = Event.objects.exclude(actor__role="").values_list("actor__standing", "actor__name")
    names = [name for _, name in roles]
    assert (names.count("bert-jan"), names.count("ec2.amazonaws.com"), len(names)) == (47, 23, 76)


@given.needs_data
def test_the_same_events_from_another_place_were_seen_before(empty, tmp_path):
    load(given.DATA)
    files = {f"copy/{path.relative_to(given.DATA)}": path.read_bytes() for path in given.DATA.rglob("*.json.gz")}
    again = load(given.hand_over(tmp_path, files))
    assert (again["files"], again["events_stored"], again["events_seen_before"]) == (55, 0, 2900)
    assert again["actors"]["PROVEN"] == 2795


def story(seed):
    """Some events with chains of roles, copies and listings."""
    pick = random.Random(seed)
    people = [given.iam_user("maja", "AKIAM"), given.iam_user("tomasz", "AKIAT")]
    events = [given.assume_role(f"ASIA{n}", by=pick.choice(people), at=given.NOON + n * STEPS) for n in range(4)]
    events += [given.assume_role(f"ASIB{n}", by=given.session(f"ASIA{n}"), at=given.NOON + n * STEPS) for n in range(3)]
    by = [
        *people,
        *(given.session(f"ASIA{n}") for n in range(5)),
        *(given.session(f"ASIB{n}", role="deep") for n in range(4)),
    ]
    for n in range(40):
        name = pick.choice(["GetObject", "PutObject", "CopyObject", "ListObjects"])
        more = {"parameters": {"x-amz-copy-source": f"{given.BUCKET}/k{n % 3}"}} if name == "CopyObject" else {}
        key = "" if name == "ListObjects" else f"k{pick.randrange(5)}"
        events.append(given.s3(name, key, at=given.NOON + pick.randrange(60) * STEPS, by=pick.choice(by), **more))
    return events


@pytest.mark.parametrize("seed", range(5))
def test_any_order_split_and_repetition_gives_the_same_rows(seed, empty, tmp_path, monkeypatch):
    monkeypatch.setattr(ingest, "BATCH", 3)
    events, pick = story(seed), random.Random(seed)
    wanted = expected(events)
    pick.shuffle(events)
    pieces = []
    while events:
        size = pick.randrange(1, 12)
        pieces.append(events[:size])
        events = events[size:]
    repeated = pick.sample(pieces, len(pieces) // 3)
    files = {given.log_key(number): given.packed(piece) for number, piece in enumerate([*pieces, *repeated])}
    counted = load(given.hand_over(tmp_path, files))
    assert counted["events_stored"] == len(wanted)
    assert counted["events_seen_before"] == sum(len(piece) for piece in repeated)
    assert rows() == wanted
    copies = sum(row[2] == "CopyObject" for row in wanted)
    assert Touch.objects.filter(reach="s").count() == copies


def test_a_late_assume_role_heals_what_it_explains(empty, tmp_path):
    chain = [
        given.s3(by=given.session("ASIA2", role="deep")),
        given.s3(by=given.session("ASIA2", role="deep", name="anna")),
    ]
    load(given.hand_over(tmp_path / "1", {given.log_key(1): given.packed(chain)}))
    assert sorted(Event.objects.values_list("actor__standing", "actor__name")) == [
        ("CLAIMED", "anna"),
        ("UNRESOLVED", ""),
    ]
    second = given.assume_role("ASIA2", by=given.session("ASIA1"))
    load(given.hand_over(tmp_path / "2", {given.log_key(2): given.packed([second])}))
    assert not Actor.objects.filter(standing="PROVEN").exists()
    first = given.assume_role("ASIA1", by=given.iam_user())
    load(given.hand_over(tmp_path / "3", {given.log_key(3): given.packed([first])}))
    assert set(Event.objects.values_list("actor__standing", "actor__name")) == {("PROVEN", "maja")}


def by_key(root, number, *events):
    load(given.hand_over(root / str(number), {given.log_key(number): given.packed(list(events))}))
    return sorted(Event.objects.values_list("time", "actor__standing", "actor__name"))


@pytest.mark.parametrize("together", [True, False])
def test_a_key_is_held_against_its_expiry_event_by_event(together, empty, tmp_path):
    role, session = given.assume_role("ASIA1", by=given.iam_user()), given.session("ASIA1", name="anna")
    inside, late = given.s3(by=session, at=given.NOON + STEPS), given.s3(by=session, at=given.NOON + 61 * STEPS)
    wanted = [
        (given.NOON, "PROVEN", "maja"),
        (given.NOON + STEPS, "PROVEN", "maja"),
        (given.NOON + 61 * STEPS, "UNRESOLVED", ""),
    ]
    if together:
        assert by_key(tmp_path, 1, inside, late, role) == wanted
    else:
        by_key(tmp_path, 1, inside)
        by_key(tmp_path, 2, role)
        assert by_key(tmp_path, 3, late) == wanted
    outside = Actor.objects.get(inside__isnull=False)
    assert outside.hops[-1]["kind"] == "expired"
    assert "was used at 2026-04-12 13:01:00 UTC" in outside.hops[-1]["text"]
    assert outside.inside.name == "maja"
    by_key(tmp_path, 4, late)  # told again
    assert Event.objects.count() == 3
    again = given.assume_role("ASIA1", by=given.iam_user(), at=given.NOON + 50 * STEPS)
    assert by_key(tmp_path, 5, again)[-1] == (given.NOON + 61 * STEPS, "PROVEN", "maja")


def test_an_event_told_before_and_after_its_key_was_explained_is_one_event(empty, tmp_path):
    late = given.s3(by=given.session("ASIA1"), at=given.NOON + 61 * STEPS)
    by_key(tmp_path, 1, late)
    role = given.assume_role("ASIA1", by=given.iam_user())
    assert by_key(tmp_path, 2, role)[-1][1:] == ("UNRESOLVED", "")
    assert len(by_key(tmp_path, 3, late)) == 2
    assert not LogFile.objects.exclude(conflicts=0).exists()


def test_a_sign_in_that_comes_late_names_whoever_acted_with_it(empty, tmp_path):
    who = {"type": "IdentityCenterUser", "accountId": given.ACCOUNT, "credentialId": "c-1"}
    assert by_key(tmp_path, 1, given.s3(by=who)) == [(given.NOON, "UNRESOLVED", "")]
    signed = given.s3("UserAuthentication", "", by=who | {"onBehalfOf": {"userId": "9067"}}, eventSource="signin.amazonaws.com",
                      additionalEventData={"UserName": "anna"}, serviceEventDetails={"UserAuthentication": "Success"})  # fmt: skip
    assert {told[1:] for told in by_key(tmp_path, 2, signed)} == {("PROVEN", "anna")}


def test_no_session_token_reaches_the_tables(empty, tmp_path):
    load(given.hand_over(tmp_path, {given.log_key(): given.packed([given.assume_role("ASIA1", by=given.iam_user())])}))
    assert "SECRET" not in repr([list(model.objects.values()) for model in (Event, Actor, Credential)])


def test_an_unreadable_file_stands_aside_and_stops_nothing(empty, tmp_path):
    good = given.packed([given.s3()])
    files = {
        given.log_key(1): good,
        given.log_key(2): good[:-9],
        given.log_key(3): given.packed([given.s3()]),
        "notes.json": b"{}",
    }
    with pytest.raises(CommandError, match="2 of 4 files"):
        load(given.hand_over(tmp_path, files))
    assert Event.objects.count() == 2
    aside = dict(LogFile.objects.filter(state="quarantined").values_list("key", "reason"))
    assert aside[given.log_key(2)] == "The gzip data is truncated."
    assert aside["notes.json"] == "The key is not the name of a CloudTrail log file."
    entry = Entry.objects.get(action="trail.loaded", subject_label="Handed over: account 111122223333")
    assert entry.detail["files_stored"] == 2
    assert entry.detail["quarantined"] == [{"key": given.log_key(2), "reason": "The gzip data is truncated."}]


def test_siblings_are_passed_by(empty, tmp_path):
    digest = given.log_key().replace("/CloudTrail/", "/CloudTrail-Digest/")
    counted = load(given.hand_over(tmp_path, {given.log_key(): given.packed([given.s3()]), digest: b"x"}))
    assert counted["files"] == 1


def test_a_directory_without_a_log_file_is_refused(empty, tmp_path):
    with pytest.raises(CommandError, match="no CloudTrail log file"):
        load(tmp_path)
    with pytest.raises(CommandError, match="is not a directory"):
        load(tmp_path / "nothing")


def test_a_store_that_is_cut_off_leaves_nothing_and_can_be_repeated(empty, tmp_path, monkeypatch):
    root = given.hand_over(tmp_path, {given.log_key(): given.packed(story(2))})

    def cut_off(*args):
        copy(*args)
        raise ConnectionError("the power went")

    copy = ingest._copy
    monkeypatch.setattr(ingest, "_copy", cut_off)
    with pytest.raises(ConnectionError):
        load(root)
    assert (Event.objects.count(), LogFile.objects.get().state) == (0, "seen")
    monkeypatch.setattr(ingest, "_copy", copy)
    assert load(root)["events_stored"] == 47
    assert Entry.objects.filter(action="trail.loaded").count() == 1


def test_two_workers_with_the_same_files_store_each_event_once(empty, tmp_path):
    events = story(3)
    root = given.hand_over(tmp_path, {given.log_key(n): given.packed(events[n::5]) for n in range(5)})
    transitions._trail_handed_over("", given.ACCOUNT)
    together = threading.Barrier(4)
    faults = []

    def work():
        together.wait()
        try:
            transitions.load(root)
        except Exception as error:
            faults.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not faults
    assert Event.objects.count() == 47
    assert sum(file.events_stored for file in LogFile.objects.all()) == 47
    assert not Actor.objects.filter(access_key="ASIA0").exclude(standing="PROVEN").exists()


def test_two_workers_with_two_files_that_tell_the_same_events_store_each_once(empty, tmp_path, monkeypatch):
    transitions._trail_handed_over("", given.ACCOUNT)
    copy, events, faults = ingest._copy, story(3), []
    monkeypatch.setattr(ingest, "_copy", lambda *told: (sleep(0.2), copy(*told)))

    def work(number):
        try:
            transitions.load(given.hand_over(tmp_path / str(number), {given.log_key(number): given.packed(events)}))
        except Exception as error:
            faults.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=work, args=[number]) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not faults
    assert Event.objects.count() == 47
    assert sorted(LogFile.objects.values_list("seen_before", flat=True)) == [0, 47, 47]


def test_one_id_told_in_two_ways_is_kept_twice_and_counted(empty, tmp_path):
    event = given.s3()
    other = event | {"eventName": "DeleteObject"}
    counted = load(
        given.hand_over(
            tmp_path, {given.log_key(1): given.packed([event]), given.log_key(2): given.packed([other, event])}
        )
    )
    assert (counted["events_stored"], counted["events_seen_before"]) == (2, 1)
    assert LogFile.objects.get(key=given.log_key(2)).conflicts == 1


def test_a_month_has_its_partition_and_odd_times_have_theirs(empty, tmp_path):
    ages = [
        given.s3(eventTime=time)
        for time in ("2026-04-30T23:59:59Z", "2026-05-01T00:00:00Z", "1999-01-01T00:00:00Z", "2199-01-01T00:00:00Z")
    ]
    load(given.hand_over(tmp_path, {given.log_key(): given.packed(ages)}))
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text, count(*) FROM cloudtrail_event GROUP BY 1")
        found = dict(cursor.fetchall())
    assert found == {"cloudtrail_event_2026_04": 1, "cloudtrail_event_2026_05": 1, "cloudtrail_event_default": 2}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cloudtrail_event SET error_code = ''",
        "DELETE FROM cloudtrail_event",
        "TRUNCATE cloudtrail_event",
        "UPDATE cloudtrail_event_2026_04 SET error_code = ''",
        "UPDATE cloudtrail_touch SET key = ''",
        "DELETE FROM cloudtrail_credential",
        "UPDATE cloudtrail_logfile SET sha256_raw = ''",
        "UPDATE cloudtrail_logfile SET state = 'seen'",
        "DELETE FROM cloudtrail_logfile",
        "UPDATE cloudtrail_actor SET identity = '{}'",
        "DELETE FROM cloudtrail_actor",
        "UPDATE cloudtrail_handedover SET data = ''",
        "UPDATE cloudtrail_trail SET enabled = true",
        "DELETE FROM cloudtrail_trail",
    ],
)
def test_what_files_told_is_kept_whoever_asks(statement, empty, tmp_path):
    load(given.hand_over(tmp_path, {given.log_key(): given.packed(story(4))}))
    with (
        pytest.raises((InternalError, Exception), match=r"refused|kept|permission denied|unrecorded"),
        transaction.atomic(),
    ):
        connection.cursor().execute(statement)
    assert Event.objects.count() == 47


# --- From S3 ----------------------------------------------------------------------------------------------------------


def today(number):
    """The key of a file that is delivered now."""
    return given.log_key(number, datetime.now(UTC))


@pytest.fixture
def bucket(request):
    """A bucket of this test's own in the stand-in; versioned unless the test says otherwise."""
    name = f"trail-{abs(hash(request.node.nodeid)) % 10**10}"
    client = s3.client()
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def trail(empty, bucket):
    values = {"name": "gxp", "account": given.ACCOUNT, "bucket": bucket, "started_from": given.NOON.date()}
    return transitions._create(values, by=transitions.trail.SYSTEM)


def put(trail, key, data):
    s3.client().put_object(Bucket=trail.bucket, Key=key, Body=data)


def pulled(**options):
    out = io.StringIO()
    call_command("pull_trail", "--json", stdout=out, stderr=io.StringIO(), **options)
    (told,) = json.loads(out.getvalue())["trails"]
    return told


def test_a_pull_stores_what_is_new_and_nothing_twice(trail):
    put(trail, today(1), given.packed([given.s3(), given.s3()]))
    put(trail, today(2), b"no gzip")
    put(trail, today(3).replace("/CloudTrail/", "/CloudTrail-Digest/"), b"x")
    first = pulled()
    assert (first["files_found"], first["events_stored"], first["quarantined"]) == (2, 2, 1)
    assert Entry.objects.get(action="trail.pulled").detail["files_stored"] == 1
    again = pulled()
    assert (again["files_found"], again["files"], again["events_stored"]) == (0, 0, 0)
    assert Entry.objects.filter(action="trail.pulled").count() == 1
    put(trail, today(4), given.packed([given.s3()]))
    assert pulled()["events_stored"] == 1


def test_a_file_that_was_replaced_in_the_bucket_is_another_file(trail):
    put(trail, today(1), given.packed([given.s3()]))
    pulled()
    put(trail, today(1), given.packed([]))
    assert pulled()["files_found"] == 1
    assert LogFile.objects.filter(key=today(1), state="stored").count() == 2
    assert Event.objects.count() == 1


def test_a_bucket_without_versioning_is_read_as_well(trail):
    s3.client().delete_bucket_policy(Bucket=trail.bucket)
    plain = trail.bucket + "-plain"
    s3.client().create_bucket(Bucket=plain, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    values = {"name": "plain", "account": given.ACCOUNT, "bucket": plain, "region": given.REGION}
    transitions._create(values, by=transitions.trail.SYSTEM)
    s3.client().put_object(Bucket=plain, Key=today(1), Body=given.packed([given.s3()]))
    out = io.StringIO()
    call_command("pull_trail", "plain", "--json", stdout=out)
    assert json.loads(out.getvalue())["trails"][0]["events_stored"] == 1
    assert LogFile.objects.get(bucket=plain).s3_version == "null"


def test_a_bucket_that_cannot_be_listed_is_said_and_kept(trail):
    s3.client().delete_bucket(Bucket=trail.bucket)
    with pytest.raises(CommandError, match="no such bucket"):
        call_command("pull_trail", stdout=io.StringIO())
    trail.refresh_from_db()
    assert "no such bucket" in trail.listing.last_error


def test_a_file_that_cannot_be_fetched_is_tried_again_and_the_others_go_on(trail, monkeypatch, ticking):
    for number in range(3):
        put(trail, today(number), given.packed([given.s3()]))
    fetch = ingest.bucket.fetch

    def flaky(bucket, key, *rest):
        if key == today(1):
            raise s3.StorageUnavailable("S3 cannot serve it at the moment.")
        return fetch(bucket, key, *rest)

    monkeypatch.setattr(ingest.bucket, "fetch", flaky)
    first = pulled()
    assert (first["events_stored"], first["unreachable"]) == (2, 1)
    monkeypatch.setattr(ingest.bucket, "fetch", fetch)
    ticking.advance(minutes=1)
    assert pulled()["events_stored"] == 1
    assert not LogFile.objects.exclude(state="stored").exists()


def test_an_actor_is_admitted_once_however_often_it_comes(empty):
    directory = attribution.Directory()
    file = ingest.parse(given.packed([given.s3(), given.s3(by=given.session("ASIA1"))]))
    directory.admit([file])
    attribution.Directory().admit([file])
    assert Actor.objects.count() == 2
