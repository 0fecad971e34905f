"""An S3 server that does next to nothing, for measurements: objects in memory, every request answered at once.

`python -m portal.bench.thin_s3 PORT`. It checks no signature and keeps no lock (it says back what was asked for): correctness
is tried against the guarded stand-in, speed against this.
"""

import base64
import hashlib
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

WHEN = "2026-01-01T00:00:00.000Z"
KEPT = ("Content-Type", "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date")
Stored = tuple[str, bytes, dict[str, str]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: dict[tuple[str, str], list[Stored]] = {}

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_PUT(self) -> None:
        body = self._body()
        bucket, key, _ = self._where()
        if key:
            kept = {name: self.headers[name] for name in KEPT if name in self.headers}
            kept["x-amz-checksum-sha256"] = base64.b64encode(hashlib.sha256(body).digest()).decode()
            version = uuid.uuid4().hex
            self.objects.setdefault((bucket, key), []).append((version, body, kept))
            self._answer(200, headers={"x-amz-version-id": version})
        else:
            self._answer(200)

    def do_HEAD(self) -> None:
        self._object(with_body=False)

    def do_GET(self) -> None:
        bucket, key, query = self._where()
        if key:
            self._object(with_body=True)
        elif "versions" in query:
            self._answer(200, self._versions(bucket, query.get("prefix", [""])[0]))
        else:
            self._answer(200, b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>")

    def _object(self, *, with_body: bool) -> None:
        bucket, key, query = self._where()
        wanted = query.get("versionId", [""])[0]
        for version, body, kept in reversed(self.objects.get((bucket, key), [])):
            if wanted in ("", version):
                headers = {**kept, "x-amz-version-id": version, "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
                self._answer(200, body, headers, with_body=with_body)
                return
        self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>", with_body=with_body)

    def _versions(self, bucket: str, prefix: str) -> bytes:
        rows = [
            f"<Version><Key>{escape(key)}</Key><VersionId>{version}</VersionId><IsLatest>{str(place == len(held)).lower()}"
            f"</IsLatest><LastModified>{WHEN}</LastModified><Size>{len(body)}</Size></Version>"
            for (where, key), held in sorted(self.objects.items())
            if where == bucket and key.startswith(prefix)
            for place, (version, body, _) in enumerate(held, start=1)
        ]
        return f"<ListVersionsResult><IsTruncated>false</IsTruncated>{''.join(rows)}</ListVersionsResult>".encode()

    def _where(self) -> tuple[str, str, dict[str, list[str]]]:
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        return bucket, key, parse_qs(url.query, keep_blank_values=True)

    def _body(self) -> bytes:
        """The body, out of the aws-chunked coding where the client used it."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return _unframed(data) if "aws-chunked" in self.headers.get("Content-Encoding", "") else data
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        data = b"".join(parts)
        return _unframed(data) if "aws-chunked" in self.headers.get("Content-Encoding", "") else data

    def _answer(
        self, code: int, body: bytes = b"", headers: dict[str, str] | None = None, *, with_body: bool = True
    ) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def _unframed(data: bytes) -> bytes:
    parts, at = [], 0
    while at < len(data):
        end = data.index(b"\r\n", at)
        size = int(data[at:end].split(b";")[0], 16)
        if not size:
            break
        parts.append(data[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return b"".join(parts)


def main() -> None:
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()


if __name__ == "__main__":
    main()
