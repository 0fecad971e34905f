"""The WSGI application: checks a request, lets moto answer it, records it, and keeps its effect."""

import base64
import io
import json
import secrets
import string
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from standin import digesting, guards, tampering
from standin.call import Call, read
from standin.digesting import Digests
from standin.journal import Journal
from standin.principals import Directory
from standin.trail import Trail

Answer = tuple[int, dict[str, str], bytes]
REQUEST_ID = string.ascii_uppercase + string.digits


class Application:
    """Serves one request at a time, so that what is journalled has the order in which it happened."""

    def __init__(
        self,
        *,
        directory: Directory,
        trail: Trail,
        digests: Digests,
        journal: Journal | None,
        region: str,
        tamper: bool,
    ) -> None:
        self.directory = directory
        self.trail = trail
        self.digests = digests
        self.journal = journal
        self.region = region
        self.tamper = tamper
        self.lock = threading.RLock()
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = _body(environ)
        call = read(environ, body, self.region)
        if environ.get("PATH_INFO", "").startswith(("/moto-api", "/standin/")):
            status, headers, answer = self._own(environ, body)
        else:
            with self.lock:
                status, headers, answer = self._serve(environ, call)
        if call.method == "HEAD":
            answer = b""
        else:
            headers["content-length"] = str(len(answer))
        start_response(f"{status} {'OK' if status < 300 else 'Answer'}", list(headers.items()))
        return [answer]

    def _serve(self, environ: dict[str, Any], call: Call) -> Answer:
        when = datetime.now(UTC)
        if (call.service, call.operation) == ("cloudtrail", "ListPublicKeys"):  # moto has none
            told = json.dumps(self.digests.public_keys(json.loads(call.body or b"{}")))
            return 200, {"content-type": "application/x-amz-json-1.1"}, told.encode()
        try:
            if call.service == "s3":
                guards.check_request(call, self.directory.find(call.access_key) is not None)
                guards.complete(environ, call)
            with guards.asking(call, self.directory.find(call.access_key), self.trail.account):
                status, headers, answer = self._ask_moto(environ)
        except guards.Refusal as refusal:
            status, headers, answer = _refused(refusal)
        if call.service == "s3":
            status = _status(status, answer)
            headers.pop("x-amzn-requestid", None)  # S3 sends the other one only
            headers["x-amz-request-id"] = "".join(secrets.choice(REQUEST_ID) for _ in range(16))
            headers["x-amz-id-2"] = base64.b64encode(secrets.token_bytes(56)).decode()
        created = call.headers.get("x-standin-created")
        if created and call.operation == "PutObject" and status == 200:
            tampering.backdate(call.bucket, call.key, created)
        else:
            self.trail.saw(call, status=status, headers=headers, body=answer, when=when)
        if self.journal and status < 300:
            self.journal.saw(call, self.directory)
        return status, headers, answer

    def _ask_moto(self, environ: dict[str, Any]) -> Answer:
        given: dict[str, Any] = {}

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            given["status"], given["headers"] = int(status.split()[0]), headers

        parts = self._moto(environ, start)
        try:
            answer = b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        headers = {name.lower(): value for name, value in given["headers"]}
        return given["status"], headers, answer

    def _own(self, environ: dict[str, Any], body: bytes) -> Answer:
        """`/standin/health`, `deliver`, `digest`, and `tamper` where that was allowed at the start."""
        path = environ["PATH_INFO"]
        if path == "/standin/health":
            return 200, {"content-type": "text/plain"}, b"ready\n"
        if path == "/standin/deliver" and environ["REQUEST_METHOD"] == "POST":
            with self.lock:
                return 200, {"content-type": "text/plain"}, f"{self.trail.deliver()}\n".encode()
        if path == "/standin/digest" and environ["REQUEST_METHOD"] == "POST":
            with self.lock:
                return 200, {"content-type": "text/plain"}, f"{self.digests.make(*digesting.asked(body))}\n".encode()
        if path == "/standin/tamper" and environ["REQUEST_METHOD"] == "POST" and self.tamper:
            with self.lock:
                said = tampering.flip(body)
                if self.journal:
                    self.journal.keep_key(said["bucket"], said["key"])
            return 200, {"content-type": "text/plain"}, b"done\n"
        return 404, {"content-type": "text/plain"}, b"not here\n"


def _body(environ: dict[str, Any]) -> bytes:
    """All bytes of the request; moto gets them again from memory."""
    stream = environ["wsgi.input"]
    body = stream.read(int(environ["CONTENT_LENGTH"])) if environ.get("CONTENT_LENGTH") else b""
    if not body and environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
        body = stream.read()
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _refused(refusal: guards.Refusal) -> Answer:
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(refusal.code)}</Code><Message>{escape(refusal.message)}</Message></Error>"
    )
    return guards.STATUS.get(refusal.code, 400), {"content-type": "application/xml"}, xml.encode()


def _status(status: int, answer: bytes) -> int:
    """AWS's status for an error code to which moto gives the general 400."""
    if status != 400:
        return status
    for code, proper in guards.STATUS.items():
        if f"<Code>{code}</Code>".encode() in answer[:500]:
            return proper
    return status
