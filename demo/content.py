"""The words of the demo: a small firm that does not exist, its people, its records, its documents and what they say.

Plain data and no Django, so that the demo, the tests and the generators of packages and trails read the same names.
Longer texts stand as Markdown beside this file, in `documents/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = Path(__file__).resolve().parent / "documents"


# The firm ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Firm:
    """Who keeps the records. `domain` is reserved for examples (RFC 2606), so that no mail can leave."""

    name: str
    site: str
    domain: str
    time_zone: str
    areas: tuple[str, ...]


SITE = "Whole site"
SEQUENCING = "Sequencing laboratory"
QUALITY = "Quality assurance"
BIOINFORMATICS = "Bioinformatics"

FIRM = Firm(
    name="Vestermark Genomics ApS",
    site="Odense, Denmark",
    domain="vestermark.example",
    time_zone="Europe/Copenhagen",
    areas=(SITE, SEQUENCING, BIOINFORMATICS, QUALITY),
)


# People ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Person:
    """One member of the firm, or its inspector. `roles` are names of groups; an administrator has no other role."""

    username: str
    legal_name: str
    title: str
    roles: tuple[str, ...]
    areas: tuple[str, ...]
    told: str = ""
    """What this person comes to do in the demo, one sentence for the table of demo accounts."""

    @property
    def email(self) -> str:
        return f"{self.username}@{FIRM.domain}"


PEOPLE: tuple[Person, ...] = (
    Person(
        "jonas.bergstrom",
        "Jonas Bergström",
        "System administrator",
        ("administrator",),
        FIRM.areas,
        "invites people, registers buckets and trails",
    ),
    Person(
        "leila.haddad",
        "Leila Haddad",
        "IT quality lead",
        ("administrator",),
        FIRM.areas,
        "is the second pair of eyes in the founding",
    ),
    Person(
        "ana.lindqvist",
        "Ana Lindqvist",
        "QA documentation specialist",
        ("author",),
        FIRM.areas,
        "writes documents and submits them for review",
    ),
    Person(
        "maja.ruiz",
        "Maja Ruiz",
        "Validation lead",
        ("reviewer",),
        (SITE, QUALITY, SEQUENCING, BIOINFORMATICS),
        "reviews what was submitted, and signs",
    ),
    Person(
        "chidi.okafor",
        "Chidi Okafor",
        "Head of quality assurance",
        ("approver",),
        FIRM.areas,
        "approves documents and record versions",
    ),
    Person(
        "ingrid.moreau",
        "Ingrid Moreau",
        "Quality manager",
        ("approver",),
        (SITE, QUALITY, SEQUENCING),
        "approves, but has not yet read the e-signature SOP",
    ),
    Person(
        "tomasz.zielinski",
        "Tomasz Zieliński",
        "Sequencing operator",
        ("operator",),
        (SITE, SEQUENCING),
        "registers data packages",
    ),
    Person(
        "yuki.tanabe",
        "Yuki Tanabe",
        "Sequencing operator",
        ("operator",),
        (SITE, SEQUENCING),
        "registers data packages",
    ),
    Person(
        "priya.raman",
        "Priya Raman",
        "Senior scientist",
        ("scientist",),
        (SITE, SEQUENCING, BIOINFORMATICS),
        "reads records and their data",
    ),
    Person(
        "helen.marsh",
        "Helen Marsh",
        "Inspector",
        ("inspector",),
        FIRM.areas,
        "asks the four questions",
    ),
)

AUTHOR, REVIEWER, APPROVER = "ana.lindqvist", "maja.ruiz", "chidi.okafor"
APPROVER_NOT_TRAINED = "ingrid.moreau"
OPERATOR, SECOND_OPERATOR, SCIENTIST, INSPECTOR = "tomasz.zielinski", "yuki.tanabe", "priya.raman", "helen.marsh"
ADMINISTRATORS = ("jonas.bergstrom", "leila.haddad")


def person(username: str) -> Person:
    """The person of that user name. Raises KeyError for anybody else."""
    return {someone.username: someone for someone in PEOPLE}[username]


# The record type: NGS run package ----------------------------------------------------------------------------------


def _required(pattern: str, label: str, media_type: str, most: int | None = 1) -> dict[str, object]:
    return {"pattern": pattern, "label": label, "min_count": 1, "max_count": most, "media_type": media_type}


REQUIRED_FILES: list[dict[str, object]] = [
    _required("README.md", "What the package is and how it was made", "text/markdown"),
    _required("reads/*_R1.fastq.gz", "Forward reads of each sample", "application/gzip", None),
    _required("reads/*_R2.fastq.gz", "Reverse reads of each sample", "application/gzip", None),
    _required("samples/manifest.csv", "Sample manifest", "text/csv"),
    _required("qc/report.pdf", "Quality control report", "application/pdf"),
    _required("qc/metrics.json", "Figures of the quality control report", "application/json"),
    _required("pipeline/run.json", "Description of the pipeline run", "application/json"),
]

PANELS = ("lung-kras-12", "colon-kras-8", "breast-brca-24")
SEQUENCERS = ("NVS-01", "NVS-02")

METADATA_SCHEMA: dict[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "NGS run package",
    "type": "object",
    "additionalProperties": False,
    "required": [
        "run_id",
        "panel",
        "study",
        "sequencer",
        "run_date",
        "pipeline_version",
        "image_digest",
        "samples",
        "analyst",
    ],
    "properties": {
        "run_id": {
            "type": "string",
            "title": "Run",
            "pattern": "^RUN-[0-9]{4}$",
            "description": "Number of the sequencing run, for example RUN-2217.",
        },
        "panel": {"type": "string", "title": "Panel", "enum": list(PANELS), "description": "Gene panel that was run."},
        "study": {
            "type": "string",
            "title": "Study",
            "pattern": "^ST-[0-9]{3}$",
            "description": "Study that the run belongs to, for example ST-114.",
        },
        "sequencer": {
            "type": "string",
            "title": "Sequencer",
            "enum": list(SEQUENCERS),
            "description": "Asset number of the instrument.",
        },
        "run_date": {
            "type": "string",
            "title": "Date of the run",
            "format": "date",
            "description": "Day on which the run was started.",
        },
        "pipeline_version": {
            "type": "string",
            "title": "Pipeline version",
            "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+$",
            "description": "Released version of the pipeline, for example 3.2.1.",
        },
        "image_digest": {
            "type": "string",
            "title": "Image digest",
            "pattern": "^sha256:[0-9a-f]{64}$",
            "description": "Digest of the container image that ran, never its tag.",
        },
        "samples": {
            "type": "integer",
            "title": "Samples",
            "minimum": 1,
            "maximum": 96,
            "description": "How many samples the run holds; the sample manifest lists as many.",
        },
        "analyst": {
            "type": "string",
            "title": "Analyst",
            "format": "email",
            "maxLength": 254,
            "description": "E-mail address of the person who ran the analysis.",
        },
    },
}


TYPE_CODE, TYPE_NAME = "NGS", "NGS run package"

# What `records.contract.Definition.from_json` reads.
NGS_RUN_PACKAGE: dict[str, object] = {
    "name": TYPE_NAME,
    "description": (
        "The raw reads of one sequencing run, with the sample manifest, the quality control report and the description"
        " of the pipeline that made the report: the evidence from which the results of a study are rebuilt. Copies of"
        " reads on analysis disks are working copies; nothing is reported from them that cannot be rebuilt from the"
        " registered version."
    ),
    "part11": True,
    "part11_reason": (
        "The runs are raw data of nonclinical laboratory studies in the sense of 21 CFR 58.3(k). 21 CFR 58.190 asks"
        " that raw data be kept in an archive, and 21 CFR 58.195 for how long. The firm keeps them in electronic form"
        " only and relies on them in place of paper, so 21 CFR Part 11 applies. Runs for method development that no"
        " study refers to are not records of this type and are not registered."
    ),
    "predicate_rule": "21 CFR 58.190 and 58.195",
    "owner": "Head of the sequencing laboratory",
    "retention_years": 10,
    "required_files": REQUIRED_FILES,
    "other_files": False,
    "metadata_schema": METADATA_SCHEMA,
    "signers": [
        {
            "role": "approver",
            "meaning": "approval",
            "sentence": "I approve this package for use in the study that it names.",
        }
    ],
}


# Three records -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PackageVersion:
    """One version of a package: what was said at registration, and what differs from the version before."""

    message: str
    run_days_ago: int
    metadata: dict[str, object]
    """All of the metadata but `run_date`, which is that many days before the demo is made."""
    changes: str
    approval_reason: str = ""


@dataclass(frozen=True)
class Package:
    number: str
    title: str
    area: str
    readme: str
    samples: tuple[str, ...]
    versions: tuple[PackageVersion, ...]


IMAGE_320 = "sha256:7d1f0e5c9a44b2c86e17f3a05dd8b91c42e6780fa3b95d21c07e64f8ab139d52"
IMAGE_321 = "sha256:c2a96b3f5e8d1470b9e24c7f618a3d05f7b2e9418c6d50a3e1f87b29d4c06e1a"


def _metadata(
    run: str, panel: str, study: str, sequencer: str, pipeline: str, image: str, samples: int, analyst: str = OPERATOR
) -> dict[str, object]:
    return {
        "run_id": run,
        "panel": panel,
        "study": study,
        "sequencer": sequencer,
        "pipeline_version": pipeline,
        "image_digest": image,
        "samples": samples,
        "analyst": f"{analyst}@{FIRM.domain}",
    }


KRAS_001 = Package(
    number="KRAS-001",
    title="Lung panel, run 2217",
    area=SEQUENCING,
    readme=(
        "# Lung panel, run 2217\n\n"
        "Paired-end reads of four tumour samples and one reference sample, KRAS lung panel, study ST-114, sequenced on"
        " NVS-01.\n\n"
        "## What is in the package\n\n"
        "- `reads/` holds the forward (R1) and reverse (R2) reads of each sample as FASTQ.\n"
        "- `samples/manifest.csv` lists the samples with barcode, tissue and concentration in ng/µl.\n"
        "- `qc/report.pdf` is the report that the run was released with; `qc/metrics.json` holds its figures.\n"
        "- `pipeline/run.json` names the pipeline, its version, the digest of the image and all parameters.\n\n"
        "## How to rebuild the report\n\n"
        "Run the pipeline named in `pipeline/run.json` on the files under `reads/`, with the parameters given there.\n"
        "The report is reproduced when the figures equal those of `qc/metrics.json`.\n"
    ),
    samples=("LU-3301", "LU-3302", "LU-3303", "LU-3304", "REF-0007"),
    versions=(
        PackageVersion(
            "First registration of run 2217",
            84,
            _metadata("RUN-2217", "lung-kras-12", "ST-114", "NVS-01", "3.2.0", IMAGE_320, 5),
            changes="first version",
            approval_reason="Manifest, report and pipeline version agree with study plan ST-114.",
        ),
        PackageVersion(
            "Concentration of LU-3302 corrected in the sample manifest: 14.2 was typed for 12.4 ng/µl",
            84,
            _metadata("RUN-2217", "lung-kras-12", "ST-114", "NVS-01", "3.2.0", IMAGE_320, 5),
            changes="samples/manifest.csv",
            approval_reason="Correction checked against the bench sheet of LU-3302.",
        ),
        PackageVersion(
            "Report made again with pipeline 3.2.1, which counts duplicate reads correctly; reads unchanged",
            84,
            _metadata("RUN-2217", "lung-kras-12", "ST-114", "NVS-01", "3.2.1", IMAGE_321, 5),
            changes="qc/report.pdf, qc/metrics.json, pipeline/run.json, README.md",
            approval_reason="I compared both reports: only the duplicate rate differs. Reads are the same objects.",
        ),
    ),
)

KRAS_002 = Package(
    number="KRAS-002",
    title="Colon panel, run 2231",
    area=SEQUENCING,
    readme=(
        "# Colon panel, run 2231\n\n"
        "Paired-end reads of three tumour samples, KRAS colon panel, study ST-114, sequenced on NVS-02.\n\n"
        "The layout is that of every NGS run package: `reads/`, `samples/`, `qc/` and `pipeline/`.\n"
    ),
    samples=("CO-1180", "CO-1181", "CO-1182"),
    versions=(
        PackageVersion(
            "First registration of run 2231",
            31,
            _metadata("RUN-2231", "colon-kras-8", "ST-114", "NVS-02", "3.2.1", IMAGE_321, 3, SECOND_OPERATOR),
            changes="first version",
            approval_reason="Contract met; figures agree with the report.",
        ),
    ),
)

BRCA_001 = Package(
    number="BRCA-001",
    title="Breast panel, run 2240",
    area=SEQUENCING,
    readme=(
        "# Breast panel, run 2240\n\n"
        "Paired-end reads of four samples, BRCA panel, study ST-121, sequenced on NVS-02.\n\n"
        "Sample BR-0417 was loaded twice because the first lane was under-clustered; only the second is kept here.\n"
    ),
    samples=("BR-0415", "BR-0416", "BR-0417", "BR-0418"),
    versions=(
        PackageVersion(
            "First registration of run 2240",
            6,
            _metadata("RUN-2240", "breast-brca-24", "ST-121", "NVS-02", "3.2.1", IMAGE_321, 4),
            changes="first version",
        ),
    ),
)

PACKAGES: tuple[Package, ...] = (KRAS_001, KRAS_002, BRCA_001)

# What an operator tried and was refused: the report had not been copied when the package was offered.
WRONG_METADATA: dict[str, object] = {"samples": 0}
REFUSED_REGISTRATION: dict[str, object] = {
    "number": "BRCA-001",
    "left_out": ("qc/report.pdf",),
    "message": "First registration of run 2240",
}

# What the story of the fourth version changes: a re-run on the second sequencer's software.
KRAS_001_V4 = PackageVersion(
    "README names the storage place of the remaining library",
    84,
    _metadata("RUN-2217", "lung-kras-12", "ST-114", "NVS-01", "3.2.1", IMAGE_321, 5),
    changes="README.md",
    approval_reason="Text only; reads, report and figures are the objects of version 3.",
)


# Documents ---------------------------------------------------------------------------------------------------------


SYSTEM = "Sequencing records on S3"


@dataclass(frozen=True)
class Document:
    """A document of the demo and how far it has come.

    `stage`: draft (checked out by its author), in_review (waits for the reviewer), reviewed (waits for the approver),
    rejected (by the approver, waits for the author), approved (effective later), effective.
    """

    kind: str
    title: str
    source: Path
    stage: str
    area: str = QUALITY
    system: str = SYSTEM
    created_days_ago: int = 60
    effective_in_days: int = 0
    submit_message: str = "First submission"
    changes: tuple[tuple[str, str], ...] = ()
    """Replacements (old, new) that make the open draft differ from its last version."""
    notes: dict[str, str] = field(default_factory=dict)
    """What people say: `review`, `approve`, `reject`, `save`."""

    def text(self) -> str:
        """The Markdown, with the firm's own words where the starter leaves a place open."""
        return filled(self.source.read_text(encoding="utf-8"))

    def next_text(self) -> str:
        """The Markdown of the open draft. Raises ValueError when a replacement does not apply."""
        text = self.text()
        for old, new in self.changes:
            if text.count(old) != 1:
                raise ValueError(f"{self.title}: the passage {old!r} stands {text.count(old)} times, not once")
            text = text.replace(old, new)
        return text


