"""Puts the parts together and runs them until asked to stop."""

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from moto.s3.models import S3Backend, s3_backends
from werkzeug.serving import BaseWSGIServer, make_server

from standin import guards
from standin.application import Application
from standin.digesting import Digests
from standin.journal import Journal
from standin.principals import Directory
from standin.trail import Trail

TRAIL = "gxp-trail"
ROLE_SESSION = 6 * 3600  # seconds after which a service takes its role anew; the sessions last twice as long


class QuietHandler(MotoRequestHandler):
    """moto's handler without a line on the terminal for each request."""

    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:
        if type == "error":
            super().log(type, message, *args)


class Server:
    """The stand-in: `serve()` blocks until `stop()` is called from a signal handler or another thread."""

    def __init__(
        self,
        *,
        port: int,
        trail_bucket: str,
        trail_account: str,
        trail_every: float,
        region: str,
        data: Path | None,
        tamper: bool,
    ) -> None:
        guards.install()
        self.every = trail_every
        self.trail_bucket = trail_bucket
        self.region = region
        self.backend: S3Backend = s3_backends[trail_account]["aws"]
        self.directory = Directory(datetime.now(UTC))
        self.journal = Journal(data, trail_account) if data else None
        self.trail = Trail(account=trail_account, bucket=trail_bucket, directory=self.directory, put=self.put)
        self.digests = Digests(
            self, account=trail_account, bucket=trail_bucket, trail=TRAIL, folder=data, now=datetime.now(UTC)
        )
        self.application = Application(
            directory=self.directory,
            trail=self.trail,
            digests=self.digests,
            journal=self.journal,
            region=region,
            tamper=tamper,
        )
        if self.journal:
            self.journal.open(self.directory)
        self._make_trail_bucket()
        self.trail.services_assume_their_roles(region)
        self._stopping = threading.Event()
        self._http: BaseWSGIServer = make_server(
            "127.0.0.1", port, self.application, threaded=True, request_handler=QuietHandler
        )
        self._http.daemon_threads = True  # type: ignore[attr-defined]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def serve(self) -> None:
        """Answer requests; at the end deliver what the trail still holds."""
        if self.every:
            threading.Thread(target=self._deliver_regularly, daemon=True).start()
        try:
            self._http.serve_forever(poll_interval=0.1)
        finally:
            self._stopping.set()
            self._deliver()
            self._http.server_close()
            if self.journal:
                self.journal.close()

    def stop(self) -> None:
        """End `serve()`; safe in a signal handler, because it waits for nothing."""
        threading.Thread(target=self._http.shutdown, daemon=True).start()

    def _make_trail_bucket(self) -> None:
        """The trail bucket, versioned, unless the journal has brought it back."""
        if self.trail_bucket not in self.backend.buckets:
            self.backend.create_bucket(self.trail_bucket, self.region)
            self.backend.put_bucket_versioning(self.trail_bucket, "Enabled")
            if self.journal:
                self.journal.keep_bucket(self.trail_bucket)

    def put(self, key: str, data: bytes, metadata: dict[str, str] | None = None) -> None:
        """A delivery: straight into the store, so that it is no request and leaves no record of its own."""
        file = self.backend.put_object(self.trail_bucket, key, data)
        bucket = self.backend.get_bucket(self.trail_bucket)
        if bucket.has_default_lock:  # as S3 locks whatever comes without a lock of its own
            file.lock_mode, file.lock_until = bucket.default_lock_mode, bucket.default_retention()
        told = {f"x-amz-meta-{name}": value for name, value in (metadata or {}).items()}
        file.set_metadata({"Content-Type": "application/json", "Content-Encoding": "gzip"} | told)
        if self.journal:
            self.journal.keep_key(self.trail_bucket, key)

    def held(self) -> list[str]:
        """The keys of the trail bucket."""
        return list(self.backend.buckets[self.trail_bucket].keys.keys())

    def get(self, key: str) -> tuple[bytes, dict[str, str]]:
        """The bytes that lie at a key of the trail bucket, and their user metadata."""
        found: Any = self.backend.get_object(self.trail_bucket, key)
        told = {name.lower(): value for name, value in found.metadata.items()}
        mark = "x-amz-meta-"
        return found.value, {name.removeprefix(mark): value for name, value in told.items() if name.startswith(mark)}

    def _deliver(self) -> None:
        with self.application.lock:
            self.trail.deliver()
            if self.every:
                self.digests.catch_up(datetime.now(UTC))

    def _deliver_regularly(self) -> None:
        renewed = time.monotonic()
        while not self._stopping.wait(self.every):
            if time.monotonic() - renewed > ROLE_SESSION:
                renewed = time.monotonic()
                self.trail.services_assume_their_roles(self.region)
            self._deliver()
