"""Answers questions about packages with quilt3's own code; run by the Python of quilt3's environment.

One JSON object a line on stdin, one JSON answer a line on stdout; a question that quilt3 refuses is answered with
{"error": ...}. Nothing here goes to the network.
"""

import io
import json
import sys
import traceback

from quilt3.checksums import calculate_multipart_checksum_bytes
from quilt3.packages import Package, PackageEntry
from quilt3.util import PhysicalKey


def described(package):
    dumped = io.BytesIO()
    package.dump(dumped)
    pins = [
        [key, entry.physical_key.bucket, entry.physical_key.path, entry.physical_key.version_id]
        for key, entry in package.walk()
    ]
    return {"top_hash": package.top_hash, "manifest": dumped.getvalue().decode(), "pins": pins}


def load(question):
    """What quilt3 makes of a manifest: its top hash, its own writing of it, and where it thinks the bytes are."""
    return described(Package.load(io.StringIO(question["manifest"])))


def build(question):
    """A package made by quilt3 from scratch."""
    package = Package()
    package.set_meta(question["user_meta"])
    package._set_commit_message(question["message"])
    for logical_key, bucket, key, version_id, size, digest, meta in question["entries"]:
        entry = PackageEntry(PhysicalKey(bucket, key, version_id), size, digest, None)
        entry.set_meta(meta)
        package.set(logical_key, entry)
    return described(package)


def verify(question):
    """Whether a folder holds what the manifest says, byte for byte."""
    return {"same": Package.load(io.StringIO(question["manifest"])).verify(question["folder"])}


def chunked(question):
    data = bytes([question["byte"]]) * question["size"]
    return {"value": calculate_multipart_checksum_bytes(data, checksum_type="sha2-256-chunked")}


QUESTIONS = {"load": load, "build": build, "verify": verify, "chunked": chunked}


def main():
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = QUESTIONS[question["do"]](question)
        except Exception as error:  # quilt3 fails in many ways; the test wants to hear of all
            answer = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