def starter(kind: str) -> Path:
    """Where the starter text of a validation document lies."""
    return ROOT / "validation_docs" / "starter" / f"{kind}.md"


def sop_starter(name: str) -> Path:
    """Where the starter text of an SOP lies."""
    return ROOT / "sops" / "starter" / f"{name}.md"


# What the firm writes where a starter says `[FILL: ...]`. `[RESULT: ...]` stays open: it is written when work is done.
FILLED: dict[str, str] = {
    "firm": FIRM.name,
    "site": FIRM.site,
    "system name": SYSTEM,
    "system owner": "Head of IT operations",
    "process owner": "Head of the sequencing laboratory",
    "quality unit": "quality assurance unit",
    "validation lead": "Maja Ruiz, validation lead",
    "portal address": "https://records.vestermark.example",
    "portal version": "0.1.0",
    "records bucket": "gxp-records",
    "portal bucket": "gxp-countersign",
    "trail bucket": "gxp-trail",
    "anchor bucket": "gxp-anchors",
    "AWS account": "111122223333, eu-central-1",
    "time zone": FIRM.time_zone,
    "record types": "NGS run package",
    "predicate rules": "21 CFR 58.190 and 58.195",
    "retention": "10 years from registration",
    "backup window": "every night at 01:00 UTC, with continuous archiving of the write-ahead log",
    "recovery point": "15 minutes",
    "recovery time": "8 hours",
    "security contact": "security@vestermark.example",
    "date of the 11.100(c) letter": "the day of the founding, see the compliance file",
}


