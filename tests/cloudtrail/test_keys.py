from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail import keys
from cloudtrail.keys import Kind, LogName

LOG = (
    "AWSLogs/111122223333/CloudTrail/eu-central-1/2026/04/12/"
    "111122223333_CloudTrail_eu-central-1_20260412T1205Z_AbCdEfGhIjKlMnOp.json.gz"
)
names = st.builds(
    LogName,
    account=st.from_regex(r"[0-9]{12}", fullmatch=True).filter(str.isascii),
    region=st.sampled_from(["eu-central-1", "us-gov-west-1", "ap-southeast-4"]),
    delivered=st.datetimes(datetime(2013, 11, 13), datetime(2100, 1, 1)).map(
        lambda at: at.replace(second=0, microsecond=0, tzinfo=UTC)
    ),
    unique=st.from_regex(r"[A-Za-z0-9]{16}", fullmatch=True),
    prefix=st.sampled_from(["", "logs/", "a/b c/"]),
    organisation=st.sampled_from(["", "o-abcdefghij"]),
)


@given(names)
def test_a_composed_name_parses_to_the_same_parts(name):
    assert keys.parse(name.key) == name
    assert keys.kind(name.key) is Kind.LOG


def test_the_parts_of_a_name_are_read():
    name = keys.parse(LOG)
    assert (name.account, name.region, name.unique) == ("111122223333", "eu-central-1", "AbCdEfGhIjKlMnOp")
    assert name.delivered == datetime(2026, 4, 12, 12, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (LOG.replace("/CloudTrail/", "/CloudTrail-Digest/"), Kind.DIGEST),
        (LOG.replace("/CloudTrail/", "/CloudTrail-Insight/"), Kind.INSIGHT),
        (LOG.replace("/CloudTrail/", "/CloudTrail-NetworkActivity/"), Kind.SIBLING),
        (LOG.replace(".json.gz", ".json"), Kind.STRANGER),
        (LOG + ".bak", Kind.STRANGER),
        (LOG.replace("20260412T1205Z", "20261312T1205Z"), Kind.STRANGER),
        (LOG.replace("2026/04/12", "2026/04/31"), Kind.STRANGER),
        (LOG.replace("_AbCd", "_../"), Kind.STRANGER),
        ("notes.txt", Kind.STRANGER),
    ],
)
def test_what_is_no_log_file_is_routed_away(key, kind):
    assert keys.parse(key) is None
    assert keys.kind(key) is kind


def test_the_folder_of_a_day_holds_the_names_of_that_day():
    assert LOG.startswith(keys.day_prefix("", "", "111122223333", "eu-central-1", date(2026, 4, 12)))


def test_days_count_both_ends():
    assert keys.days(date(2026, 2, 28), date(2026, 3, 1)) == [date(2026, 2, 28), date(2026, 3, 1)]
    assert keys.days(date(2026, 3, 2), date(2026, 3, 1)) == []
