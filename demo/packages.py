"""NGS run packages of the demo: small, well-formed, and the same bytes whenever the same version is made on the same day.

What differs between two versions is what `demo.content` says at registration: nothing else changes by a byte, so unchanged
files are the same objects on S3. Figures in the reports are computed from the reads that lie beside them.
"""

import csv
import gzip
import hashlib
import io
import json
import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any

from PIL import Image, ImageDraw
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import Image as Picture
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from demo import content

DAY = date(2026, 6, 1)  # a day on which the demo might be made, for those who do not mind which
PAIRS = 240  # read pairs a sample
LENGTH = 101  # bases a read
# Coding sequence of KRAS exon 2; codons 12 and 13 (GGT GGC), which the panel looks at, are bases 34 to 39.
KRAS_EXON_2 = (
    "ATGACTGAATATAAACTTGTGGTAGTTGGAGCTGGTGGCGTAGGCAAGAGTGCCTTGACGATACAGCTAATTCAGAATCATTTTGTGGACGAATATGATCCAACAATAGAG"
)
LIMITS = {"q30_percent": 75.0, "mean_coverage": 100, "duplicate_percent": 40.0}
TISSUES = ("tumour, FFPE block", "tumour, fresh frozen", "tumour, FFPE block", "tumour, core biopsy")
FREEZER = "\n## Where the library is\n\nWhat remains of the library stands in freezer F-07, rack 3, box 12.\n"


@dataclass(frozen=True)
class Reads:
    """One sample's read pairs as (name, sequence, qualities) for each direction."""

    forward: tuple[tuple[str, str, str], ...]
    reverse: tuple[tuple[str, str, str], ...]


def version_of(number: str, version: int) -> tuple[content.Package, content.PackageVersion]:
    """What the demo says about a version. Raises LookupError for a package or version that it does not have."""
    package = {package.number: package for package in content.PACKAGES}[number]
    known = [*package.versions, *([content.KRAS_001_V4] if number == "KRAS-001" else [])]
    if not 1 <= version <= len(known):
        raise LookupError(f"{number} has no version {version}")
    return package, known[version - 1]


def files(number: str, version: int, today: date) -> dict[str, bytes]:
    """Logical key to bytes of every file of a version, for a demo that is made on `today`."""
    package, said = version_of(number, version)
    run_date = today - timedelta(days=said.run_days_ago)
    made = {
        "README.md": _readme(package, version),
        "samples/manifest.csv": _sample_manifest(package, version, run_date),
        "pipeline/run.json": _pipeline_run(package, said, run_date),
    }
    for sample in package.samples:
        reads = _reads(number, sample, str(said.metadata["run_id"]), str(said.metadata["sequencer"]))
        made[f"reads/{sample}_R1.fastq.gz"] = _fastq(reads.forward)
        made[f"reads/{sample}_R2.fastq.gz"] = _fastq(reads.reverse)
    figures = _figures(package, said)
    made["qc/metrics.json"] = _json(figures)
    made["qc/report.pdf"] = _report(package, said, figures, run_date)
    return dict(sorted(made.items()))


def incomplete(number: str, version: int, today: date) -> dict[str, bytes]:
    """The package as it was offered before its quality control report had been copied."""
    missing = content.REFUSED_REGISTRATION["left_out"]
    assert isinstance(missing, tuple)
    return {key: data for key, data in files(number, version, today).items() if key not in missing}


def metadata_of(number: str, version: int, today: date) -> dict[str, object]:
    """What the operator states at registration."""
    _, said = version_of(number, version)
    return said.metadata | {"run_date": (today - timedelta(days=said.run_days_ago)).isoformat()}


def kras_package(n: int, version: int, today: date = DAY) -> dict[str, bytes]:
    """`files` of KRAS-00n."""
    return files(f"KRAS-{n:03}", version, today)


def metadata(n: int, version: int, today: date = DAY) -> dict[str, object]:
    """`metadata_of` KRAS-00n."""
    return metadata_of(f"KRAS-{n:03}", version, today)


def storage_key(number: str, logical_key: str) -> str:
    """Where a file lies in the record bucket; a later version of it is a newer S3 version of the same key."""
    _, said = version_of(number, 1)
    return f"runs/{said.metadata['run_id']}/{logical_key}"


# Files


def _readme(package: content.Package, version: int) -> bytes:
    text = package.readme
    if package.number == "KRAS-001" and version >= 3:
        text += (
            "\nThe report was made again with pipeline 3.2.1, which counts duplicate reads by both ends of a pair.\n"
        )
    if package.number == "KRAS-001" and version >= 4:
        text += FREEZER
    return text.encode()


