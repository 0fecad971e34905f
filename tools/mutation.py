"""Mutation testing: small faults in trail, identity and signing, one at a time. Do the tests see them?

mutmut makes the faults; running them is ours, because our tests share servers and template databases that are made once. A
fork of this process, which has imported everything already, gets the faulty code, and runs the tests that run through the faulty
function, the nearest first, until one fails. What cannot be put into a running process is written into a copy of the checkout.

The sample: every fault draws a number from the seed and from itself, and the lowest are taken. A change of the code elsewhere
therefore leaves the sample as it is. What is known is kept under `.run/mutation/`, so that a run goes on where it was ended.
"""

import argparse
import ast
import difflib
import gc
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.util import cache_from_source
from pathlib import Path
from types import CodeType, FunctionType, MappingProxyType
from typing import Any

import libcst
import pytest
from mutmut.mutation.file_mutation import create_mutations, deep_replace

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".run" / "mutation"
TREE = KEPT / "tree"
KNOWN = ROOT / "docs" / "compliance" / "survivors.toml"
SEED, SAMPLE = 11, 200
SEEN_AT_LEAST = 0.9
TESTS = 60  # a fault that its nearest so many tests pass has survived
PATIENCE = 120  # seconds beyond what the tests take, after which a fault counts as seen: it hangs
SERVERS_SECONDS = 180  # besides, where servers and templates are made for the one fault
# What makes databases: a fault there shows in one that was made with it, in any test of the app that looks.
MAKES_DATABASES = {"audit/operations.py", "audit/clock.py", "audit/rights.py"}
# Folders of tests that are near enough to answer for this code; what only others would see counts as not seen.
NEAR = ("accounts", "audit", "signatures")

Tests = dict[str, Any]


@dataclass(frozen=True)
class Mutant:
    """One fault: `was` became `became` in the function, for the `nth` time that this very change can be made there."""

    file: str
    function: str
    was: str
    became: str
    nth: int

    @property
    def where(self) -> str:
        return f"{self.file}::{self.function}"

    def drawn(self, seed: int) -> float:
        return random.Random(f"{seed}|{self.where}|{self.was}|{self.became}|{self.nth}").random()  # noqa: S311


@dataclass(frozen=True)
class Fault:
    """A mutant with the whole text of its file, the change as lines of a diff, and the lines of the changed statement."""

    mutant: Mutant
    source: str
    change: str
    lines: range
    function: range


@dataclass(frozen=True)
class Verdict:
    fault: Fault
    how: str  # killed, hung, survived, untested
    by: str = ""
    fresh: bool = True

    @property
    def seen(self) -> bool:
        return self.how in ("killed", "hung")


# The faults


def targets() -> list[str]:
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]["source_paths"]
    paths = [
        path for name in named for path in ([ROOT / name] if (ROOT / name).is_file() else (ROOT / name).rglob("*.py"))
    ]
    return sorted(str(path.relative_to(ROOT)) for path in paths if "migrations" not in path.parts)


def mutants(file: str) -> Iterator[tuple[Mutant, Callable[[], Fault]]]:
    """All that mutmut can make of a file, each with a way to make it."""
    text = (ROOT / file).read_text()
    module, mutations, _, _ = create_mutations(file, text)
    names = dict(_functions(module.body))
    seen: Counter[Mutant] = Counter()
    for mutation in mutations:
        if mutation.contained_by_top_level_function in names:
            code = [module.code_for_node(node) for node in (mutation.original_node, mutation.mutated_node)]
            mutant = Mutant(file, names[mutation.contained_by_top_level_function], code[0], code[1], 0)
            seen[mutant] += 1
            mutant = replace(mutant, nth=seen[mutant])
            yield mutant, lambda mutant=mutant, mutation=mutation: _fault(mutant, text, module, mutation)  # type: ignore[misc]


def _functions(body: Iterable[libcst.CSTNode]) -> Iterator[tuple[libcst.CSTNode, str]]:
    for node in body:
        if isinstance(node, libcst.FunctionDef):
            yield node, node.name.value
        elif isinstance(node, libcst.ClassDef):
            yield from ((inner, f"{node.name.value}.{name}") for inner, name in _functions(node.body.body))


def _fault(mutant: Mutant, text: str, module: libcst.Module, mutation: Any) -> Fault:
    changed = deep_replace(module, mutation.original_node, mutation.mutated_node)
    assert isinstance(changed, libcst.Module)
    was, became = text.splitlines(), changed.code.splitlines()
    diff = [line for line in difflib.unified_diff(was, became, n=0, lineterm="")][2:]
    change = "\n".join(f"{line[0]} {line[1:].strip()}" for line in diff if not line.startswith("@@"))
    pairs = enumerate(zip(was, became, strict=False), 1)
    first = next((number for number, (old, new) in pairs if old != new), len(became))
    function, statement = _around(text, first)
    return Fault(mutant, changed.code, change, statement, function)


