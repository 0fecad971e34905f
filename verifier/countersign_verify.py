#!/usr/bin/env python3
"""countersign-verify: does an export of the audit trail agree with the checkpoints from the anchor bucket?

    python3 countersign_verify.py trail.jsonl --checkpoints FOLDER --key portal-key.pem [--key OLDER.pem] [--json]

One file, for Python 3.9 or later with the package `cryptography`. It shares no code with the portal and asks nothing of it: what
it needs to know of the formats stands below. Give it the public keys by a way of your own, not out of the export.

Exit code 0: they agree. 1: they do not, and each fault is named. 2: it could not be checked (a file is missing, cannot be read,
or there is no checkpoint to check against).

The export is JSON Lines in UTF-8:

    {"format": "countersign-trail-1", "origin": "records.example.org/trail"}
    {"seq": 1, "hash": "<hex>", "leaf": "<text>", "entry": {...}}        or "change" instead of "entry"
    {"access": {...}, "leaf": "<text>"}                                  the reading log
    {"end": {"links": 1, "accesses": 1}}

`leaf` is what was chained: canonical JSON (RFC 8785; a number with a fraction as PostgreSQL's `numeric` writes it). hash =
SHA-256(hash of the link before || leaf in UTF-8). `entry`, `change` and `access` are the columns that people read; they must say
what the leaf says. An entry "access.sealed" holds number and SHA-256 of the leaves of the reading log, in order of id, whose
transaction is `after` or later and before `until`. The first begins at 0, each later one where the one before ended, and none
reaches beyond the transaction of its own entry.

A checkpoint is a text of lines: origin; links; hash of the last link in base64; "number N"; "time T"; "previous" and the SHA-256
of the checkpoint before, as a file; after a restored database "restored REPORT version V HASH anchor N lost FROM TO"; an empty
line; a dash, the origin, and in base64 four bytes of the key's SHA-256 with the signature of everything before the empty line
(ECDSA P-256 with SHA-256 in DER, or Ed25519).

A line "restored" says that a signed report declares the links FROM to TO as lost. It answers for one gap, once: N and TO are
number and links of the checkpoint before, which the database did not agree with. Later checkpoints it excuses from nothing.
"""

import argparse
import base64
import contextlib
import hashlib
import json
import re
import sys
from pathlib import Path

FORMAT = "countersign-trail-1"
COLUMNS = {
    "entry": {"id", "at", "xact", "actor", "actor_name", "actor_role", "action", "subject_kind", "subject_id",
              "subject_label", "reason", "request_id", "detail"},
    "change": {"id", "at", "xact", "table", "row", "operation", "subject_kind", "subject_id", "old", "new"},
    "access": {"id", "at", "xact", "actor", "actor_name", "actor_role", "what", "subject_kind", "subject_id",
               "subject_label", "request_id", "detail"},
}  # fmt: skip
NOTE = re.compile(
    r"(\S+)\n([1-9][0-9]*)\n([A-Za-z0-9+/]{43}=)\nnumber ([1-9][0-9]*)\n"
    r"time ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)\nprevious (none|[0-9a-f]{64})\n"
    r"(?:restored (\S+) version ([0-9]+) ([0-9a-f]{64}) anchor ([0-9]+) lost ([0-9]+) ([0-9]+)\n)?"
    r"\n— (\S+) ([A-Za-z0-9+/]+={0,2})\n"
)
LONGEST = 20  # letters of a number that this program counts with
SHOWN = 20  # faults; the others are counted


class CannotCheck(Exception):
    """Exit code 2."""


class Faults(list):
    def add(self, where, sentence):
        self.append({"where": where, "sentence": sentence})


# The export -------------------------------------------------------------------------------------------------------------