def _sample_manifest(package: content.Package, version: int, run_date: date) -> bytes:
    """One row a sample; version 1 of KRAS-001 has the figure that was typed wrongly."""
    chance = random.Random(f"{package.number} samples")
    out = io.StringIO(newline="")
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["sample_id", "barcode", "tissue", "concentration_ng_ul", "volume_ul", "received"])
    for place, sample in enumerate(package.samples):
        barcode = "".join(chance.choice("ACGT") for _ in range(8))
        concentration = f"{chance.uniform(8, 30):.1f}"
        volume = chance.choice((20, 25, 30))
        received = run_date - timedelta(days=chance.randint(3, 9))
        if sample == "LU-3302":
            concentration = "14.2" if version == 1 else "12.4"
        tissue = "reference cell line" if sample.startswith("REF") else TISSUES[place % len(TISSUES)]
        rows.writerow([sample, barcode, tissue, concentration, volume, received.isoformat()])
    return out.getvalue().encode()


def _pipeline_run(package: content.Package, said: content.PackageVersion, run_date: date) -> bytes:
    """What ran: image by digest, parameters, and the digests of the reads that went in."""
    pipeline = str(said.metadata["pipeline_version"])
    again = pipeline != str(package.versions[0].metadata["pipeline_version"])
    started = datetime.combine(run_date, time(18, 4, 11), UTC) + timedelta(days=12 if again else 1)
    inputs = []
    for sample in package.samples:
        reads = _reads(package.number, sample, str(said.metadata["run_id"]), str(said.metadata["sequencer"]))
        for end, lines in (("R1", reads.forward), ("R2", reads.reverse)):
            digest = hashlib.sha256(_fastq(lines)).hexdigest()
            inputs.append({"file": f"reads/{sample}_{end}.fastq.gz", "sha256": digest})
    return _json(
        {
            "pipeline": "panel-calls",
            "version": pipeline,
            "image": f"registry.{content.FIRM.domain}/panel-calls@{said.metadata['image_digest']}",
            "run": said.metadata["run_id"],
            "panel": said.metadata["panel"],
            "parameters": {
                "reference": "GRCh38.p14",
                "minimum_base_quality": 20,
                "minimum_mapping_quality": 30,
                "minimum_depth": 100,
                "duplicates": "both ends" if pipeline >= "3.2.1" else "first end",
                "random_seed": 2217,
            },
            "inputs": inputs,
            "started": started.isoformat(),
            "finished": (started + timedelta(minutes=41, seconds=7)).isoformat(),
            "exit_code": 0,
        }
    )


@cache
def _reads(number: str, sample: str, run: str, sequencer: str) -> Reads:
    """Read pairs of one sample: pieces of a reference with sequencing errors, a variant in tumours, and duplicates."""
    chance = random.Random(f"{number} {sample}")
    reference = _reference(number)
    forward: list[tuple[str, str, str]] = []
    reverse: list[tuple[str, str, str]] = []
    ends, best = ("", ""), chance.uniform(37.2, 39.8)
    for pair in range(PAIRS):
        tile, across = 1101 + pair // 60, chance.randint(1000, 9999)
        name = f"{sequencer}:{run.removeprefix('RUN-')}:FC0042:1:{tile}:{across}:{1000 + pair}"
        if not (ends[0] and chance.random() < 0.09):
            ends = _fragment(reference, chance, tumour=not sample.startswith("REF"))
        elif chance.random() < 0.5:
            # Starts like the pair before but ends elsewhere: the old pipeline took this for a duplicate.
            ends = (ends[0], _fragment(reference, chance, tumour=False)[1])
        forward.append((f"{name} 1:N:0:{sample}", ends[0], _qualities(chance, best)))
        reverse.append((f"{name} 2:N:0:{sample}", ends[1], _qualities(chance, best)))
    return Reads(tuple(forward), tuple(reverse))


@cache
def _reference(number: str) -> str:
    chance = random.Random(f"{number.partition('-')[0]} reference")
    flank = "".join(chance.choice("ACGT") for _ in range(300))
    core = KRAS_EXON_2 if number.startswith("KRAS") else "".join(chance.choice("ACGT") for _ in range(111))
    return flank[:150] + core + flank[150:]


def _fragment(reference: str, chance: random.Random, *, tumour: bool) -> tuple[str, str]:
    """Both ends of a fragment; a third of a tumour's fragments carries G12D (GGT to GAT)."""
    if tumour and chance.random() < 0.34:
        at = 150 + 34
        reference = reference[:at] + "A" + reference[at + 1 :]
    start = chance.randint(0, len(reference) - 180)
    end = min(len(reference), start + chance.randint(140, 180))
    complement = str.maketrans("ACGT", "TGCA")
    first, second = reference[start : start + LENGTH], reference[end - LENGTH : end].translate(complement)[::-1]
    return _with_errors(first, chance), _with_errors(second, chance)


def _with_errors(sequence: str, chance: random.Random) -> str:
    return "".join(chance.choice("ACGTN") if chance.random() < 0.003 else base for base in sequence)


def _qualities(chance: random.Random, best: float) -> str:
    """Phred scores plus 33, falling towards the end of the read."""
    return "".join(
        chr(33 + max(2, min(40, round(chance.gauss(best - 10 * place / LENGTH, 3))))) for place in range(LENGTH)
    )


