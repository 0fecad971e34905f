"""The gallery behind a small server that sends a Content-Security-Policy stricter than the portal's, and a browser to look at it."""

import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.look import gallery

ROOT = Path(__file__).resolve().parent.parent.parent
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'"


class Gallery(SimpleHTTPRequestHandler):
    """`/gallery...html` drawn anew, `/static/` and this folder as files; what is posted is answered as the portal would."""

    def translate_path(self, path: str) -> str:
        path = path.split("?")[0]
        folder = "tests" if path.startswith("/look/") else "."
        return str(ROOT / folder / path.lstrip("/"))

    def log_message(self, *args: object) -> None:
        pass

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def answer(self, body: str, media_type: str = "text/html; charset=utf-8") -> None:
        data = body.encode()
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        name = self.path.split("?")[0].lstrip("/")
        if name.startswith("gallery"):
            self.answer(gallery.page(name))
        elif name.startswith("jobs/"):
            self.answer('<div class="job" id="job-a"><b>Read and hashed</b></div>')
        elif name.startswith(("static/", "look/")):
            super().do_GET()
        else:
            self.send_response(204)
            self.end_headers()

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/preview/":
            self.answer("<h1>As it will read</h1>")
        elif self.path == "/autosave/":
            self.server.saved.append(sent)  # type: ignore[attr-defined]
            self.answer('{"saved_at": "14:22:09 UTC"}', "application/json")
        else:
            self.answer('{"markdown": "![gel](image:1)"}', "application/json")


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gallery)
    server.saved = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
