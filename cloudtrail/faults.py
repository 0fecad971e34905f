"""What is wrong with a trail's configuration, field by field, in sentences."""

import re

from cloudtrail.models import Trail


def faults(made: Trail) -> dict[str, str]:
    """Every fault at once, by the name of its field; empty when the configuration makes sense."""
    found: dict[str, str] = {}
    if not made.name.strip():
        found["name"] = "The trail needs a name."
    elif Trail.objects.filter(name=made.name).exclude(pk=made.pk).exists():
        found["name"] = "Another trail has this name."
    if made.bucket and not re.fullmatch(r"[0-9]{12}", made.account):
        found["account"] = "An account has 12 digits."
    if made.organisation and not re.fullmatch(r"o-[a-z0-9]{10,32}", made.organisation):
        found["organisation"] = "An organisation's id is o- and 10 to 32 small letters and digits."
    if made.region and not re.fullmatch(r"[a-z]{2}(-[a-z0-9]+)+", made.region):
        found["region"] = "A region is written as in eu-central-1."
    if made.prefix and (made.prefix.startswith("/") or not made.prefix.endswith("/")):
        found["prefix"] = "A prefix begins without a slash and ends with one."
    if made.aws_name and not re.fullmatch(r"[A-Za-z0-9._-]{3,128}", made.aws_name):
        found["aws_name"] = "A trail's name at AWS has 3 to 128 letters, digits, dots, dashes and underscores."
    if made.bucket and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", made.bucket):
        found["bucket"] = "This is not the name of a bucket."
    if made.enabled and not made.bucket:
        found["bucket"] = "A trail that is pulled needs a bucket."
    return found
