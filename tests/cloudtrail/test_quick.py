"""Objects are read quickly where S3 answers plainly, and by boto3 where it does not: nothing is taken for what it is not."""

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import takewhile
from urllib.parse import unquote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cloudtrail import bucket, quick
from cloudtrail.quick import Fetched, Reader

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Amz-Meta-Signature: ab: c\r\n\r\nabc"
ODD = {
    "refused": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nabc",
    "elsewhere": b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
    "busy": b"HTTP/1.1 503 SlowDown\r\nContent-Length: 0\r\n\r\n",
    "part": b"HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n\r\nabc",
    "old": PLAIN.replace(b"1.1", b"1.0"),
    "in chunks": PLAIN.replace(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
    "chunks and length": PLAIN.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "no length": b"HTTP/1.1 200 OK\r\n\r\nabc",
    "two lengths": PLAIN.replace(b"\r\n\r\n", b"\r\ncontent-length: 2\r\n\r\n"),
    "negative": PLAIN.replace(b"Length: 3", b"Length: -3"),
    "broken off": PLAIN.replace(b"Length: 3", b"Length: 300"),
    "silent": b"",
    "large": PLAIN.replace(b"Length: 3", b"Length: %d" % (quick.PLAIN + 1)),
    "endless head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * (2 * quick.PLAIN + 9),
    "no HTTP": b"SSH-2.0\r\n\r\n",
}


@contextmanager
def serving(answers, asked, tls=None):
    """Answers a key with bytes; what comes behind an odd answer is silence, or the end where it broke off."""

    def speak(connection):
        with connection, connection.makefile("rb") as lines:
            while head := b"".join(takewhile(bytes.strip, lines)):
                asked.append(head.decode())
                key = unquote(head.decode().split(" ")[1]).partition("/b/")[2]
                connection.sendall(answers[key])
                if key == "broken off":
                    return

    def accept():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=speak_quietly, args=(connection,), daemon=True).start()

    def speak_quietly(connection):
        with suppress(OSError):  # the reader hung up, which is its good right
            speak(tls.wrap_socket(connection, server_side=True) if tls else connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def read(settings, answers, keys, asked=None):
    asked = [] if asked is None else asked
    with serving(answers, asked) as settings.S3_ENDPOINT_URL, Reader() as reader:
        return reader.each([("b", key) for key in keys], lambda found: found)


@pytest.mark.compliance("F7")
def test_compliance_whatever_is_no_plain_answer_is_left_to_boto3(settings, monkeypatch):
    careful = []
    monkeypatch.setattr(quick, "_carefully", lambda name, key: careful.append(key))
    monkeypatch.setattr(quick, "ANSWER_SECONDS", 0.3)
    found = read(settings, ODD | {"plain": PLAIN}, [*ODD, "plain"])
    assert set(careful) == set(ODD)
    assert found == [None] * len(ODD) + [Fetched(b"abc", {"signature": "ab: c"})]


def test_connections_are_kept_and_answers_come_in_the_order_in_which_they_were_asked_for(settings):
    keys = [f"{number}" for number in range(200)]
    answers = {key: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(key), key.encode()) for key in keys}
    answers["7"] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n7"
    assert [one.data.decode() for one in read(settings, answers, keys)] == keys


def test_an_error_of_what_looks_leaves_as_it_is_and_nothing_hangs(settings):
    def look(found):
        raise LookupError(found.data)

    with serving({"a": PLAIN}, []) as settings.S3_ENDPOINT_URL, Reader() as reader, pytest.raises(LookupError):
        reader.each([("b", "a")] * 50, look)


@pytest.mark.compliance("F13")
def test_compliance_of_what_is_far_too_large_no_byte_is_read(settings):
    """The server never sends a body: whoever waited for one would wait for long."""
    huge = b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: "x"\r\n\r\n' % (bucket.LARGEST + 1)
    assert read(settings, {"huge": huge}, ["huge"]) == [Fetched(b"", {})]


def test_whom_tls_does_not_trust_is_not_read(settings, monkeypatch, tmp_path):
    monkeypatch.setattr(quick, "_carefully", lambda name, key: Fetched(b"by boto3", {}))
    certificate, another = tmp_path / "certificate.pem", tmp_path / "another.pem"
    context, _ = _of_its_own(certificate), _of_its_own(another)
    with serving({"a": PLAIN}, [], context) as url:
        settings.S3_ENDPOINT_URL = url.replace("http://", "https://")
        for bundle, data in ((another, b"by boto3"), (certificate, b"abc")):
            monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
            with Reader() as reader:
                assert reader.each([("b", "a")], lambda found: found.data) == [data]


def _of_its_own(path):
    """What a server needs to speak TLS by a certificate that nobody but the file at `path` vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM))
    path.with_suffix(".key").write_bytes(secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, path.with_suffix(".key"))
    return context


def test_a_proxy_is_left_to_boto3(settings, monkeypatch):
    monkeypatch.setattr(quick, "_carefully", lambda name, key: Fetched(b"by boto3", {}))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    assert read(settings, {"a": PLAIN}, ["a"])[0].data == b"by boto3"


def test_requests_are_signed_as_boto3_signs_them(settings):
    asked = []
    key = "AWSLogs/1 + ä~(x)/a.json.gz"
    read(settings, {key: PLAIN}, [key], asked)
    first, *lines = asked[0].splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    sent = headers.pop("authorization")
    request = AWSRequest("GET", f"http://{headers['host']}{first.split()[1]}", headers=headers)
    request.context["timestamp"] = headers["x-amz-date"]
    signing = S3SigV4Auth(
        Credentials(settings.S3_ACCESS_KEY_ID, settings.S3_SECRET_ACCESS_KEY), "s3", settings.S3_REGION
    )
    text = signing.string_to_sign(request, signing.canonical_request(request))
    assert sent.endswith(f"Signature={signing.signature(text, request)}")