def _around(text: str, line: int) -> tuple[range, range]:
    """The lines of the outermost function at a line, and of the innermost statement, its body left out."""
    function, statement = range(0), range(0)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            body = getattr(node, "body", None)
            end = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno
            if isinstance(node, ast.FunctionDef) and not function:
                function = range(body[0].lineno if body else node.lineno, (node.end_lineno or 0) + 1)
            if line <= end:
                statement = range(node.lineno, end + 1)
    return function, statement


def sample(seed: int, size: int) -> list[Fault]:
    every = [pair for file in targets() for pair in mutants(file)]
    print(f"{len(every)} faults can be made; the sample of seed {seed} holds {min(size, len(every))}.", flush=True)
    every.sort(key=lambda pair: pair[0].drawn(seed))
    return [make() for _, make in every[:size]]


# The copy of the checkout, and its tests


def copy_tree() -> None:
    """A copy of what belongs to the checkout, made anew."""
    shutil.rmtree(TREE, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (TREE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, TREE / name)


def pytest_in_tree(
    arguments: list[str],
    seconds: float | None,
    *,
    own_servers: bool = False,
    fault: Fault | None = None,
    more: Mapping[str, str] = MappingProxyType({}),
) -> tuple[int | None, str]:
    """Exit code and output; no exit code where it took longer than `seconds`. With a fault, in the file where it belongs."""
    if fault:
        path = TREE / fault.mutant.file
        clean = path.read_text()
        try:
            _write(path, fault.source)
            return pytest_in_tree(arguments, seconds, own_servers=own_servers, more=more)
        finally:
            _write(path, clean)
    environment = dict(os.environ)
    if own_servers:
        del environment["COUNTERSIGN_TESTS"]
    environment |= {"COLUMNS": "2000"} | dict(more)
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-rfE", "--tb=line", *arguments],
            cwd=TREE, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        code = _wait(process, seconds)
        out.seek(0)
        return code, out.read().decode(errors="replace")


def _faulty(fault: Fault) -> list[tuple[FunctionType, CodeType]]:
    """The functions of this process that the fault is in, each with its faulty code; none where the fault is not in a body."""
    path, name = str(ROOT / fault.mutant.file), fault.mutant.function
    code = _find(compile(fault.source, path, "exec"), name)
    gc.unfreeze()  # tests/conftest.py puts away what was imported, where get_objects() does not look
    functions = [thing for thing in gc.get_objects() if type(thing) is FunctionType]  # lazy objects sleep on
    held = [each for each in functions if (each.__code__.co_filename, each.__code__.co_qualname) == (path, name)]
    return [(each, code) for each in held] if code and all(each.__code__ != code for each in held) else []


def _find(code: CodeType, name: str) -> CodeType | None:
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    return next((each for each in inner if each.co_qualname == name), None) or next(
        (found for each in inner if (found := _find(each, name))), None
    )


def pytest_in_fork(
    arguments: list[str], seconds: float, faulty: list[tuple[FunctionType, CodeType]]
) -> tuple[int | None, str]:
    """The same in a fork of this process, which has imported everything already, and with the fault in memory alone."""
    with tempfile.TemporaryFile() as out:
        child = os.fork()
        if not child:
            try:
                os.setsid()
                for stream in (1, 2):
                    os.dup2(out.fileno(), stream)
                os.environ["COLUMNS"] = "2000"
                for function, code in faulty:
                    function.__code__ = code
                left = pytest.main(["-rfE", "--tb=line", *arguments])
                sys.stdout.flush()
                os._exit(left)
            finally:
                os._exit(99)  # and nothing of what the parent does at its end
        ended = 0
        for _ in range(int(seconds * 20)):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
            time.sleep(0.05)
        if not ended:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
        out.seek(0)
        return os.waitstatus_to_exitcode(status) if ended else None, out.read().decode(errors="replace")


def _wait(process: "subprocess.Popen[bytes]", seconds: float | None) -> int | None:
    """Its exit code, or None where it took too long and was ended. Time in which we were stopped ourselves does not count."""
    left = seconds
    while left is None or left > 0:
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            left = None if left is None else left - 1
    _end(process)
    return None


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)  # lets it stop the servers that it started
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _write(path: Path, source: str) -> None:
    """Bytecode is held against its source by second and size only: two faults of one length could be taken for one."""
    path.write_text(source)
    Path(cache_from_source(str(path))).unlink(missing_ok=True)


