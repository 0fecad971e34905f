"""For any events, in any order, split and repeated in any way, the view is what a scan of the raw JSON finds."""

import itertools
import json
from datetime import timedelta
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as any_of

from cloudtrail import archive, queries, transitions
from cloudtrail.queries import Object
from tests.cloudtrail import given as made
from tests.cloudtrail import scan

BUCKETS = (made.BUCKET, made.BUCKET, made.BUCKET + "2")
KEYS = (
    "runs/a/r1", "runs/a/r2", "runs/a", "runs/", "a+b", "a b", "a%2Bb", "\u00e9", "e\u0301", "../x", "k?versionId=1", "k", "K",
    "a\\b", "tab\there", "line\nbreak", "\U0001d4b3", "\u202ex", "100%",
)  # fmt: skip
PREFIXES = ("", "r", "runs/a", "runs/a/r1", "a+", "a ", "e", "\u00e9", "../", "k?", "other/")
VERSIONS = ("v1", "v2", "v3")
WINDOW = timedelta(hours=4)
PEOPLE = (
    made.iam_user("maja", "AKIAM"),
    made.session("ASIA8", name="anna"),
    {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"},
)
OF_OBJECTS = ("GetObject", "HeadObject", "PutObject", "DeleteObject", "PutObjectRetention", "GetObjectTagging")
_windows = itertools.count()


@any_of.composite
def events(draw):
    """One event of any sort that CloudTrail writes about S3, its trails and its keys."""
    sort = draw(any_of.sampled_from(("object", "object", "copy", "listing", "batch delete", "bucket", "control")))
    bucket, key = draw(any_of.sampled_from(BUCKETS)), draw(any_of.sampled_from(KEYS))
    more = {"errorCode": "AccessDenied"} if draw(any_of.integers(0, 5)) == 0 else {}
    more |= {"by": draw(any_of.sampled_from(PEOPLE))}
    minute = draw(any_of.integers(-20, 200))
    asked = {}
    if sort == "object":
        name = draw(any_of.sampled_from(OF_OBJECTS))
        if draw(any_of.booleans()):
            asked["versionId"] = draw(any_of.sampled_from(VERSIONS))
        if name == "PutObject":
            asked, more["responseElements"] = {}, {"x-amz-version-id": draw(any_of.sampled_from(VERSIONS))}
    elif sort == "copy":
        name, coded = "CopyObject", draw(any_of.sampled_from((quote, quote_plus, lambda text: quote(text, safe="/+"))))
        source = f"{draw(any_of.sampled_from(BUCKETS))}/{coded(draw(any_of.sampled_from(KEYS)))}"
        version = draw(any_of.sampled_from(("", *(f"?versionId={one}" for one in VERSIONS))))
        asked["x-amz-copy-source"] = draw(any_of.sampled_from(("", "/"))) + source + version
        more["responseElements"] = {"x-amz-version-id": draw(any_of.sampled_from(VERSIONS))}
        if draw(any_of.booleans()):
            more["resources"] = None
    elif sort == "listing":
        name, key = draw(any_of.sampled_from(("ListObjects", "ListObjectVersions"))), ""
        if draw(any_of.booleans()):
            asked["prefix"] = draw(any_of.sampled_from(PREFIXES))
    elif sort == "batch delete":
        name, key = "DeleteObjects", ""
        arn = f"arn:aws:s3:::{bucket}/{draw(any_of.sampled_from(PREFIXES))}"
        more["resources"] = [{"type": "AWS::S3::Object", "ARNPrefix": arn}]
    elif sort == "bucket":
        name = draw(
            any_of.sampled_from(("PutBucketPolicy", "PutBucketLifecycle", "GetBucketPolicy", "PutBucketEncryption"))
        )
        key = ""
    else:
        source, names = draw(any_of.sampled_from(sorted(scan.CONTROL.items())))
        name, key, bucket = draw(any_of.sampled_from((*names, "DescribeTrails"))), "", ""
        more |= {"eventSource": source, "resources": None, "readOnly": False}
    return name, key, bucket, asked, minute, more


@pytest.fixture(scope="module")
def one_database(template_empty, django_db_blocker):
    from tests.conftest import on_clone

    yield from on_clone(template_empty, django_db_blocker)


@settings(max_examples=15, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate, Phase.shrink],
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(any_of.lists(events(), min_size=1, max_size=40), any_of.data())
@pytest.mark.compliance("F18", "F19")
def test_compliance_the_view_is_what_a_scan_of_the_raw_json_finds_whatever_the_order_split_and_repetition(
    one_database, tmp_path_factory, sorts, data
):
    begin = made.NOON - WINDOW * next(_windows)
    told = [_event(begin, *sort) for sort in sorts]
    folder = tmp_path_factory.mktemp("trail")
    repeated = data.draw(any_of.lists(any_of.sampled_from(told), max_size=10))
    order = data.draw(any_of.permutations([*told, *repeated]))
    cuts = sorted(data.draw(any_of.lists(any_of.integers(0, len(order)), max_size=6)))
    pieces = [order[start:end] for start, end in itertools.pairwise([0, *cuts, len(order)])]
    made.hand_over(folder, {made.log_key(number, begin): made.packed(piece) for number, piece in enumerate(pieces)})
    transitions.load(folder)
    wanted = data.draw(any_of.lists(any_of.tuples(any_of.sampled_from(BUCKETS), any_of.sampled_from(KEYS)), unique=True,
                                    min_size=1, max_size=4))  # fmt: skip
    versions = data.draw(any_of.sets(any_of.sampled_from(VERSIONS), min_size=1))
    since, until = begin, begin + timedelta(hours=3)
    for objects in ([one] for one in KEYS_EVERYWHERE) if data.draw(any_of.booleans()) else [wanted]:
        found = _viewed(objects, versions, since, until)
        assert found == _scanned(folder, objects, versions, since, until)
    _demand_the_same_of_a_file(folder, wanted, versions, since, until)


def _demand_the_same_of_a_file(folder, objects, versions, since, until):
    """The rows of the table as the file of a month has them, and each question asked of it, are those of the table."""
    table = archive._counted_in_table(since - WINDOW, until + WINDOW)
    file = archive._write_rows(since - WINDOW, until + WINDOW, folder)
    assert archive._counted_in_file(str(file)) == table
    where, values = queries._filters(since, until, None, None, None, "")
    values |= queries._probes([Object(*one, frozenset(versions)) for one in objects]) | {"limit": 1000}
    for question in (queries._PAGE, queries._COUNT, queries._BY_DAY):
        of_file = queries._rows_of_files(where, question, values | {"files": [str(file)]})
        of_table = queries._rows(queries._sql(where, question), values)
        assert sorted(map(_plainly, of_file)) == sorted(map(_plainly, of_table))


def _plainly(row):
    """With the record's versions, the last column but one of a page's rows, as a list: the database gives them as JSON."""
    if len(row) == len(queries._SHOWN):
        versions = json.loads(row[-2]) if isinstance(row[-2], str) else row[-2]
        row = (*row[:-2], sorted(versions), row[-1])
    return repr([one.isoformat() if hasattr(one, "isoformat") else one for one in row])


KEYS_EVERYWHERE = [(bucket, key) for bucket in sorted(set(BUCKETS)) for key in KEYS]
ORDER = ("source", "exact", "unnamed", "other", "prefix", "bucket", "all")


def _event(begin, name, key, bucket, asked, minute, more):
    event = made.s3(name, key, bucket=bucket, at=begin + timedelta(minutes=minute), parameters=asked, **more)
    return json.loads(json.dumps(event))


def _viewed(objects, versions, since, until):
    """Every line of the view, page by page, and what it says of its match."""
    asked, lines, after = [Object(*one, frozenset(versions)) for one in objects], [], ""
    while True:
        page = queries.touching(asked, since, until, after=after, limit=7)
        lines += page.lines
        after = page.after
        if not after:
            break
    places = [(line.time, line.file_id, line.ordinal) for line in lines]
    assert places == sorted(set(places), reverse=True)
    assert len(lines) == queries.count_touching(asked, since, until)
    assert len(lines) == sum(person.events for person in queries.by_person(asked, since, until))
    assert len(lines) == sum(tally.events for tally in queries.tallies(asked, since, until))
    return sorted((line.event_id, line.match.value) for line in lines)


def _scanned(folder, objects, versions, since, until):
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    found = []
    for event in scan.scan(folder, since.strftime(stamp), until.strftime(stamp)):
        told = [match for one in objects if (match := scan.concerns(event, *one, versions))]
        if told:
            found.append((event["eventID"], min(told, key=ORDER.index)))
    return sorted(found)
