"""The scripts that look for faults by chance, in short."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def played(tmp_path: Path, script: str, *words: str) -> Any:
    """What a script has written; it must have found nothing wrong."""
    file = tmp_path / "played.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / script), *words, "--json", str(file)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return json.loads(file.read_text())


@pytest.mark.slow
def test_killed_runs_end_as_if_nobody_had_killed_them(tmp_path: Path) -> None:
    found = played(
        tmp_path,
        "soak/soak.py",
        "--rounds",
        "2",
        "--scenarios",
        "pcgrad over dwa, accumulating",
        "famo, averaged weights",
    )
    assert (found["rounds"], found["mismatches"]) == (2, 0)
    assert found["kills"] > 0


def test_broken_data_is_named_or_served(tmp_path: Path) -> None:
    outcomes = {case["outcome"] for case in played(tmp_path, "fuzz/data.py", "--cases", "60", "--seed", "1")}
    assert outcomes == {"served", "refused"}


def test_wrong_overrides_are_answered(tmp_path: Path) -> None:
    cases = played(tmp_path, "fuzz/config.py", "--cases", "40", "--seed", "3")
    assert len(cases) == 40
    assert {case["wrong"] for case in cases} == {""}
