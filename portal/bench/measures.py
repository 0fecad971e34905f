"""The measurements by name. Each makes its own ground and returns its figures."""

import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from django.contrib.auth.hashers import check_password
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper as Cursor

from audit import chain, trail
from audit.actions import Action
from portal.bench import ground, scale
from portal.bench.figures import Figure, p95, queries, ratio, samples, seconds
from portal.bench.ingesting import ingest
from portal.bench.validating import validate
from portal.consequences import approved, signed
from records import verification
from records.models import Record
from signatures.models import Signature
from signatures.transitions import sign_all
from storage import s3

PACKAGE_FILES, FILE_BYTES = 8, 16 * 1024 * 1024
SIGNINGS = 48
CHAIN_ENTRIES = 1_000_000
PAGE_ROUNDS = 30
WRITERS, CHANGES_EACH = 8, 200


def register() -> list[Figure]:
    """Registration and verification of a package, against SHA-256 of the same bytes in memory."""
    record, data = ground.record(), os.urandom(FILE_BYTES)
    for number in range(PACKAGE_FILES):
        s3.client().put_object(Bucket=ground.BUCKET, Key=f"{record.number}/file-{number}.bin", Body=data)
    megabytes = PACKAGE_FILES * FILE_BYTES / 1e6
    alone = megabytes / seconds(lambda: [hashlib.sha256(data).digest() for _ in range(PACKAGE_FILES)], 3)
    began = time.perf_counter()
    version = ground.registered(record)
    registering = megabytes / (time.perf_counter() - began)
    verifying = megabytes / seconds(lambda: verification.verify(version, by=ground.operator()), 3)
    return [
        ratio("register a version", registering, alone, "of SHA-256 alone", f"{registering:.0f} of {alone:.0f} MB/s"),
        ratio("verify a version", verifying, alone, "of SHA-256 alone", f"{verifying:.0f} of {alone:.0f} MB/s"),
    ]