def _digest(*parts: str | bytes) -> str:
    return hashlib.sha256(b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)).hexdigest()


@cache
def _file(name: str) -> str:
    return _digest((TREE / name).read_bytes())


def mapped() -> Tests:
    """By test, the lines of the targets that it runs through, and its seconds; only files of tests that changed are run."""
    code = _digest(*(name + _file(name) for name in targets()))
    path = KEPT / "map.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    files = known["files"] if known.get("code") == code else {}
    present = [str(file.relative_to(TREE)) for folder in NEAR for file in (TREE / "tests" / folder).rglob("test_*.py")]
    files = {name: files[name] for name in present if name in files and files[name]["sha256"] == _file(name)}
    for folder in NEAR:
        missing = [name for name in present if name not in files and name.startswith(f"tests/{folder}/")]
        if missing:
            print(f"mapping which tests run through what: tests/{folder}, {len(missing)} files", flush=True)
            tests = _run_map(sorted(missing))
            for name in missing:
                of_file = {test: held for test, held in tests.items() if test.split("::")[0] == name}
                files[name] = {"sha256": _file(name), "tests": of_file}
            path.write_text(json.dumps({"code": code, "files": files}))
    return {test: held for file in files.values() for test, held in file["tests"].items()}


def _run_map(files: list[str]) -> Tests:
    with tempfile.TemporaryDirectory() as folder:
        arguments = [*files, "-n", "2", "-m", "not long", "-p", "tools.reach"]
        code, out = pytest_in_tree(arguments, None, more={"REACH_OF": ":".join(targets()), "REACH_TO": folder})
        print("\n".join(re.findall(r"^(?:FAILED|ERROR|\d+ (?:passed|failed)).*", out, re.MULTILINE)), flush=True)
        tests: Tests = {}
        for path in Path(folder).glob("*.json"):
            tests |= json.loads(path.read_text())
    if code not in (0, 1):  # neither all passed nor some failed: it was ended
        raise SystemExit(f"The tests could not be mapped.\n{out}")
    return tests


def chosen(fault: Fault, tests: Tests) -> list[str]:
    """The tests for a fault, nearest first: those that run its very statement, and of these the ones that run least besides."""
    file = fault.mutant.file
    app = f"tests/{file.split('/')[0]}/"

    def runs(test: str, where: range) -> bool:
        return any(line in where for line in tests[test]["lines"].get(file, ()))

    reaching = [
        test for test in tests if runs(test, fault.function) or (file in MAKES_DATABASES and test.startswith(app))
    ]
    # What a test runs through besides says how special it is; its seconds would depend on what else the machine does.
    reaching.sort(key=lambda test: (not runs(test, fault.lines), sum(map(len, tests[test]["lines"].values())), test))
    return reaching if file in MAKES_DATABASES else reaching[:TESTS]


# Verdicts


def run(fault: Fault, tests: Tests) -> Verdict:
    picked = chosen(fault, tests)
    if not picked:
        return Verdict(fault, "untested")
    own_servers = fault.mutant.file in MAKES_DATABASES
    patience = 3 * sum(tests[test]["seconds"] for test in picked) + PATIENCE + own_servers * SERVERS_SECONDS
    faulty = None if own_servers else _faulty(fault)
    if faulty:
        code, out = pytest_in_fork(["-x", *picked], patience, faulty)
    else:
        code, out = pytest_in_tree(["-x", *picked], patience, own_servers=own_servers, fault=fault)
    if code is None:
        return Verdict(fault, "hung")
    if code == 0:
        return Verdict(fault, "survived")
    if failed := _failed(picked, out):
        return Verdict(fault, "killed", failed[0])
    # Nothing could be imported, say; or it is the servers that fail.
    code, out = pytest_in_tree(picked[:1], None, own_servers=own_servers)
    if code:
        raise SystemExit(f"The tests do not run on the code as it is.\n{out}")
    return Verdict(fault, "killed")


def _failed(tests: Iterable[str], out: str) -> list[str]:
    return [test for test in tests if re.search(rf"^(FAILED|ERROR) {re.escape(test)}( - |$)", out, re.MULTILINE)]


