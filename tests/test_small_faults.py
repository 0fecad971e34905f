"""Do the tests see small faults in the trail, in identity and in signing? (`tools/mutation.py`)"""

import subprocess
import sys

import pytest

from audit import canonical
from tests.conftest import ROOT
from tools import mutation


@pytest.mark.long
def test_nine_of_ten_small_faults_in_trail_identity_and_signing_are_seen_and_the_others_explained(capfd):
    with capfd.disabled():  # it takes a while, and says how far it is
        assert subprocess.run([sys.executable, "-W", "ignore", "-m", "tools.mutation"], cwd=ROOT).returncode == 0


def test_every_known_survivor_has_a_reason_and_speaks_of_code_that_there_is():
    for each in mutation.known():
        file, name = each["where"].split("::")
        lines = {line.strip() for line in (ROOT / file).read_text().splitlines()}
        was = [line[2:] for line in each["change"].strip().splitlines() if line.startswith("- ")]
        assert each["reason"].strip() and was and set(was) <= lines, f"{each['where']}: {each['change']}"
        assert f"def {name.split('.')[-1]}(" in (ROOT / file).read_text(), each["where"]


def test_what_a_fault_draws_follows_from_the_seed_and_from_the_fault_alone():
    one = mutation.Mutant("audit/clock.py", "now", "1", "2", 1)
    other = mutation.Mutant("audit/clock.py", "now", "1", "2", 2)
    assert one.drawn(11) == mutation.Mutant("audit/clock.py", "now", "1", "2", 1).drawn(11)
    assert len({one.drawn(11), other.drawn(11), one.drawn(12)}) == 3


def test_each_fault_is_a_change_in_one_function_and_knows_where():
    made = [make() for _, make in mutation.mutants("audit/canonical.py")]
    compared = next(fault for fault in made if "abs(value) >= SAFE_INTEGER" in fault.change)
    assert compared.change.startswith("- if abs(value) > SAFE_INTEGER:\n+ ")
    assert compared.mutant.where == "audit/canonical.py::_check"
    text = (ROOT / "audit/canonical.py").read_text().splitlines()
    assert [text[line - 1].strip() for line in compared.lines] == ["if abs(value) > SAFE_INTEGER:"]
    assert compared.lines.start in compared.function
    assert len({fault.source for fault in made}) == len(made)


def test_the_tests_that_run_the_very_statement_come_first_and_of_these_the_ones_that_run_least_besides():
    made = mutation.mutants("audit/clock_guard.py")
    fault = next(make() for mutant, make in made if mutant.function == "observe" and "look(role)" in mutant.was)
    here, beside = [fault.lines.start], [fault.function.stop - 1]
    assert beside[0] not in fault.lines
    lines = {
        "beside": {"audit/clock_guard.py": beside},
        "elsewhere": {"audit/clock_guard.py": [1], "audit/chain.py": here},
        "through much": {"audit/clock_guard.py": here + beside, "audit/trail.py": [1, 2, 3]},
        "the very one": {"audit/clock_guard.py": here},
        **{
            f"through more {number:02}": {"audit/clock_guard.py": here, "audit/trail.py": list(range(9))}
            for number in range(99)
        },
    }
    tests = {name: {"seconds": 1, "lines": of_test} for name, of_test in lines.items()}
    chosen = mutation.chosen(fault, tests)
    assert chosen[:3] == ["the very one", "through much", "through more 00"] and len(chosen) == mutation.TESTS
    assert mutation.chosen(fault, {name: tests[name] for name in ("beside", "elsewhere", "the very one")}) == [
        "the very one",
        "beside",
    ]


def test_a_fault_is_put_into_every_function_of_the_process_that_it_is_in():
    made = [make() for mutant, make in mutation.mutants("audit/canonical.py")]
    fault = next(fault for fault in made if "abs(value) >= SAFE_INTEGER" in fault.change)
    ((function, code),) = mutation._faulty(fault)
    assert function is canonical._check and code != function.__code__
    whole = function.__code__
    try:
        function.__code__ = code
        with pytest.raises(ValueError, match="out of range"):
            canonical.canonical(canonical.SAFE_INTEGER)
    finally:
        function.__code__ = whole
    assert canonical.canonical(canonical.SAFE_INTEGER)