def sign() -> list[Figure]:
    """One signing from the button to its commit, against its password hash alone. Each takes another person's code."""
    taken: list[float] = []
    hashed: list[float] = []
    for _ in range(SIGNINGS):
        record, signer = ground.record(), ground.person("approver")
        s3.client().put_object(Bucket=ground.BUCKET, Key=f"{record.number}/a.bin", Body=b"a")
        intent, meaning, credentials, sitting = ground.prepared(ground.registered(record), signer)
        committed: list[float] = []

        def first_after_the_commit(signature: Signature, committed: list[float] = committed) -> None:
            transaction.on_commit(lambda: committed.append(time.perf_counter()))
            signed(signature)

        began = time.perf_counter()
        sign_all(
            [intent],
            meaning,
            signer=signer,
            credentials=credentials,
            sitting=sitting,
            reviewed=True,
            approved=approved,
            signed=first_after_the_commit,
        )
        taken.append(committed[0] - began)
        began = time.perf_counter()
        check_password(ground.PASSWORD, signer.password)
        hashed.append(time.perf_counter() - began)
    median, alone = (sorted(times)[len(times) // 2] for times in (taken, hashed))
    return [
        ratio(
            "sign", median, alone, "times the password hash", f"{median * 1e3:.1f} ms, hash alone {alone * 1e3:.1f} ms"
        )
    ]


def walk() -> list[Figure]:
    """The chain walked, against hashing the same bytes in memory."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_entry (actor, actor_name, actor_role, action, subject_kind, subject_id, subject_label, reason,"
            " request_id, detail) SELECT 'bench', 'Bench', 'Author', 'area.changed', 'area', i::text, 'Bench area',"
            " 'A reason of usual length', md5(i::text), jsonb_build_object('n', i) FROM generate_series(1, %s) i",
            [CHAIN_ENTRIES],
        )
        cursor.execute("SELECT count(*), avg(length(leaf))::int FROM audit_link")
        count, size = cursor.fetchone()
    leaf = os.urandom(size)

    def in_memory() -> None:
        head = b""
        for _ in range(count):
            head = hashlib.sha256(head + leaf).digest()

    alone = count / seconds(in_memory, 3)
    figures = []
    for name, columns in (("walk the chain, hashes only", False), ("walk the chain, every column compared", True)):
        links = chain.walk(columns=columns).links
        rate = links / seconds(partial(chain.walk, columns=columns), 3)
        figures.append(
            ratio(name, rate, alone, "of hashing alone", f"{rate:,.0f} of {alone:,.0f} entries/s, {links:,} links")
        )
    return figures


def append() -> list[Figure]:
    """What entry, row change and link add to a transaction, with eight writers in a closed loop, each on a row of its own."""
    areas = [str(ground.new_area(f"Writer {number}").pk) for number in range(WRITERS)]
    with ground.owner() as owner:
        owner.execute("CREATE TABLE bench_plain AS SELECT id, description FROM accounts_area")
        owner.execute("ALTER TABLE bench_plain ADD PRIMARY KEY (id)")
        owner.execute("GRANT SELECT, UPDATE ON bench_plain TO PUBLIC")
    ways = (_plain_change, _recorded_change)
    taken = [_in_parallel(areas, way) for way in ways * 3]
    plain, recorded = (p95([each for one in taken[start::2] for each in one]) for start in range(2))
    said = f"p95 {recorded * 1e3:.2f} ms recorded, {plain * 1e3:.2f} ms not; {WRITERS} writers"
    return [Figure("entry, row change and link add, p95", round((recorded - plain) * 1e3, 2), "ms", said)]


def _in_parallel(areas: list[str], way: Callable[[Cursor, str, int], None]) -> list[float]:
    """Seconds of every transaction, all writers together."""

    def write(area: str) -> list[float]:
        taken = []
        try:
            for number in range(CHANGES_EACH):
                began = time.perf_counter()
                with transaction.atomic(), connection.cursor() as cursor:
                    way(cursor, area, number)
                taken.append(time.perf_counter() - began)
        finally:
            connection.close()
        return taken

    with ThreadPoolExecutor(WRITERS) as pool:
        return [each for one in pool.map(write, areas) for each in one]


def _plain_change(cursor: Cursor, area: str, number: int) -> None:
    cursor.execute("UPDATE bench_plain SET description = %s WHERE id = %s", [f"Change {number}", area])


def _recorded_change(cursor: Cursor, area: str, number: int) -> None:
    cursor.execute("UPDATE accounts_area SET description = %s WHERE id = %s", [f"Change {number}", area])
    trail.record(Action.AREA_CHANGED, trail.Subject("area", area, "Bench area"), by=trail.SYSTEM, reason="Measured")


def pages() -> list[Figure]:
    """Record page and audit view: p50, p95 and queries, against an empty page of the same stack."""
    record = Record.objects.filter(versions__isnull=False, type__kind="data").first() or _small_record()
    reader = ground.person("inspector")
    client = ground.browser(reader)
    empty = seconds(lambda: client.get("/healthz"), PAGE_ROUNDS)
    figures = []
    for name, url in (
        ("record page", f"/records/{record.number}/"),
        ("audit view", f"/records/{record.number}/audit/"),
    ):
        answer = client.get(url)
        if answer.status_code != 200:
            raise SystemExit(f"{url} answered {answer.status_code}")
        taken = samples(partial(client.get, url), PAGE_ROUNDS)
        middle, high = sorted(taken)[len(taken) // 2], p95(taken)
        count = queries(partial(client.get, url))
        said = f"p50 {middle * 1e3:.1f} ms, p95 {high * 1e3:.1f} ms, {count} queries; health page {empty * 1e3:.1f} ms"
        figures += [
            Figure(f"{name}, p50", round(middle * 1e3, 2), "ms", said),
            Figure(f"{name}, p95", round(high * 1e3, 2), "ms", said),
            Figure(f"{name}, queries", count, "queries", "the same at every size: a test asserts it"),
        ]
    return figures


def _small_record() -> Record:
    record = ground.record()
    s3.client().put_object(Bucket=ground.BUCKET, Key=f"{record.number}/README.md", Body=b"# Bench")
    ground.registered(record)
    return record


MEASURES: dict[str, Callable[[], list[Figure]]] = {
    "register": register,
    "sign": sign,
    "walk": walk,
    "append": append,
    "pages": pages,
    "audit_scale": scale.audit_scale,  # before a million more events are there
    "ingest": ingest,
    "validate": validate,
}
