"""An S3 that fails as it is told: in front of the stand-in, request by request."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = tuple[str, int | float | str]
"""("status", 503), ("code", "ExpiredToken"), ("slow", seconds), ("reset", bytes of the answer that still come), ("", 0)."""
STATUS = {"ExpiredToken": 400, "AccessDenied": 403, "SlowDown": 503, "InternalError": 500}


def _lowered(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@contextmanager
def in_front_of(url: str, fault: Callable[[str, str], Fault]) -> Iterator[str]:
    """The address of a server that asks `fault(method, path)` before each request is passed on."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            kind, what = fault(self.command, self.path)
            if kind == "code":
                body = f"<Error><Code>{what}</Code><Message>Told to.</Message></Error>".encode()
                return self.answer(STATUS[str(what)], {}, body, len(body))
            if kind == "slow":
                time.sleep(float(what))
            status, headers, body = self.passed_on()
            length = int(headers.get("content-length", len(body)))  # that of an answer to HEAD has no body
            if kind == "reset":
                self.close_connection = True
                body = body[: int(what)]
            return self.answer(status, headers, body, length)

        do_HEAD = do_GET

        def passed_on(self) -> tuple[int, dict[str, str], bytes]:
            request = urllib.request.Request(url + self.path, method=self.command)
            for name, value in self.headers.items():
                request.add_header(name, value)
            try:
                with urllib.request.urlopen(request) as answer:
                    return answer.status, _lowered(answer.headers), answer.read()
            except urllib.error.HTTPError as error:
                return error.code, _lowered(error.headers), error.read()

        def answer(self, status: int, headers: dict[str, str], body: bytes, length: int) -> None:
            self.send_response_only(status)
            kept = {name: value for name, value in headers.items() if name not in ("content-length", "connection")}
            for name, value in (kept | {"Content-Length": str(length)}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
