"""`vjo-data`: its files, its exit status, what it says of mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

Answer = tuple[int, str, str]
Command = Callable[..., Answer]
SMALL = [
    "dataset.generate.train=9",
    "dataset.generate.val=3",
    "dataset.generate.test=5",
    "dataset.generate.image_size=64",
]


def test_summary_counts_and_shows_pictures(command: Command) -> None:
    status, out, _ = command("vjo-data", "summary", *SMALL, "output=seen")
    assert status == 0
    content = json.loads(Path("seen/summary.json").read_text())
    assert {name: split["images"] for name, split in content["splits"].items()} == {"train": 9, "val": 3, "test": 5}
    train = content["splits"]["train"]
    assert sum(train["objects_per_class"].values()) == train["objects"] > 0
    assert train["labelled"] == {"classes": 9, "boxes": 9, "semantic": 4, "masks": 4}
    assert train["width"] == {"least": 64, "median": 64, "greatest": 64}
    assert 5 < train["object_side"]["5%"] < train["object_side"]["95%"] < 128
    assert "triangle" in out
    pixels = train["pixels"]["semantic"]
    assert pixels["maps"] == 4
    assert sum(pixels["shares"].values()) + pixels["background"] == pytest.approx(1)
    assert 0 < pixels["ignored"] < 0.2
    for label, count in pixels["images"].items():
        assert (count > 0) == (pixels["shares"][label] > 0)
        assert count <= train["images_per_class"][label]
    assert "Maps of semantic: images / pixels" in out
    for name in content["splits"]:
        with Image.open(f"seen/{name}.png") as picture:
            assert min(picture.size) >= 240
    before = Path("seen/train.png").read_bytes()
    assert command("vjo-data", "summary", *SMALL, "output=again")[0] == 0
    assert Path("again/train.png").read_bytes() == before


def test_summary_counts_classes_that_no_object_shows(command: Command) -> None:
    """Every drawn scene has one category."""
    assert command("vjo-data", "summary", "dataset=scenes", *SMALL, "output=seen")[0] == 0
    train = json.loads(Path("seen/summary.json").read_text())["splits"]["train"]
    scenes = ("wall", "floor", "ceiling", "corridor")
    assert sum(train["images_per_class"][name] for name in scenes) == 9
    assert all(train["objects_per_class"][name] == 0 for name in scenes)


def test_summary_of_maps_alone_speaks_of_pixels(command: Command, tmp_path: Path) -> None:
    for split, value in (("train", 1), ("val", 2), ("test", 255)):
        for folder in ("images", "masks"):
            path = tmp_path / "set" / folder / split / "a.png"
            path.parent.mkdir(parents=True)
            picture = Image.new("L", (40, 30), 0)
            picture.paste(value, (0, 0, 20, 30))
            picture.save(path)
    words = ["dataset=masks", f"dataset.root={tmp_path}/set", "dataset.classes=[road,sky]", "output=seen"]
    words += ["dataset.source.images='images/{split}'", "dataset.source.masks='masks/{split}/{stem}.png'"]
    status, out, _ = command("vjo-data", "summary", *words, "dataset.val_split=val")
    assert status == 0
    splits = json.loads(Path("seen/summary.json").read_text())["splits"]
    found = {name: split["pixels"]["semantic"] for name, split in splits.items()}
    assert found["train"]["shares"] == {"road": 0.5, "sky": 0.0}
    assert found["val"]["images"] == {"road": 0, "sky": 1}
    assert (found["test"]["background"], found["test"]["ignored"]) == (1.0, 0.5)
    assert "road" in out
    assert "objects" not in out, "there are none to speak of"
    assert "Classes: images / objects" not in out


def test_summary_of_a_table_has_its_numbers(command: Command, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for name in "abc":
        Image.new("RGB", (40, 30)).save(tmp_path / f"set/{name}.png")
    rows = ["path,cat,age,split", "a.png,1,20,train", "b.png,0,40,train", "c.png,1,,test"]
    (tmp_path / "set/labels.csv").write_text("\n".join(rows))
    words = ["dataset=table", f"dataset.root={tmp_path}/set", "dataset.source.numbers=[age]", "dataset.val_fraction=0"]
    status, out, _ = command("vjo-data", "summary", *words, "output=seen")
    assert status == 0
    splits = json.loads(Path("seen/summary.json").read_text())["splits"]
    assert splits["train"]["numbers"] == {"age": {"mean": 30.0, "deviation": 10.0}}
    assert splits["test"]["numbers"] == {}
    (line,) = [line for line in out.splitlines() if "│ age" in line]
    assert [cell.strip() for cell in line.split("│")[1:-1]] == ["age", "30 ± 10", "-"]


def test_show_writes_a_page_of_pictures_with_their_labels(command: Command) -> None:
    words = ["dataset=scenes", *SMALL, "output=seen"]
    assert command("vjo-data", "show", *words)[0] == 0
    page = Path("seen/show.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 9 + 3 + 5
    assert "All 9 images." in page
    assert page.count("labelled: boxes, category, classes, depth,") == 17


def test_check_tells_by_its_status_whether_a_run_would_stop(command: Command) -> None:
    _, out, _ = command("vjo-data", "download", *SMALL, "dataset.root=drawn")
    assert "The data set lies in drawn: 17 images." in out
    assert command("vjo-data", "check", *SMALL, "dataset.root=drawn", "output=seen")[0] == 0
    Path("drawn/JPEGImages/000000.jpg").write_bytes(b"no picture")
    status, out, _ = command("vjo-data", "check", *SMALL, "dataset.root=drawn", "output=seen")
    assert status == 3
    assert "Images checked: 17. Faults that would stop a run: 1, " in out
    content = json.loads(Path("seen/check.json").read_text())
    assert content["counts"]["unreadable image"] == 1
    assert [fault["where"] for fault in content["faults"] if fault["fatal"]] == ["000000.jpg"]
    Path("drawn/Annotations/000001.xml").write_text("<annotation>")
    _, out, _ = command("vjo-data", "check", *SMALL, "dataset.root=drawn", "output=again")
    assert "Images checked: 16. Faults that would stop a run: 2, " in out, "one report of all"


MISTAKES = [
    ("", "no action given. It must be summary, check, show, guess, download, such as: vjo-data summary dataset=shapes"),
    ("sumary", "found the action 'sumary'; did you mean 'summary'? It must be "),
    ("check dataset=vok", "dataset=vok: no such choice; did you mean 'voc'?"),
    ("check dataset.siz=3", "Key 'siz' is not in 'dataset'; did you mean 'size'?"),
    ("check outptu=x", "Key 'outptu' is not in the config; did you mean 'output'?"),
    ("check dataset=voc2007 dataset.root=nowhere", "dataset.root: found 'nowhere', which is no folder"),
    ("summary dataset=voc2007", "dataset.root: is null; give the folder that holds JPEGImages/"),
    ("download dataset=voc dataset.root=. dataset.classes=[a]", "download: this data set can be neither fetched nor"),
    ("-m check seed=1,2", "-m: vjo-data looks at one data set at a time."),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES, ids=[words for words, _ in MISTAKES])
def test_mistake(command: Command, words: str, message: str) -> None:
    status, out, err = command("vjo-data", *words.split())
    assert message in err
    assert err.startswith("vjo-data: error: ")
    assert len(err.splitlines()) == 1
    assert "Traceback" not in out + err
    assert status == 2