def _fastq(lines: tuple[tuple[str, str, str], ...]) -> bytes:
    text = "".join(f"@{name}\n{sequence}\n+\n{qualities}\n" for name, sequence, qualities in lines)
    return gzip.compress(text.encode(), compresslevel=6, mtime=0)


def _figures(package: content.Package, said: content.PackageVersion) -> dict[str, object]:
    """Quality figures of every sample, counted from the reads as the pipeline of that version counts them."""
    samples: list[dict[str, Any]] = []
    for sample in package.samples:
        reads = _reads(package.number, sample, str(said.metadata["run_id"]), str(said.metadata["sequencer"]))
        scores = [ord(mark) - 33 for _, _, qualities in (*reads.forward, *reads.reverse) for mark in qualities]
        if str(said.metadata["pipeline_version"]) >= "3.2.1":
            different = len({(one[1], two[1]) for one, two in zip(reads.forward, reads.reverse, strict=True)})
        else:
            different = len({one[1] for one in reads.forward})
        samples.append(
            {
                "sample_id": sample,
                "read_pairs": PAIRS,
                "bases": len(scores),
                "q30_percent": round(100 * sum(score >= 30 for score in scores) / len(scores), 1),
                "mean_coverage": round(2 * PAIRS * LENGTH / len(_reference(package.number))),
                "duplicate_percent": round(100 * (PAIRS - different) / PAIRS, 1),
            }
        )
    return {
        "run": said.metadata["run_id"],
        "pipeline_version": said.metadata["pipeline_version"],
        "limits": LIMITS,
        "samples": [sample | {"verdict": _verdict(sample)} for sample in samples],
    }


def _verdict(sample: dict[str, Any]) -> str:
    good = sample["q30_percent"] >= LIMITS["q30_percent"] and sample["mean_coverage"] >= LIMITS["mean_coverage"]
    return "pass" if good and sample["duplicate_percent"] <= LIMITS["duplicate_percent"] else "fail"


def _report(
    package: content.Package, said: content.PackageVersion, figures: dict[str, object], run_date: date
) -> bytes:
    """The quality control report; the same figures give the same bytes."""
    style = getSampleStyleSheet()
    samples = figures["samples"]
    assert isinstance(samples, list)
    head = ["Sample", "Read pairs", "Q30 %", "Mean coverage", "Duplicates %", "Verdict"]
    names = ("sample_id", "read_pairs", "q30_percent", "mean_coverage", "duplicate_percent", "verdict")
    table = Table([head, *([str(sample[name]) for name in names] for sample in samples)], hAlign="LEFT")
    table.setStyle(
        TableStyle(
            [
                ("FONTSIZE", (0, 0), (-1, -1), 9),
                ("FONTNAME", (0, 0), (-1, 0), "Helvetica-Bold"),
                ("LINEBELOW", (0, 0), (-1, 0), 0.8, colors.black),
                ("LINEBELOW", (0, 1), (-1, -1), 0.25, colors.grey),
            ]
        )
    )
    facts = f"Run {figures['run']}, panel {said.metadata['panel']}, sequencer {said.metadata['sequencer']}, {run_date}"
    limits = "Limits: at least 75 % of bases at Q30, coverage of 100 or more, at most 40 % duplicates."
    out = io.BytesIO()
    SimpleDocTemplate(
        out,
        pagesize=A4,
        invariant=1,
        title=f"Quality control, {figures['run']}",
        author=content.FIRM.name,
        lang="en-GB",
    ).build(
        [
            Paragraph(f"Quality control of {figures['run']}", style["Title"]),
            Paragraph(facts, style["Normal"]),
            Paragraph(f"Pipeline panel-calls {figures['pipeline_version']}", style["Normal"]),
            Spacer(0, 6 * mm),
            table,
            Spacer(0, 6 * mm),
            Picture(io.BytesIO(_plot(package, said)), width=150 * mm, height=60 * mm),
            Paragraph("Mean quality (Phred) along the forward reads, one line a sample.", style["Italic"]),
            Spacer(0, 4 * mm),
            Paragraph(limits, style["Normal"]),
        ]
    )
    return out.getvalue()


def _plot(package: content.Package, said: content.PackageVersion) -> bytes:
    """PNG: mean quality at each position of the forward reads, a line for every sample."""
    width, height, edge, top = 900, 360, 40, 42.0
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    down = lambda score: height - edge - score / top * (height - 2 * edge)  # noqa: E731
    for score in (0, 10, 20, 30, 40):
        draw.line([(edge, down(score)), (width - edge, down(score))], fill="#cccccc")
        draw.text((10, down(score) - 6), str(score), fill="black")
    for place, sample in enumerate(package.samples):
        reads = _reads(package.number, sample, str(said.metadata["run_id"]), str(said.metadata["sequencer"]))
        points = []
        for at in range(LENGTH):
            mean = sum(ord(qualities[at]) - 33 for _, _, qualities in reads.forward) / PAIRS
            points.append((edge + at / (LENGTH - 1) * (width - 2 * edge), down(mean)))
        draw.line(points, fill=("#1b4f72", "#117864", "#9c640c", "#76448a", "#943126")[place % 5], width=2)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
