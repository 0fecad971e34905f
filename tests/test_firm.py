"""The firm that other tests start from is in the state that it says."""

from audit import chain
from records.models import Version
from signatures.checking import check
from signatures.models import Signature


def test_the_firm_is_in_the_state_that_it_says(firm):
    states = {f"{v.record.number} v{v.ordinal}": v.state for v in Version.objects.select_related("record")}
    assert states == {
        "SOP-0001 v1": "approved",
        "DEF-0001 v1": "approved",
        "URS-0001 v1": "approved",
        "VP-0001 v1": "in_review",
        "KRAS-001 v1": "approved",
        "KRAS-001 v2": "registered",
    }
    assert chain.walk().fault is None
    assert all(check(signature).valid for signature in Signature.objects.select_related("version__record", "key"))
