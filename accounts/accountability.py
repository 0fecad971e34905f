"""What everybody takes on before their first signature (21 CFR 11.10(j)). Another text is another revision, and is
acknowledged anew; each signature names the revision that its signer had acknowledged."""

import hashlib

from accounts.models import Acknowledgement, User

REVISION = "1"
STATEMENT = (
    "My electronic signature in this system is the legally binding equivalent of my handwritten signature.",
    "I answer for every act that is done under it.",
    "I tell my password to nobody and let nobody use my device, and I sign in nobody else's name.",
    "I sign only what I have opened and read, and only with the meaning that is shown.",
    "I report the loss of my device, and any suspicion that somebody knows my password, at once.",
    "I know that falsifying a signature or a record is a serious breach, with consequences under labour and criminal law.",
)


def text_sha256() -> str:
    return hashlib.sha256("\n".join(STATEMENT).encode()).hexdigest()


def acknowledged(user: User) -> Acknowledgement | None:
    """The person's acknowledgement of the revision that is current."""
    return Acknowledgement.objects.filter(user=user, revision=REVISION).first()
