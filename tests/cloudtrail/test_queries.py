"""Who touched a record: the same answer as a plain scan of the raw JSON, in pages of any size."""

import random
from datetime import timedelta
from urllib.parse import quote, unquote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cloudtrail import queries
from cloudtrail.kinds import Kind, kind_of
from cloudtrail.models import Event, LogFile
from cloudtrail.queries import Match, Object, touching
from records.models import File, Version
from tests.cloudtrail import given
from tests.cloudtrail.test_ingest import load

SINCE, UNTIL = given.NOON, given.NOON + timedelta(hours=2)
KEYS = ["runs/a/r1", "runs/a/r2", "runs/b/r1", "runs/a b", "runs/a+b", "é", "e\u0301", "k?versionId=1", "../x"]
READS = {"GetObject", "HeadObject", "CopyObject"}


def scattered(seed, count=150):
    """Events of every sort over a few keys, some in another bucket, some out of the period."""
    pick = random.Random(seed)
    people = [
        given.iam_user("maja", "AKIAM"),
        given.iam_user("tomasz", "AKIAT"),
        given.session("ASIA9"),
        given.session("ASIA8", name="anna"),
    ]
    events = []
    for _ in range(count):
        name = pick.choice(["GetObject", "HeadObject", "PutObject", "DeleteObject", "CopyObject", "ListObjects", "DeleteObjects",
                            "PutBucketPolicy", "GetBucketPolicy", "StopLogging", "PutObjectRetention"])  # fmt: skip
        asked, more = {}, {}
        key, bucket = pick.choice(KEYS), pick.choice([given.BUCKET, given.BUCKET, "elsewhere"])
        if name in ("GetObject", "DeleteObject") and pick.random() < 0.5:
            asked["versionId"] = pick.choice(["v1", "v2"])
        if name == "CopyObject":
            source = quote(pick.choice(KEYS))
            asked["x-amz-copy-source"] = f"{pick.choice([given.BUCKET, 'elsewhere'])}/{source}" + pick.choice(
                ["", "?versionId=v1", "?versionId=v2"]
            )
        if name in ("ListObjects", "DeleteObjects"):
            key, asked["prefix"] = "", pick.choice(["", "runs/", "runs/a", "runs/a/r1", "other/"])
        if "Bucket" in name:
            key = ""
        if name == "StopLogging":
            more = {"eventSource": "cloudtrail.amazonaws.com", "resources": None, "readOnly": False}
        if pick.random() < 0.2:
            more["errorCode"] = "AccessDenied"
        at = given.NOON + timedelta(minutes=pick.randrange(-30, 150))
        events.append(given.s3(name, key, at=at, by=pick.choice(people), bucket=bucket, parameters=asked, **more))
    return events


def scan(events, objects):
    """Event ids that touch the objects, from the dictionaries alone: written without looking at how the portal does it."""
    found = set()
    for event in events:
        time = event["eventTime"]
        if not f"{SINCE:%Y-%m-%dT%H:%M:%SZ}" <= time < f"{UNTIL:%Y-%m-%dT%H:%M:%SZ}":
            continue
        if event["eventName"] == "StopLogging" or any(concerns(event, *one) for one in objects):
            found.add(event["eventID"])
    return found


def concerns(event, bucket, key, versions):
    asked, name = event["requestParameters"], event["eventName"]
    source = asked.get("x-amz-copy-source")
    if source:
        path, _, version = source.partition("?versionId=")
        if unquote(path) == f"{bucket}/{key}" and version in ("", *versions):
            return True
    if asked["bucketName"] != bucket:
        return False
    if name == "PutBucketPolicy":
        return True
    if name in ("ListObjects", "DeleteObjects"):
        return key.startswith(asked["prefix"])
    if asked.get("key") != key:
        return False
    return name not in READS or asked.get("versionId", "") in ("", *versions)


@pytest.mark.parametrize("seed", range(4))
def test_the_answer_is_that_of_a_plain_scan(seed, empty, tmp_path):
    events = scattered(seed)
    load(given.hand_over(tmp_path, {given.log_key(n): given.packed(events[n::4]) for n in range(4)}))
    pick = random.Random(seed)
    for objects in ([(given.BUCKET, key, {"v1"})] for key in KEYS):
        assert found(objects) == scan(events, objects)
    several = [(given.BUCKET, key, {pick.choice(["v1", "v2"])}) for key in pick.sample(KEYS, 4)]
    assert found(several) == scan(events, several)
    assert found([]) == set()


def found(objects, **how):
    """All event ids, page by page; every page is in order and no event comes twice."""
    wanted = [Object(bucket, key, frozenset(versions)) for bucket, key, versions in objects]
    lines, after = [], ""
    while True:
        page = touching(wanted, SINCE, UNTIL, after=after, limit=7, **how)
        lines += page.lines
        after = page.after
        if not after:
            break
    places = [(line.time, line.file_id, line.ordinal) for line in lines]
    assert places == sorted(set(places), reverse=True)
    assert len(lines) == queries.count_touching(wanted, SINCE, UNTIL, **how)
    return {line.event_id for line in lines}


