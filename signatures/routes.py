"""The route that a record definition asks for: its signers, each a place of its own, open to anyone of the role."""

from accounts.models import User
from records.contract import Definition
from records.models import Version
from signatures.requests import Asked, open_route


def of_definition(version: Version, definition: Definition, *, by: User) -> None:
    """Open the route of a data package as its definition says (R1), in the transaction that registers it."""
    open_route(
        version,
        [
            Asked(place, signer.meaning, signer.role, sentence=signer.sentence)
            for place, signer in enumerate(definition.signers, start=1)
        ],
        by=by,
    )