def filled(text: str) -> str:
    """`text` with every `[FILL: name]` replaced. Raises KeyError naming a place that the firm has no words for."""
    start = 0
    while (start := text.find("[FILL: ", start)) >= 0:
        end = text.index("]", start)
        text = text[:start] + FILLED[text[start + 7 : end]] + text[end + 1 :]
    return text


DOCUMENTATION: tuple[Document, ...] = (
    Document(
        "VP",
        "Validation plan, sequencing records on S3",
        starter("VP"),
        "effective",
        created_days_ago=88,
        notes={"review": "Scope and roles agree with the validation policy.", "approve": "Plan accepted."},
    ),
    Document(
        "URS",
        "User requirements, sequencing records on S3",
        starter("URS"),
        "effective",
        created_days_ago=86,
        changes=(
            (
                "Source: 21 CFR 11.10(c); Annex 11, 7.1. Criticality: low.",
                "Source: 21 CFR 11.10(c); Annex 11, 7.1. Criticality: medium.",
            ),
            (
                "## Acceptance\n",
                "### URS-047 Runs are found by their study\nThe system shall find all records of a study by the number"
                " of the study.\n\nSource: process. Criticality: low.\n\n## Acceptance\n",
            ),
        ),
        notes={
            "review": "Each requirement can be tested. Sources checked.",
            "approve": "Requirements complete for the record types in scope.",
            "save": "Search by study added, asked for by the laboratory",
        },
    ),
    Document(
        "RA",
        "Risk assessment, sequencing records on S3",
        starter("RA"),
        "effective",
        created_days_ago=80,
        notes={"review": "Scores agreed in the workshop of the risk team.", "approve": "Residual risks accepted."},
    ),
    Document(
        "FS",
        "Functional specification, sequencing records on S3",
        starter("FS"),
        "effective",
        created_days_ago=75,
        notes={"review": "Traced to the requirements line by line.", "approve": "Accepted."},
    ),
    Document(
        "DS",
        "Design specification, sequencing records on S3",
        starter("DS"),
        "effective",
        created_days_ago=70,
        notes={"review": "Agrees with the configuration as built.", "approve": "Accepted."},
    ),
    Document(
        "IQ",
        "Installation qualification, sequencing records on S3",
        starter("IQ"),
        "effective",
        created_days_ago=40,
        notes={"review": "Steps can be executed as written.", "approve": "Released for execution."},
    ),
    Document(
        "OQ",
        "Operational qualification, sequencing records on S3",
        starter("OQ"),
        "approved",
        created_days_ago=30,
        effective_in_days=5,
        notes={
            "review": "Every critical requirement is challenged.",
            "approve": "Released for execution from its date.",
        },
    ),
    Document(
        "PQ",
        "Performance qualification, sequencing records on S3",
        starter("PQ"),
        "draft",
        created_days_ago=20,
        notes={"save": "Scenarios agreed with the laboratory"},
    ),
    Document(
        "VSR",
        "Validation summary report, sequencing records on S3",
        starter("VSR"),
        "draft",
        created_days_ago=4,
        notes={"save": "Frame of the report, results still open"},
    ),
    Document(
        "URS",
        "User requirements, transfer of runs from the sequencers to S3",
        DOCUMENTS / "URS-transfer.md",
        "in_review",
        area=SEQUENCING,
        system="Run transfer service",
        created_days_ago=9,
        submit_message="First submission, after the workshop with the sequencing laboratory",
    ),
    Document(
        "URS",
        "User requirements, KRAS reporting pipeline",
        DOCUMENTS / "URS-pipeline.md",
        "reviewed",
        area=BIOINFORMATICS,
        system="KRAS reporting pipeline",
        created_days_ago=14,
        submit_message="First submission",
        notes={"review": "Testable as written. The tolerance of URS-005 was checked against the method validation."},
    ),
    Document(
        "URS",
        "User requirements, barcode check at sample receipt",
        DOCUMENTS / "URS-barcode.md",
        "rejected",
        area=SEQUENCING,
        system="Barcode check at sample receipt",
        created_days_ago=18,
        submit_message="First submission",
        changes=(
            (
                "The system shall warn quickly when a barcode is not known.",
                "The system shall refuse a barcode that is not known within 2 seconds of the scan, with a sentence that"
                " names the barcode.",
            ),
        ),
        notes={
            "review": "Complete for the receipt desk.",
            "reject": 'URS-003 says "quickly" and "warn". Neither can be tested. Give a time, and say whether the'
            " receipt is stopped.",
            "save": "URS-003 made testable after the rejection",
        },
    ),
)


