"""Files that are whole or absent, drafts that killed processes left, and folders that one process has to itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vjo_train.errors import ConfigError
from vjo_train.files import locked, remove_drafts, replacing
from vjo_train.runs.reservation import Place, reserved


def put(path: Path, content: bytes, backup: Path | None = None) -> None:
    with replacing(path, backup) as file:
        file.write(content)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_an_error_while_writing_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    put(path, b"old")
    with pytest.raises(TypeError):
        put(path, [b"new"])  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_the_file_before_is_kept_and_modes_are_those_of_any_file(tmp_path: Path) -> None:
    path, backup, plain = tmp_path / "new" / "file", tmp_path / "new" / "before", tmp_path / "plain"
    put(path, b"one", backup)
    assert not backup.exists()
    put(path, b"two", backup)
    plain.touch()
    assert (path.read_bytes(), backup.read_bytes()) == (b"two", b"one")
    assert path.stat().st_mode == plain.stat().st_mode


DIE = """
import os, sys
from pathlib import Path
from vjo_train.files import replacing
events = int(sys.argv[2])
def hook(event, args):
    global events
    if event in ("open", "os.rename", "os.chmod") and sys.argv[1] in str(args[0]):
        events -= 1
        if events < 0:
            os.kill(os.getpid(), 9)
sys.addaudithook(hook)
with replacing(Path(sys.argv[1]) / "file", Path(sys.argv[1]) / "before") as file:
    file.write(b"new" * 10000)
"""


def test_killed_at_any_step_the_file_or_the_one_before_is_whole_and_drafts_go_later(tmp_path: Path) -> None:
    statuses, found = [], []
    for step in range(6):
        folder = tmp_path / str(step)
        folder.mkdir()
        (folder / "file").write_bytes(b"old")
        statuses.append(subprocess.run([sys.executable, "-c", DIE, str(folder), str(step)], check=False).returncode)
        newest = next(path for path in (folder / "file", folder / "before") if path.is_file())
        found.append(newest.read_bytes())
        remove_drafts(folder)
        assert set(names(folder)) <= {"file", "before"}
    assert (statuses[0], statuses[-1]) == (-signal.SIGKILL, 0)
    assert found == [b"old"] * 4 + [b"new" * 10000] * 2  # the last kill comes when only the folder is to be synced


def test_drafts_go_to_the_bottom_but_not_from_the_folder_of_another_process(tmp_path: Path) -> None:
    kept = [".hidden", "notes.tmp", "eval/.lock", "eval/.results.json.x.tmp"]
    drafts = [".results.json.x.tmp", "checkpoints/.last.ckpt.x.tmp", "a/b/.c.tmp"]
    for name in [*kept, *drafts, ".lock"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    remove_drafts(tmp_path)
    assert [path for path in names(tmp_path) if (tmp_path / path).is_file()] == sorted([*kept, ".lock"])
    remove_drafts(tmp_path / "nowhere")


HOLD = """
import sys, time
from pathlib import Path
from vjo_train.runs.reservation import Place, reserved
with reserved(Place("hydra.run.dir", Path(sys.argv[1]), new=False)):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_is_one_processs_own_until_that_ends_however_it_does(tmp_path: Path) -> None:
    place = Place("hydra.run.dir", tmp_path / "run", new=False)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(place.folder)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match=r"hydra\.run\.dir: another process is at work in"), reserved(place):
            pass
        with reserved(Place("hydra.run.dir", place.folder, new=True)) as beside:
            assert beside == tmp_path / "run_2"
        other.kill()
    with reserved(place) as folder:
        assert folder == place.folder


ADD = """
import sys
from pathlib import Path
from vjo_train.files import locked, replacing
path = Path(sys.argv[1])
for _ in range(100):
    with locked(path.with_suffix(".lock"), wait=True):
        number = int(path.read_text())
        with replacing(path) as file:
            file.write(str(number + 1).encode())
"""


def test_processes_that_wait_for_a_lock_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("0")
    started = [subprocess.Popen([sys.executable, "-c", ADD, str(path)]) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    assert path.read_text() == "300"


@pytest.mark.parametrize("make", [lambda p: p.symlink_to(p), lambda p: p.mkdir()], ids=["loop", "folder"])
def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / ".lock")
    place = Place("hydra.run.dir", tmp_path, new=False)
    with pytest.raises(ConfigError, match="cannot be made or written to"), reserved(place):
        pass
    with pytest.raises(OSError, match=r"\.lock"), locked(tmp_path / ".lock", wait=True):
        pass
    assert os.listdir(tmp_path) == [".lock"]