def judge(seed: int, size: int) -> list[Verdict]:
    """The verdict of every fault in the sample. A test that failed must pass on the code as it is, else it is left out and
    its faults are run again."""
    KEPT.mkdir(parents=True, exist_ok=True)
    copy_tree()
    faults = sample(seed, size)
    _make_ready()
    tests = mapped()
    verdicts: dict[Mutant, Verdict] = {}
    while waiting := [fault for fault in faults if fault.mutant not in verdicts]:
        for fault in waiting:
            verdict = recalled(fault, tests) or run(fault, tests)
            verdicts[fault.mutant] = verdict
            if verdict.fresh:
                remember(verdict, tests)
                seen = sum(each.seen for each in verdicts.values())
                where = f"{verdict.how:8} {fault.mutant.where} {verdict.by}"
                print(f"{len(verdicts)}/{len(faults)}, {seen} seen: {where}", flush=True)
        for test in unsound({each.by for each in verdicts.values() if each.by}):
            print(f"fails on the code as it is, and is left out: {test}")
            del tests[test]
            verdicts = {mutant: each for mutant, each in verdicts.items() if each.by != test}
    return [verdicts[fault.mutant] for fault in faults]


def _make_ready() -> None:
    """Servers and templates, made by the code as it is, and everything imported that a fork will need."""
    conftest = import_module("tests.conftest")  # finds or starts the servers, and says where in the environment
    base = None
    for name, fill in (("empty", conftest._migrate), ("people", conftest._people), ("firm", conftest._firm)):
        base = conftest.template(name, base, fill)
    for name in [*targets(), "portal/urls.py"]:
        import_module(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."))


def unsound(tests: set[str]) -> list[str]:
    """Those that fail although nothing is wrong."""
    if not tests:
        return []
    _, out = pytest_in_tree(sorted(tests), None)
    return _failed(tests, out)


def _verdicts() -> Path:
    return KEPT / "verdicts.json"


def _key(fault: Fault) -> str:
    return _digest(fault.mutant.file, fault.source)


def _judged_by(fault: Fault, tests: Tests, verdict: str, by: str) -> str:
    """What a verdict rests on: who has seen the fault, or all that have not."""
    asked = [by] if by else chosen(fault, tests)
    return _digest(verdict, *sorted(asked), *sorted({_file(test.split("::")[0]) for test in asked}))


def recalled(fault: Fault, tests: Tests) -> Verdict | None:
    path = _verdicts()
    held = (json.loads(path.read_text()) if path.exists() else {}).get(_key(fault))
    if held is None or (held["by"] and held["by"] not in tests):
        return None
    if held["judged_by"] != _judged_by(fault, tests, held["how"], held["by"]):
        return None
    return Verdict(fault, held["how"], held["by"], fresh=False)


def remember(verdict: Verdict, tests: Tests) -> None:
    path = _verdicts()
    held = json.loads(path.read_text()) if path.exists() else {}
    judged_by = _judged_by(verdict.fault, tests, verdict.how, verdict.by)
    held[_key(verdict.fault)] = {"how": verdict.how, "by": verdict.by, "judged_by": judged_by}
    path.write_text(json.dumps(held))


# What is known of survivors


def known() -> list[dict[str, str]]:
    """Survivors with the reason why no test sees them, kept by hand."""
    return list(tomllib.loads(KNOWN.read_text()).get("survivor", [])) if KNOWN.exists() else []


def unexplained(verdicts: Iterable[Verdict]) -> list[Verdict]:
    explained = {(each["where"], each["change"].strip()) for each in known()}
    return [
        verdict
        for verdict in verdicts
        if not verdict.seen and (verdict.fault.mutant.where, verdict.fault.change) not in explained
    ]


def told(verdicts: list[Verdict]) -> str:
    """Figure and survivors, as survivors.toml would have them."""
    seen = sum(verdict.seen for verdict in verdicts)
    lines = [f"{seen} of {len(verdicts)} faults were seen ({100 * seen / len(verdicts):.1f} %)."]
    open_ones = unexplained(verdicts)
    for verdict in verdicts:
        if not verdict.seen:
            word = "unexplained" if verdict in open_ones else "explained"
            lines += ["", f"# {verdict.how}, {word}", "[[survivor]]", f'where = "{verdict.fault.mutant.where}"']
            lines += [f"change = '''\n{verdict.fault.change}'''"]
    return "\n".join(lines)


def main() -> None:
    """Exit 0 where nine of ten are seen and every other one is explained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--size", type=int, default=SAMPLE)
    options = parser.parse_args()
    verdicts = judge(options.seed, options.size)
    print(told(verdicts))
    enough = sum(verdict.seen for verdict in verdicts) >= SEEN_AT_LEAST * len(verdicts)
    sys.exit(0 if enough and not unexplained(verdicts) else 1)


if __name__ == "__main__":
    main()
