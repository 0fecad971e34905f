"""Quilt v0 manifests: what is written, what is refused and in which words. What quilt3 says of them is in test_quilt3.py."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records import manifest
from records.manifest import Entry, Hash, Manifest, ManifestError

A, B = "a" * 64, "b" * 64
HEADER = b'{"version": "v0", "message": null, "user_meta": {}}\n'


def entry(logical_key="a.txt", **changes):
    values = {"bucket": "records", "key": f"run/{logical_key}", "version_id": "v1", "size": 3, "sha256": A, **changes}
    return Entry(logical_key, **values)


def line(**changes):
    row = {
        "logical_key": "a.txt",
        "physical_keys": ["s3://records/run/a.txt?versionId=v1"],
        "size": 3,
        "hash": {"type": "SHA256", "value": A},
        "meta": {},
    }
    row.update(changes)
    return json.dumps({name: value for name, value in row.items() if value is not ...}).encode() + b"\n"


def refusal(data):
    with pytest.raises(ManifestError) as refused:
        manifest.parse(data)
    return refused.value


def test_a_manifest_is_written_as_json_lines_in_the_order_of_quilt3():
    data = manifest.build(
        [entry("a!b"), entry("a/é.txt", meta={"user_meta": {"lane": 1}}), entry("a-b")],
        "first run",
        {"assay": "KRAS"},
        workflow={"id": "qc"},
    )
    lines = data.decode().splitlines()
    assert (
        lines[0]
        == '{"version": "v0", "message": "first run", "user_meta": {"assay": "KRAS"}, "workflow": {"id": "qc"}}'
    )
    assert lines[1] == (
        '{"logical_key": "a/é.txt", "physical_keys": ["s3://records/run/a/%C3%A9.txt?versionId=v1"], "size": 3, '
        f'"hash": {{"type": "SHA256", "value": "{A}"}}, "meta": {{"user_meta": {{"lane": 1}}}}}}'
    )
    assert [json.loads(text)["logical_key"] for text in lines[1:]] == ["a/é.txt", "a!b", "a-b"]
    assert data.endswith(b"\n")


def test_what_was_written_is_read_again():
    composed = manifest.compose([entry("b"), entry("a")], "why", {"n": 1})
    again = manifest.parse(composed.to_bytes())
    assert again == composed
    assert (again.message, again.user_meta, again.workflow) == ("why", {"n": 1}, None)
    assert isinstance(again, Manifest)


def test_the_top_hash_covers_content_names_and_metadata_but_not_where_the_bytes_lie():
    plain = manifest.top_hash(manifest.compose([entry()], "m", {}))
    assert plain == manifest.top_hash(manifest.compose([entry(bucket="other", key="k", version_id="v9")], "m", {}))
    others = [
        manifest.compose([entry(sha256=B)], "m", {}),
        manifest.compose([entry(size=4)], "m", {}),
        manifest.compose([entry("b.txt")], "m", {}),
        manifest.compose([entry(meta={"x": 1})], "m", {}),
        manifest.compose([entry()], "n", {}),
        manifest.compose([entry()], "m", {"x": 1}),
        manifest.compose([], "m", {}),
        manifest.compose([entry(foreign=Hash("CRC64NVME", "AAAAAAAAAAA="))], "m", {}),
    ]
    assert len({plain, *map(manifest.top_hash, others)}) == len(others) + 1


def test_the_pins_cover_where_the_bytes_lie_and_not_their_order():
    one, two = entry("a"), entry("b")
    plain = manifest.pins_sha256([one, two])
    assert plain == manifest.pins_sha256([two, one])
    by_hand = b'[["a","records","run/a","v1"],["b","records","run/b","v1"]]'
    assert plain == hashlib.sha256(by_hand).hexdigest()
    changed = [entry("b", bucket="other"), entry("b", key="k"), entry("b", version_id="v2"), entry("c", key="run/b")]
    assert len({plain, *(manifest.pins_sha256([one, other]) for other in changed)}) == 5


@pytest.mark.parametrize(
    ("key", "quoted"),
    [
        ("a+b", "a%2Bb"),
        ("a b", "a%20b"),
        ("é", "%C3%A9"),
        ("e\u0301", "e%CC%81"),
        ("k?versionId=1", "k%3FversionId%3D1"),
        ("50%", "50%25"),
        ("%41", "%2541"),
        ("a#b;c&d", "a%23b%3Bc%26d"),
        ("/lead", "/lead"),
        ("a\nb", "a%0Ab"),
        ("~-._", "~-._"),
    ],
)
def test_odd_keys_are_quoted_and_unquoted(key, quoted):
    url = manifest.physical_key("records", key, "v+1/=")
    assert url == f"s3://records/{quoted}?versionId=v%2B1%2F%3D"
    assert manifest.read_physical_key(url) == ("records", key, "v+1/=")


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_every_key_and_version_id_survives_its_address(key, version_id):
    assert manifest.read_physical_key(manifest.physical_key("records", key, version_id)) == ("records", key, version_id)


def test_a_foreign_hash_is_kept_beside_ours():
    chunked = {"type": "sha2-256-chunked", "value": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}
    read = manifest.parse(HEADER + line(hash=chunked)).entries[0]
    assert (read.sha256, read.foreign, read.hash.type) == ("", Hash(**chunked), "sha2-256-chunked")
    assert read.binds_content
    ours = Entry(**{**read.__dict__, "sha256": A})
    assert json.loads(manifest.build([ours], None, {}).splitlines()[1])["hash"] == chunked
    assert not entry(foreign=Hash("CRC64NVME", "AAAAAAAAAAA=")).binds_content


def test_null_metadata_is_read_as_none_at_all_as_quilt3_does():
    assert manifest.parse(HEADER + line(meta=None)).entries[0].meta == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"logical_key": ...}, "Line 2, logical_key: is missing"),
        ({"physical_keys": ...}, "Line 2, physical_keys: the address of 'a.txt' on S3 is missing"),
        ({"size": ...}, "Line 2, size: is missing"),
        ({"hash": ...}, "Line 2, hash: is missing"),
        ({"meta": ...}, "Line 2, meta: is missing"),
        ({"extra": 1}, "Line 2, extra: an entry has no such member"),
        ({"logical_key": 7}, "Line 2, logical_key: the logical key is missing or is not text"),
        ({"logical_key": ""}, "Line 2, logical_key: the logical key is missing or is not text"),
        ({"logical_key": "/etc/passwd"}, "Line 2, logical_key: '/etc/passwd' is an absolute path; a logical key is relative to the package"),
        ({"logical_key": "C:/x"}, "Line 2, logical_key: 'C:/x' is an absolute path; a logical key is relative to the package"),
        ({"logical_key": "a/../b"}, "Line 2, logical_key: 'a/../b' has a folder or file named \"\", \".\" or \"..\""),
        ({"logical_key": "a//b"}, "Line 2, logical_key: 'a//b' has a folder or file named \"\", \".\" or \"..\""),
        ({"logical_key": "a/"}, "Line 2, logical_key: 'a/' has a folder or file named \"\", \".\" or \"..\""),
        ({"logical_key": "a\\..\\b"}, "Line 2, logical_key: 'a\\\\..\\\\b' holds a backslash; folders are parted by \"/\""),
        ({"logical_key": "a\nb"}, "Line 2, logical_key: 'a\\nb' holds a control character"),
        ({"logical_key": "a\u202egpj.exe"}, "turns the direction of text"),
        ({"logical_key": "a\ud800"}, "lone surrogate"),
        ({"logical_key": "x" * 1025}, "is longer than 1024 bytes"),
        ({"physical_keys": "s3://records/a?versionId=v"}, "Line 2, physical_keys: must be a list of exactly one address"),
        ({"physical_keys": ["s3://records/a?versionId=v"] * 2}, "must be a list of exactly one address"),
        ({"physical_keys": [7]}, "must be a list of exactly one address"),
        ({"physical_keys": ["file:///etc/passwd"]}, "Line 2, physical_keys: the address must begin with \"s3://\""),
        ({"physical_keys": ["s3://records/a"]}, "Line 2, physical_keys: the version id is missing"),
        ({"physical_keys": ["s3://records/a?versionId="]}, "the version id is missing"),
        ({"physical_keys": ["s3://records/a?versionId=null"]}, 'the version id "null" means written without versioning'),
        ({"physical_keys": ["s3://records/a?versionId=v&versionId=w"]}, "names more than one version id"),
        ({"physical_keys": ["s3://records/a?versionId=v&x=1"]}, "nothing but versionId may follow"),
        ({"physical_keys": ["s3://records/a#b?versionId=v"]}, 'a "#" in a key must be written %23'),
        ({"physical_keys": ["s3://records/a\tb?versionId=v"]}, "control character"),
        ({"physical_keys": ["s3://records/%FF?versionId=v"]}, "the quoted bytes are not UTF-8"),
        ({"physical_keys": ["s3://records/?versionId=v"]}, "names a bucket, but no object in it"),
        ({"physical_keys": ["s3:///a?versionId=v"]}, "'' is not the name of a bucket"),
        ({"physical_keys": ["s3://user@records/a?versionId=v"]}, "'user@records' is not the name of a bucket"),
        ({"physical_keys": ["s3://[x/a?versionId=v"]}, "Line 2, physical_keys: "),
        ({"physical_keys": ["s3://records/%00?versionId=v"]}, "U+0000"),
        ({"physical_keys": ["s3://records/a?versionId=v%0A"]}, "the version id holds a control character"),
        ({"size": -1}, "Line 2, size: must be a whole number of bytes, not -1"),
        ({"size": 1.0}, "Line 2, size: must be a whole number of bytes, not 1.0"),
        ({"size": True}, "Line 2, size: must be a whole number of bytes, not True"),
        ({"size": None}, "Line 2, size: must be a whole number of bytes, not None"),
        ({"size": "3"}, "Line 2, size: must be a whole number of bytes, not '3'"),
        ({"size": 2**63}, "must be a whole number of bytes"),
        ({"hash": A}, 'Line 2, hash: must be an object with "type" and "value", and nothing else'),
        ({"hash": None}, 'must be an object with "type" and "value"'),
        ({"hash": {"type": "SHA256", "value": A, "x": 1}}, "and nothing else"),
        ({"hash": {"type": "SHA256", "value": A.upper()}}, "Line 2, hash: a SHA-256 is 64 lower-case hexadecimal digits"),
        ({"hash": {"type": "SHA256", "value": ""}}, "Line 2, hash: the value is empty"),
        ({"hash": {"type": "SHA256", "value": 7}}, "a SHA-256 is 64 lower-case"),
        ({"hash": {"type": "MD5", "value": "x"}}, "Line 2, hash: the hash type 'MD5' is unknown; known are SHA256, sha2-256-chunked, CRC64NVME"),
        ({"hash": {"type": ["x"], "value": "x"}}, "is unknown"),
        ({"hash": {"type": "sha2-256-chunked", "value": "AAAA"}}, "the value of a sha2-256-chunked hash is 32 bytes in base64"),
        ({"hash": {"type": "CRC64NVME", "value": "AAAAAAAAAAB="}}, "the value of a CRC64NVME hash is 8 bytes in base64"),
        ({"hash": {"type": "CRC64NVME", "value": None}}, "is 8 bytes in base64"),
        ({"meta": []}, "Line 2, meta: must be an object"),
        ({"meta": {"x": "\0"}}, "Line 2, meta: '\\x00' holds the character U+0000"),
        ({"meta": {"x": ["\udfff"]}}, "Line 2, meta: '\\udfff' holds half of a character pair"),
        ({"meta": {"x": "y" * 1_000_000}}, "Line 2: the line is 1,000,"),
    ],
)  # fmt: skip
def test_a_bad_entry_is_refused_by_line_and_field(changes, said):
    assert said in str(refusal(HEADER + line(**changes)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "The manifest is empty; it needs at least its header line."),
        (b"\n", "Line 1: the line is empty; every line is one JSON object"),
        (HEADER + b"\n" + line(), "Line 2: the line is empty"),
        (HEADER + line() + b"\n", "Line 3: the line is empty"),
        (HEADER + b"\xff\n", "Line 2: byte 1 of the line is not UTF-8"),
        (b"\xef\xbb\xbf" + HEADER, "Line 1: the file begins with a byte order mark"),
        (HEADER + b"{}\r{}\n", "Line 2: a carriage return stands inside the line"),
        (HEADER + b"[]\n", "Line 2: the line must be a JSON object"),
        (b"null\n", "Line 1: the line must be a JSON object"),
        (HEADER + b"{\n", "Line 2: this is not JSON: "),
        (HEADER + line() + line(), "Line 3, logical_key: 'a.txt' is already on line 2"),
        (HEADER + line(logical_key="a") + line(logical_key="a/b"), "Line 3, logical_key: 'a' is a file and a folder at once"),
        (HEADER + line(logical_key="a/b/c") + line(logical_key="a"), "Line 2, logical_key: 'a' is a file and a folder at once"),
        (HEADER + line(logical_key="a") + b'{"logical_key": "a/b/", "meta": {"x": 1}}\n', "Line 3, logical_key: 'a' is a file and a folder at once"),
        (HEADER + b'{"logical_key": "a/", "meta": {}}\n' * 2, "Line 3, logical_key: 'a/' is already on line 2"),
        (HEADER + b'{"logical_key": "../", "meta": {}}\n', 'Line 2, logical_key: \'..\' has a folder or file named'),
        (HEADER + b'{"logical_key": "/", "meta": {}}\n', "Line 2, logical_key: "),
        (HEADER + b'{"logical_key": "a/", "meta": {}, "size": 1}\n', "Line 2, size: the metadata of a folder has no such member"),
        (b'{"version": "v1"}\n', 'Line 1, version: must be "v0"'),
        (b"{}\n", "Line 1, version: must be \"v0\""),
        (b'{"version": "v0", "message": 7}\n', "Line 1, message: must be text or null"),
        (b'{"version": "v0", "user_meta": []}\n', "Line 1, user_meta: must be an object"),
        (b'{"version": "v0", "user_meta": {"x": NaN}}\n', "Line 1: NaN is not a JSON number"),
        (b'{"version": "v0", "user_meta": {"x": -Infinity}}\n', "Line 1: -Infinity is not a JSON number"),
        (b'{"version": "v0", "user_meta": {"x": 1e999}}\n', "Line 1: the number '1e999' is too large"),
        (b'{"version": "v0", "user_meta": {"x": ' + b"9" * 5000 + b"}}\n", "Line 1: the number "),
        (b'{"version": "v0", "version": "v0"}\n', "Line 1: the member 'version' stands twice in one object"),
        (b'{"version": "v0", "user_meta": ' + b'{"a":' * 70 + b"1" + b"}" * 71 + b"\n", "is nested more than 64 levels deep"),
        (b"[" * 200_000 + b"\n", "Line 1: the JSON is nested more than 64 levels deep"),
    ],
)  # fmt: skip
def test_a_bad_manifest_is_refused_by_line(data, said):
    assert said in str(refusal(data))


def test_a_refusal_can_be_read_by_a_program_as_well():
    error = refusal(HEADER + line(size=-1))
    assert (error.line, error.field) == (2, "size")
    with pytest.raises(ManifestError) as refused:
        manifest.build([entry(size=-1)], None, {})
    assert str(refused.value) == "a.txt, size: must be a whole number of bytes, not -1"
    assert (refused.value.line, refused.value.key) == (None, "a.txt")


@pytest.mark.parametrize(
    ("entries", "message", "user_meta", "said"),
    [
        ([entry(version_id="")], None, {}, "a.txt, physical_keys: the version id is missing"),
        ([entry(sha256="")], None, {}, "a.txt, hash: the SHA-256 is not known yet"),
        ([entry(), entry()], None, {}, "a.txt, logical_key: 'a.txt' stands twice"),
        ([entry("a"), entry("a/b")], None, {}, "a/b, logical_key: 'a' is a file and a folder at once"),
        ([entry("a"), entry("a!"), entry("a/b")], None, {}, "'a' is a file and a folder at once"),
        ([entry(meta={"x": float("nan")})], None, {}, "a.txt, meta: nan is not a JSON number"),
        ([entry(meta={"x": (1,)})], None, {}, "a.txt, meta: a tuple cannot be written as JSON"),
        ([entry(meta={1: 1})], None, {}, "a.txt, meta: the member name 1 is not text"),
        ([entry(meta={"x": "y" * 1_000_000})], None, {}, "a.txt: its line would be 1,000,"),
        ([], 7, {}, "header, message: must be text or null"),
        ([], None, {"x": float("inf")}, "header, user_meta: inf is not a JSON number"),
        ([], None, {"x": 10**400}, "a number has more than 300 digits"),
        ([], None, {"x": "y" * 1_000_000}, "the package's metadata: its line would be"),
    ],
)  # fmt: skip
def test_what_could_not_be_read_is_never_written(entries, message, user_meta, said):
    with pytest.raises(ManifestError) as refused:
        manifest.build(entries, message, user_meta)
    assert said in str(refused.value)


def read_or_refused(data):
    try:
        return manifest.parse(data), ""
    except ManifestError as error:
        return None, str(error)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail_otherwise_than_by_refusing(data):
    for text in (data, HEADER + data):
        read, sentence = read_or_refused(text)
        assert read or sentence


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(["logical_key", "physical_keys", "size", "hash", "meta"]), anything)
def test_no_value_of_any_field_makes_the_reader_fail_otherwise_than_by_refusing(field, value):
    read, sentence = read_or_refused(HEADER + line(**{field: value}))
    assert sentence.startswith("Line 2") or manifest.parse(read.to_bytes()) == read