def test_filters_cut_the_same_whole(empty, tmp_path):
    events = scattered(9)
    load(given.hand_over(tmp_path, {given.log_key(): given.packed(events)}))
    objects = [(given.BUCKET, "runs/a/r1", {"v1"})]
    whole = scan(events, objects)
    told = {event["eventID"]: event for event in events}
    for kind in Kind:
        wanted = {one for one in whole if kind_of(told[one]["eventName"], told[one].get("errorCode", "")) is kind}
        assert found(objects, kind=kind) == wanted
    maja = {one for one in whole if told[one]["userIdentity"].get("userName") == "maja"}
    assert found(objects, person="maja") == maja
    assert found(objects, person="anna", standing="CLAIMED") <= whole
    assert found(objects, person="nobody") == set()
    people = queries.by_person([Object(*objects[0][:2], frozenset(objects[0][2]))], SINCE, UNTIL)
    assert sum(person.events for person in people) == len(whole)
    assert {person.events for person in people if person.name == "maja"} == {len(maja)}


def matches(event, tmp_path, versions=("v1",)):
    load(given.hand_over(tmp_path, {given.log_key(): given.packed([event])}))
    page = touching([Object(given.BUCKET, "runs/r1.fastq.gz", frozenset(versions))], SINCE - timedelta(hours=1), UNTIL)
    return [line.match for line in page.lines]


@pytest.mark.parametrize(
    ("event", "match"),
    [
        (given.s3(parameters={"versionId": "v1"}), Match.EXACT),
        (given.s3(), Match.UNNAMED),
        (given.s3("PutObject", responseElements={"x-amz-version-id": "v9"}), Match.OTHER),
        (
            given.s3(
                "CopyObject", "out", bucket="b", parameters={"x-amz-copy-source": f"{given.BUCKET}/runs/r1.fastq.gz"}
            ),
            Match.SOURCE,
        ),
        (given.s3("ListObjects", "", parameters={"prefix": "runs/"}), Match.PREFIX),
        (given.s3("PutBucketPolicy", ""), Match.BUCKET),
        (given.s3("StopLogging", "", eventSource="cloudtrail.amazonaws.com"), Match.ALL),
    ],
)
def test_a_line_says_how_it_is_known(event, match, empty, tmp_path):
    assert matches(event, tmp_path) == [match]


def test_a_read_of_another_version_is_not_about_this_one(empty, tmp_path):
    assert matches(given.s3(parameters={"versionId": "v2"}), tmp_path) == []


def test_a_cursor_that_is_none_is_refused(empty):
    for after in ("x", "2026-04-12|1|1", "a|b|c", "|||"):
        with pytest.raises(ValueError, match=r".*"):
            touching([], SINCE, UNTIL, after=after)


def test_the_page_is_one_question_and_walks_the_index(empty, tmp_path):
    load(given.hand_over(tmp_path, {given.log_key(): given.packed(scattered(3))}))
    with CaptureQueriesContext(
        connection,
    ) as asked:
        touching([Object(given.BUCKET, "runs/a/r1")], SINCE, UNTIL)
        queries.count_touching([Object(given.BUCKET, "runs/a/r1")], SINCE, UNTIL)
        queries.tallies([Object(given.BUCKET, "runs/a/r1")], SINCE, UNTIL)
    of_events = [question for question in asked if "cloudtrail_event" in question["sql"]]
    assert len(of_events) == 3
    assert len(asked) == 3 + 3 + 2  # which months have left, each time; and who the actors are, of lines and of counts
    for question in of_events:
        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = off")
            cursor.execute(f"EXPLAIN {question['sql']}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            cursor.execute("RESET enable_seqscan")
        assert "Index Cond: ((bucket = p.bucket) AND (hashtextextended(" in plan
        assert "cloudtrail_event_2026_04" in plan


def test_events_about_a_record_that_one_may_not_see_do_not_exist(firm, tmp_path):
    file = File.objects.filter(version__in=Version.objects.visible_to(firm.inspector)).first()
    event = given.s3(key=file.key, bucket=file.bucket)
    load(given.hand_over(tmp_path, {given.log_key(): given.packed([event, given.s3(key="nobody's")])}))
    events = Event.objects.of_file(LogFile.objects.get())
    assert events.visible_to(firm.inspector).count() == 2
    for stranger in (firm.outsider, firm.administrator):
        assert [one.key for one in events.visible_to(stranger)] == ["nobody's"]


def test_the_objects_of_a_record_are_those_of_all_its_versions(firm, tmp_path):
    version = Version.objects.filter(files__isnull=False).first()
    file = version.files.first()
    event = given.s3(key=file.key, bucket=file.bucket, parameters={"versionId": file.s3_version})
    load(given.hand_over(tmp_path, {given.log_key(): given.packed([event])}))
    for what in (version, version.record):
        (line,) = touching(what, SINCE, UNTIL).lines
        assert (line.match, line.name) == (Match.EXACT, "maja")
