"""Who may do what. Roles are groups; what a role may do stands here, in code that is validated, and nowhere else.

An administrator never also holds a content role (FDA Data Integrity Q&A 2018: system administration is independent of content).
"""

from django.db.models import TextChoices


class Role(TextChoices):
    AUTHOR = "author", "Author"
    REVIEWER = "reviewer", "Reviewer"
    APPROVER = "approver", "QA approver"
    OPERATOR = "operator", "Operator"
    SCIENTIST = "scientist", "Scientist"
    INSPECTOR = "inspector", "Inspector"
    ADMINISTRATOR = "administrator", "Administrator"


CONTENT_ROLES = frozenset(Role) - {Role.ADMINISTRATOR}

PERMISSIONS: dict[str, frozenset[str]] = {
    "record.read": frozenset(
        {Role.AUTHOR, Role.REVIEWER, Role.APPROVER, Role.OPERATOR, Role.SCIENTIST, Role.INSPECTOR}
    ),
    "record.create": frozenset({Role.OPERATOR, Role.SCIENTIST, Role.AUTHOR}),
    "record.register": frozenset({Role.OPERATOR, Role.SCIENTIST}),
    "record.verify": frozenset(
        {Role.AUTHOR, Role.REVIEWER, Role.APPROVER, Role.OPERATOR, Role.SCIENTIST, Role.INSPECTOR}
    ),
    "record.export": frozenset(
        {Role.AUTHOR, Role.REVIEWER, Role.APPROVER, Role.OPERATOR, Role.SCIENTIST, Role.INSPECTOR}
    ),
    "document.write": frozenset({Role.AUTHOR}),
    "document.retire": frozenset({Role.APPROVER}),
    "definition.write": frozenset({Role.AUTHOR}),
    "route.read": frozenset(Role),
    "route.manage": frozenset({Role.APPROVER}),
    "sign.review": frozenset({Role.REVIEWER, Role.APPROVER}),
    "sign.approve": frozenset({Role.APPROVER}),
    "sign.responsibility": frozenset({Role.REVIEWER, Role.APPROVER}),
    "sign.reading": frozenset(CONTENT_ROLES),
    "sign.disposition": frozenset({Role.APPROVER}),
    "letter.file": frozenset({Role.APPROVER}),
    "training.manage": frozenset({Role.AUTHOR, Role.APPROVER}),
    "trail.read": frozenset(Role),
    "access.read": frozenset({Role.APPROVER, Role.INSPECTOR, Role.ADMINISTRATOR}),
    "cloudtrail.read": frozenset(Role),
    "cloudtrail.manage": frozenset({Role.ADMINISTRATOR}),
    "directory.manage": frozenset({Role.ADMINISTRATOR, Role.OPERATOR}),
    "storage.manage": frozenset({Role.ADMINISTRATOR}),
    "posture.read": frozenset({Role.APPROVER, Role.INSPECTOR, Role.ADMINISTRATOR}),
    "posture.baseline": frozenset({Role.APPROVER, Role.ADMINISTRATOR}),
    "people.manage": frozenset({Role.ADMINISTRATOR}),
    "people.read": frozenset({Role.ADMINISTRATOR, Role.APPROVER, Role.INSPECTOR}),
    "restore.report": frozenset({Role.ADMINISTRATOR}),
    "trail.export": frozenset({Role.APPROVER, Role.INSPECTOR}),
    "report.write": frozenset({Role.REVIEWER, Role.APPROVER, Role.ADMINISTRATOR}),
    "trail.review": frozenset({Role.APPROVER}),
    "alarms.read": frozenset({Role.ADMINISTRATOR, Role.APPROVER, Role.INSPECTOR}),
    "alarms.acknowledge": frozenset({Role.ADMINISTRATOR, Role.APPROVER}),
    "job.read": frozenset(Role),
    "inspection.read": frozenset({Role.INSPECTOR, Role.APPROVER, Role.REVIEWER, Role.AUTHOR}),
}


def conflict(roles: set[str]) -> str:
    """The sentence that says why these roles may not be held together, or ""."""
    if Role.ADMINISTRATOR in roles and len(roles) > 1:
        return "An administrator may not also hold a role that makes, signs or inspects content."
    if Role.INSPECTOR in roles and len(roles) > 1:
        return "An inspector reads only, and may not hold another role."
    return ""