@dataclass(frozen=True)
class Sop:
    """An SOP of the demo. `gate` "signing": nobody signs while their reading of it is overdue."""

    name: str
    title: str
    stage: str
    reading_roles: tuple[str, ...]
    reading_days: int
    gate: str = ""
    area: str = SITE
    created_days_ago: int = 89

    def text(self) -> str:
        """The Markdown of its starter, in the firm's own words."""
        return filled(sop_starter(self.name).read_text(encoding="utf-8"))


SOPS: tuple[Sop, ...] = (
    Sop(
        "e-signatures",
        "Electronic signatures",
        "effective",
        ("author", "reviewer", "approver", "operator"),
        14,
        gate="signing",
    ),
    Sop(
        "record-registration",
        "Registration of records",
        "effective",
        ("operator", "approver"),
        14,
        created_days_ago=87,
    ),
    Sop(
        "access-management",
        "Access management",
        "effective",
        ("reviewer", "approver"),
        14,
        created_days_ago=87,
    ),
    Sop(
        "audit-trail-review",
        "Review of audit trails",
        "in_review",
        ("reviewer", "approver"),
        30,
        created_days_ago=12,
    ),
    Sop(
        "backup-and-restore",
        "Backup and restore",
        "draft",
        ("administrator",),
        30,
        created_days_ago=8,
    ),
)


# What people say ---------------------------------------------------------------------------------------------------

ROUTE_OF = "VSR"
ROUTE_WHY = "A release waits for its summary report: whichever of the two approvers is there first approves it."
SET_UP_KNOWN = (
    "The storage owner made and locked the buckets on the first day, as the IQ protocol asks; nothing was there before."
)
POSTURE_WHY = (
    "First baseline of the storage. Copies in another region are not asked for yet: they follow with the SOP on backup and"
    " restore, which is a draft."
)