def no_twins(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def no_number(text):
    raise ValueError(f"{text} is no number")


class Written(str):
    """A number that is kept as it is written, whatever its fraction and its digits: no reading of it comes between."""


def whole(text):
    return int(text) if len(text) <= LONGEST else Written(text)


def parse(text):
    return json.loads(text, object_pairs_hook=no_twins, parse_float=Written, parse_int=whole, parse_constant=no_number)


def canonical(value):
    """RFC 8785, over objects, lists, strings, integers, booleans and null; fractions as they came."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return str(value) if isinstance(value, Written) else json.dumps(value, ensure_ascii=False)


class Export:
    """What was read: the hash of each link by its number, and the sealed spans of the reading log."""

    def __init__(self):
        self.origin = ""
        self.hashes = {0: b""}
        self.links = 0
        self.seen = set()
        self.accesses = []
        self.spans = []
        self.unsealed = 0
        self.ended = None


def read_export(lines, faults):
    export = Export()
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        where = f"line {number}"
        try:
            line = parse(raw)
            if not isinstance(line, dict):
                raise ValueError("no object")
        except (ValueError, RecursionError) as error:
            faults.add(where, f"Line {number} of the export cannot be read: {error}.")
            continue
        if export.ended is not None:
            faults.add(where, f"Line {number} stands after the end of the export.")
        elif number == 1:
            if set(line) != {"format", "origin"} or line["format"] != FORMAT or not isinstance(line["origin"], str):
                raise CannotCheck("The first line does not say that this is an export of a trail.")
            export.origin = line["origin"]
        elif set(line) == {"end"}:
            export.ended = line["end"]
        elif "access" in line:
            read_access(export, line, where, faults)
        else:
            read_link(export, line, where, faults)
    check_end(export, faults)
    check_spans(export, faults)
    return export


def read_link(export, line, where, faults):
    kinds = [kind for kind in ("entry", "change") if kind in line]
    if len(kinds) != 1 or set(line) != {"seq", "hash", "leaf", kinds[0]} or type(line["seq"]) is not int:
        what = line.get("entry") or line.get("change") or {}
        name = f"{'entry' if 'entry' in line else 'row change'} {what.get('id') if isinstance(what, dict) else ''}"
        faults.add(where, f"The {name.strip()} is in no link of the chain." if line.get("seq", 0) is None
                   else f"In {where} there is no link as an export has them.")  # fmt: skip
        return
    kind, seq = kinds[0], line["seq"]
    if export.accesses:
        faults.add(f"link {seq}", f"Link {seq} stands in {where}, behind rows of the reading log.")
    if seq != export.links + 1:
        faults.add(f"link {seq}", f"Link {export.links + 1} is expected in {where}, and link {seq} stands there.")
    if not isinstance(line["leaf"], str):
        faults.add(f"link {seq}", f"Link {seq} has no bytes.")
        return
    before = export.hashes.get(export.links, b"")
    found = hashlib.sha256(before + encode(line["leaf"])).digest()
    if found.hex() != line["hash"]:
        faults.add(f"link {seq}", f"The hash of link {seq} does not follow from the one before it and its bytes.")
    # Faults further on are told by the stated hash, so that one change is one fault.
    with contextlib.suppress(ValueError, TypeError):
        found = bytes.fromhex(line["hash"])
    export.links += 1
    export.hashes[export.links] = found
    told = check_columns(kind, line[kind], line["leaf"], f"link {seq}", faults)
    if told and (kind, told["id"]) in export.seen:
        faults.add(f"link {seq}", f"The {kind} {told['id']} is in two links.")
    if told:
        export.seen.add((kind, told["id"]))
    if kind == "entry" and told and told.get("action") == "access.sealed":
        export.spans.append((seq, told["xact"], told.get("detail")))


def read_access(export, line, where, faults):
    if set(line) != {"access", "leaf"} or not isinstance(line["leaf"], str):
        faults.add(where, f"In {where} there is no row of the reading log as an export has them.")
        return
    told = check_columns("access", line["access"], line["leaf"], where, faults)
    if told is None:
        return
    if export.accesses and export.accesses[-1][0] >= told["id"]:
        faults.add(where, f"The rows of the reading log are not in order at {where}.")
    export.accesses.append((told["id"], told["xact"], encode(line["leaf"])))


def check_columns(kind, columns, leaf, where, faults):
    """The leaf as an object, if it is canonical and has the fields that it must have; columns that differ are faults."""
    try:
        told = parse(leaf)
        if not isinstance(told, dict) or canonical(told) != leaf:
            raise ValueError("it is not canonical")
    except (ValueError, RecursionError) as error:
        faults.add(where, f"The bytes of {where} are not what a portal writes: {error}.")
        return None
    if columns is None:
        faults.add(where, f"{where.capitalize()} speaks of {kind} {told.get('id')}, which is gone.")
        return told
    if not isinstance(columns, dict) or set(columns) != COLUMNS[kind] or set(told) != COLUMNS[kind]:
        faults.add(where, f"The columns of {where} are not those of such a row.")
        return None
    try:
        wrong = sorted(name for name in told if canonical(told[name]) != canonical(columns[name]))
    except RecursionError:
        faults.add(where, f"The columns of {where} are not what a portal writes: they are nested too deep.")
        return None
    if wrong:
        faults.add(where, f"The column {', '.join(wrong)} of {kind} {told['id']} is not what was chained.")
    return told if type(told["id"]) is int and type(told["xact"]) is int else None


def check_end(export, faults):
    if export.ended is None:
        faults.add("end", "The export was cut off: its last line is missing.")
    elif export.ended != {"links": export.links, "accesses": len(export.accesses)}:
        faults.add("end", f"The export has {export.links} links and {len(export.accesses)} rows of the reading log,"
                   " and its last line names others.")  # fmt: skip


def check_spans(export, faults):
    """Every reading before the end of the last seal is in one of them; how many are younger."""
    ended = 0
    for seq, own, said in export.spans:
        try:
            after, until, count, sha256 = int(said["after"]), int(said["until"]), said["count"], said["sha256"]
        except (KeyError, ValueError, TypeError):
            faults.add(f"link {seq}", f"The seal of the reading log in link {seq} cannot be read.")
            continue
        if after != ended or not after <= until <= own:
            faults.add(
                f"link {seq}", f"The seal of the reading log in link {seq} does not go on where the one before ended."
            )
            continue
        ended = until
        rows = [leaf for _, xact, leaf in export.accesses if after <= xact < until]
        if len(rows) != count or hashlib.sha256(b"".join(rows)).hexdigest() != sha256:
            faults.add(f"link {seq}", f"The reading log that link {seq} sealed has {len(rows)} rows, or other ones.")
    for number, xact, _ in export.accesses:
        if xact < 0:
            faults.add(f"access {number}", f"Row {number} of the reading log stands before every seal.")
    export.unsealed = sum(xact >= ended for _, xact, _ in export.accesses)


def encode(text):
    return text.encode("utf-8", "surrogatepass")


# The checkpoints --------------------------------------------------------------------------------------------------------


class Checkpoint:
    def __init__(self, name, data):
        whole = NOTE.fullmatch(data.decode("utf-8"))
        if whole is None:
            raise ValueError
        told = whole.groups()
        self.name = name
        self.origin, self.size, self.number = told[0], int(told[1]), int(told[3])
        self.head, self.time = base64.b64decode(told[2], validate=True), told[4]
        self.previous = "" if told[5] == "none" else told[5]
        self.restored, self.report = told[6], told[6:9]
        self.anchor, self.lost_from, self.lost_to = (int(told[place] or 0) for place in (9, 10, 11))
        sealed = base64.b64decode(told[13], validate=True)
        self.signer, self.hint, self.signature = told[12], sealed[:4], sealed[4:]
        self.body = data[: data.index(b"\n\n") + 1]
        self.sha256 = hashlib.sha256(data).hexdigest()
        if base64.b64encode(sealed).decode() != told[13] or base64.b64encode(self.head).decode() != told[2]:
            raise ValueError


def read_checkpoints(paths, faults):
    found = []
    for path in sorted(paths):
        try:
            found.append(Checkpoint(path.name, path.read_bytes()))
        except OSError as error:
            raise CannotCheck(f"A checkpoint cannot be read: {error}") from None
        except ValueError:
            faults.add(path.name, f"{path.name} is not a checkpoint.")
    return sorted(found, key=lambda note: (note.number, note.size))


def check_checkpoints(notes, export, keys, faults, alone):
    """How many links the newest good checkpoint covers, and what signed reports declare as lost. `alone`: one note was given, and
    nothing is asked about those before it."""
    before, covered = None, 0
    good: list = []
    gaps: list = []
    for note in notes:
        name = f"Checkpoint {note.number}"
        if note.origin != export.origin or note.signer != export.origin:
            faults.add(note.name, f"{name} is about {note.origin}, and the export about {export.origin}.")
            continue
        if not any(key.holds(note) for key in keys):
            faults.add(note.name, f"{name} is not signed by a key that was given.")
            continue
        if before and note.number == before.number:
            if note.body != before.body:
                faults.add(note.name, f"There are two checkpoints {note.number}: two histories are told (split view).")
            continue
        if alone:
            pass
        elif note.number != (before.number + 1 if before else 1):
            faults.add(note.name, f"Checkpoint {before.number + 1 if before else 1} is missing.")
        elif note.previous != (before.sha256 if before else ""):
            faults.add(note.name, f"{name} does not name the checkpoint before it.")
        if before and note.time < before.time:
            faults.add(note.name, f"{name} is older than the one before it.")
        if before and note.size < before.size and not note.restored:
            faults.add(note.name, f"{name} is about fewer links than the one before it.")
        if note.restored and check_restored(note, before, gaps, faults):
            gaps.append(note)
        good.append(note)
        before = note
    for note in good:
        if any(note.number <= gap.anchor and gap.lost_from <= note.size <= gap.lost_to for gap in gaps):
            continue  # a signed report declares what this one spoke of as lost
        if note.size > export.links:
            faults.add(
                note.name, f"Checkpoint {note.number} is about {note.size} links; the export has {export.links}."
            )
        elif export.hashes.get(note.size) != note.head:
            faults.add(note.name, f"Checkpoint {note.number} has another hash for link {note.size} than the export.")
        else:
            covered = max(covered, note.size)
    declared = [{"report": gap.restored, "from": gap.lost_from, "to": gap.lost_to} for gap in gaps]
    return covered, declared, before


def check_restored(note, before, gaps, faults):
    """Does the report that this checkpoint names answer for the gap before it?"""
    name = f"Checkpoint {note.number}"
    if any(gap.report == note.report for gap in gaps):
        faults.add(note.name, f"{name} names the report {note.restored} once more: it answered for another gap.")
        return False
    if before and (note.anchor, note.lost_to) != (before.number, before.size):
        faults.add(
            note.name,
            f"{name} names the report {note.restored}, which is about another checkpoint than the one before.",
        )
        return False
    return True


class Key:
    """A public key from a PEM file: P-256 or Ed25519."""

    def __init__(self, path):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519

        try:
            key = serialization.load_pem_public_key(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise CannotCheck(f"The key {path} cannot be read: {error}") from None
        if not isinstance(key, (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)):
            raise CannotCheck(f"The key {path} is neither P-256 nor Ed25519.")
        self.key = key
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.sha256 = hashlib.sha256(der).hexdigest()

    def holds(self, note):
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        if not self.sha256.startswith(note.hint.hex()):
            return False
        try:
            if isinstance(self.key, ec.EllipticCurvePublicKey):
                self.key.verify(note.signature, note.body, ec.ECDSA(hashes.SHA256()))
            else:
                self.key.verify(note.signature, note.body)
        except InvalidSignature:
            return False
        return True


# All of it --------------------------------------------------------------------------------------------------------------


def verify(export_path, checkpoints, keys):
    """The verdict as a dict: ok, links, covered, checkpoints, lost, faults, and the sentence that says it."""
    faults = Faults()
    try:
        with open(export_path, encoding="utf-8", errors="surrogateescape") as lines:
            export = read_export(lines, faults)
    except OSError as error:
        raise CannotCheck(f"The export cannot be read: {error}") from None
    if not export.origin:
        raise CannotCheck("The export is empty.")
    folder = Path(checkpoints)
    # What lies deeper is of a trail whose origin goes on from this one's.
    paths = [path for path in folder.glob("*.txt") if path.is_file()] if folder.is_dir() else [folder]
    if not all(path.is_file() for path in paths):
        raise CannotCheck(f"There are no checkpoints at {checkpoints}.")
    notes = read_checkpoints(paths, faults)
    if not notes and not faults:
        raise CannotCheck(f"There are no checkpoints at {checkpoints}.")
    alone = not folder.is_dir()
    covered, lost, newest = check_checkpoints(notes, export, [Key(path) for path in keys], faults, alone)
    return {
        "ok": not faults,
        "origin": export.origin,
        "links": export.links,
        "head": export.hashes[export.links].hex(),
        "covered": covered,
        "checkpoints": len(notes),
        "newest": newest.time if newest else None,
        "newest_number": newest.number if newest else None,
        "alone": alone,
        "unsealed": export.unsealed,
        "lost": lost,
        "faults": faults,
    }


def say(found):
    yield f"{found['origin']}: {found['links']:,} links, {found['checkpoints']:,} checkpoints."
    for gap in found["lost"]:
        yield f"Declared as lost by the signed report {gap['report']}: links {gap['from']} to {gap['to']}."
    if found["ok"]:
        newest = f"the newest checkpoint has number {found['newest_number']} and is of {found['newest']}"
        yield f"They agree. {found['covered']:,} links are covered; {newest}."
        if found["alone"]:
            yield "It was given alone: nothing is said of the checkpoints before it."
        if found["links"] > found["covered"]:
            yield f"The last {found['links'] - found['covered']:,} links are younger than it: nothing outside vouches for them."
        if found["unsealed"]:
            yield f"The last {found['unsealed']:,} rows of the reading log are sealed by no entry yet."
    else:
        yield f"They do NOT agree: {len(found['faults']):,} faults."
        yield from (f"  {fault['sentence']}" for fault in found["faults"][:SHOWN])


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("export", help="the trail, JSON Lines")
    parser.add_argument("--checkpoints", required=True, metavar="PATH", help="a folder with the notes, or one of them")
    parser.add_argument("--key", required=True, action="append", metavar="PEM", help="public key; may be given again")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    asked = parser.parse_args(arguments)
    try:
        found = verify(asked.export, asked.checkpoints, asked.key)
    except (CannotCheck, ImportError) as error:
        print(json.dumps({"ok": None, "cannot": str(error)}) if asked.json else f"It could not be checked. {error}")
        return 2
    print(json.dumps(found) if asked.json else "\n".join(say(found)))
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
