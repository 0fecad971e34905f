"""What quilt3 itself says about our manifests. It runs in an environment of its own, `.run/quilt3-env`."""

import base64
import hashlib
import json
import os
import random
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from records import manifest
from records.manifest import Entry, Hash
from tests.own_environment import python_with

ROOT = Path(__file__).resolve().parents[2]
ANSWER_SECONDS = 60


class Quilt3:
    """A running quilt3 that answers one question a line."""

    def __init__(self, home):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "QUILT_DISABLE_USAGE_METRICS": "true",
            "QUILT_MINIMIZE_STDOUT": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONUTF8": "1",
        }
        self.process = subprocess.Popen(
            [python_with("quilt3"), ROOT / "tests/quilt3/ask.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
            cwd=home,
        )

    def ask(self, do, **question):
        guard = threading.Timer(ANSWER_SECONDS, self.process.kill)
        guard.start()
        try:
            self.process.stdin.write(json.dumps({"do": do, **question}) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())
        finally:
            guard.cancel()

    def close(self):
        self.process.stdin.close()
        self.process.wait(ANSWER_SECONDS)


@pytest.fixture(scope="module")
def quilt3(tmp_path_factory):
    running = Quilt3(tmp_path_factory.mktemp("quilt3"))
    yield running
    running.close()


# Any text that a manifest may hold: everything but NUL and lone surrogates.
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
odd_names = [
    "a+b",
    "a b",
    "é",
    "e\u0301",
    "k?versionId=1",
    "50%",
    "%41",
    "a#b",
    "a;b=1",
    "a!b",
    "a",
    "a-",
    "日本",
    "😀",
    "&",
    "'",
]
name = st.one_of(
    st.sampled_from(odd_names),
    st.text(
        st.characters(
            exclude_categories=["Cs", "Cc"],
            exclude_characters="/\\\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
        ),
        min_size=1,
        max_size=8,
    ).filter(lambda text: text not in (".", "..") and not (len(text) == 2 and text[1] == ":")),
)
logical_key = st.lists(name, min_size=1, max_size=4).map("/".join)
numbers = st.one_of(st.integers(-(10**25), 10**25), st.floats(allow_nan=False, allow_infinity=False))
json_value = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
json_object = st.dictionaries(text, json_value, max_size=4)
s3_key = st.one_of(logical_key, text.filter(bool), st.just("/leading"), st.just("a//b"), st.just("a\nb"), st.just("."))
version_id = st.text("ABCabc019._-+/= %&", min_size=1, max_size=32).filter(lambda text: text != "null")
hex_digest = st.binary(min_size=32, max_size=32).map(bytes.hex)
foreign = st.one_of(
    st.none(),
    st.binary(min_size=32, max_size=32).map(lambda raw: Hash("sha2-256-chunked", b64(raw))),
    st.binary(min_size=8, max_size=8).map(lambda raw: Hash("CRC64NVME", b64(raw))),
)


def b64(raw):
    return base64.b64encode(raw).decode()


def without_conflicts(entries):
    """The entries whose key is no folder of another one."""
    folders = {key[:at] for key in (e.logical_key for e in entries) for at in range(len(key)) if key[at] == "/"}
    return [entry for entry in entries if entry.logical_key not in folders]


entries = st.lists(
    st.builds(
        Entry,
        logical_key=logical_key,
        bucket=st.sampled_from(["records", "lab.records-eu", "Old_Bucket"]),
        key=s3_key,
        version_id=version_id,
        size=st.one_of(st.sampled_from([0, 1, 2**31, 2**53 + 1, 2**63 - 1]), st.integers(0, 2**50)),
        sha256=hex_digest,
        meta=st.one_of(st.just({}), json_object.map(lambda meta: {"user_meta": meta}), json_object),
        foreign=foreign,
    ),
    max_size=8,
    unique_by=lambda entry: entry.logical_key,
).map(without_conflicts)

PROPERTY = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@PROPERTY
@given(entries=entries, message=st.none() | text, user_meta=json_object)
def test_quilt3_loads_what_we_write_with_the_same_top_hash_pins_and_bytes(quilt3, entries, message, user_meta):
    ours = manifest.compose(entries, message, user_meta)
    data = ours.to_bytes()
    theirs = quilt3.ask("load", manifest=data.decode())
    assert theirs.get("error") is None, theirs
    assert manifest.top_hash(ours) == theirs["top_hash"]
    assert data == theirs["manifest"].encode()
    assert [[e.logical_key, e.bucket, e.key, e.version_id] for e in ours.entries] == theirs["pins"]
    again = manifest.parse(data)
    assert again.to_bytes() == data
    assert manifest.top_hash(again) == theirs["top_hash"]
    assert manifest.pins_sha256(again.entries) == manifest.pins_sha256(entries)


@PROPERTY
@given(entries=entries, message=st.none() | text, user_meta=json_object)
def test_we_read_what_quilt3_writes_with_the_same_top_hash_and_bytes(quilt3, entries, message, user_meta):
    rows = [
        [e.logical_key, e.bucket, e.key, e.version_id, e.size, {"type": e.hash.type, "value": e.hash.value}, e.meta]
        for e in entries
    ]
    theirs = quilt3.ask("build", entries=rows, message=message, user_meta=user_meta)
    assert theirs.get("error") is None, theirs
    ours = manifest.parse(theirs["manifest"].encode())
    assert manifest.top_hash(ours) == theirs["top_hash"]
    assert ours.to_bytes() == theirs["manifest"].encode()
    assert [[e.logical_key, e.bucket, e.key, e.version_id] for e in ours.entries] == theirs["pins"]


def test_an_empty_package_has_the_same_top_hash(quilt3):
    ours = manifest.compose([], None, {})
    assert manifest.top_hash(ours) == quilt3.ask("load", manifest=ours.to_bytes().decode())["top_hash"]


def test_workflow_unknown_header_members_and_metadata_of_folders_are_kept_as_quilt3_keeps_them(quilt3):
    file = (
        '{"logical_key": "%s", "physical_keys": ["s3://b00/k?versionId=v"], "size": 1, "hash": {"type": "SHA256", "value": "'
        + "a" * 64
        + '"}, "meta": %s}\n'
    )
    data = (
        '{"version": "v0", "workflow": {"id": "qc", "config": "s3://b00/c"}, "user_meta": {"é": 1.50}, "later": [1e3], "top_hash": "old"}\n'
        + '{"logical_key": "a/", "meta": {"user_meta": {"n": 1}}}\n'
        + '{"logical_key": "a/b/", "meta": {"n": 2}}\n'
        + '{"logical_key": "empty/", "meta": {}}\n'
        + file % ("z", "null")
        + file % ("a/b/c", "{}")
    )
    theirs = quilt3.ask("load", manifest=data)
    ours = manifest.parse(data.encode())
    assert manifest.top_hash(ours) == theirs["top_hash"]
    assert ours.to_bytes().decode() == theirs["manifest"]
    assert ours.workflow == {"id": "qc", "config": "s3://b00/c"}


def test_quilt3_verifies_a_folder_against_an_exported_manifest_and_sees_one_changed_byte(quilt3, tmp_path):
    random.seed(3)
    contents = {"README.md": b"# Run\n", "reads/a b+é.fastq": random.randbytes(9_000_000), "empty.txt": b""}
    listed = []
    for key, content in contents.items():
        (tmp_path / key).parent.mkdir(exist_ok=True)
        (tmp_path / key).write_bytes(content)
        chunked = manifest.ChunkedSha256(len(content))
        chunked.update(content)
        foreign = Hash("sha2-256-chunked", chunked.value()) if key.endswith("q") else None
        listed.append(
            Entry(key, "records", f"run/{key}", "v1", len(content), hashlib.sha256(content).hexdigest(), {}, foreign)
        )
    exported = manifest.build(listed, "run", {}).decode()
    assert quilt3.ask("verify", manifest=exported, folder=str(tmp_path)) == {"same": True}
    for key, content in contents.items():
        changed = bytes([content[0] ^ 1]) + content[1:] if content else b"x"
        (tmp_path / key).write_bytes(changed)
        assert quilt3.ask("verify", manifest=exported, folder=str(tmp_path)) == {"same": False}
        (tmp_path / key).write_bytes(content)


@pytest.mark.parametrize("size", [0, 1, 8 * 2**20 - 1, 8 * 2**20, 8 * 2**20 + 1, 16 * 2**20])
def test_the_chunked_hash_of_a_stream_is_that_of_quilt3_however_it_is_cut(quilt3, size):
    ours = manifest.ChunkedSha256(size)
    for start in range(0, size, 1_000_003):
        ours.update(b"\x41" * min(1_000_003, size - start))
    assert ours.value() == quilt3.ask("chunked", byte=0x41, size=size)["value"]


def test_what_we_refuse_because_quilt3_would_read_it_otherwise_is_indeed_read_otherwise(quilt3):
    """The reasons for our refusals still hold: quilt3 drops a fragment, and takes the first of two version ids."""
    line = (
        '{"version": "v0"}\n{"logical_key": "a", "physical_keys": ["%s"], "size": 1, "hash": {"type": "SHA256", "value": "'
        + "a" * 64
        + '"}, "meta": {}}\n'
    )
    for address, read_as in [
        ("s3://b00/k#1?versionId=v", ["a", "b00", "k", None]),
        ("s3://b00/k?versionId=v&versionId=w", ["a", "b00", "k", "v"]),
        ("s3://b00/k%FF?versionId=v", ["a", "b00", "k\ufffd", "v"]),
    ]:
        assert quilt3.ask("load", manifest=line % address)["pins"] == [read_as]
        with pytest.raises(manifest.ManifestError):
            manifest.parse((line % address).encode())
