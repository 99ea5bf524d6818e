"""The scripts that look for faults by chance, in short."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import script, started

SCRIPTS = Path(__file__).parents[2] / "scripts"


def played(tmp_path: Path, name: str, *words: str) -> Any:
    """What a script has written; it must have found nothing wrong."""
    file, said = tmp_path / "played.json", tmp_path / "said"
    with started(script, SCRIPTS / name, [*words, "--json", str(file)], said) as process:
        process.join(600)
        assert process.exitcode == 0, said.read_text()[-3000:]
    return json.loads(file.read_text())


@pytest.mark.slow
def test_killed_runs_end_as_if_nobody_had_killed_them(tmp_path: Path) -> None:
    """By the dice of this seed once at a file event, by SIGKILL, and once after some seconds, by SIGTERM."""
    scenario = "pcgrad over dwa, accumulating"
    found = played(tmp_path, "soak/soak.py", "--rounds", "1", "--seed", "256", "--scenarios", scenario)
    assert (found["rounds"], found["mismatches"]) == (1, 0)
    assert found["kills"] > 0


def test_broken_data_is_named_or_served(tmp_path: Path) -> None:
    """In every layout."""
    cases = played(tmp_path, "fuzz/data.py", "--cases", "2", "--seed", "1")
    assert {case["outcome"] for case in cases} == {"served", "refused"}
    assert len({case["layout"] for case in cases}) * 2 == len(cases)


def test_wrong_overrides_are_answered(tmp_path: Path) -> None:
    """In an interpreter of its own, which has not imported torch."""
    file = tmp_path / "played.json"
    command = [sys.executable, str(SCRIPTS / "fuzz/config.py"), "--cases", "40", "--seed", "3", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    cases = json.loads(file.read_text())
    assert len(cases) == 40
    assert {case["wrong"] for case in cases} == {""}
