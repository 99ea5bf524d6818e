"""The benchmark runs, shows all its sides, and its sides do the same work. No timing is judged."""

import importlib
import json
from contextlib import redirect_stdout
from importlib import metadata
from io import StringIO
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
TINY = (
    "backbone=resnet10",
    "neck.channels=16",
    "heads.detection.depth=1",
    "dataset.size=64",
    "dataset.batch_size=4",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
)


CHEAPER = ["at=features", "every=4", "sample=0.5", "every=4 sample=0.5"]
PCGRADS = ["pcgrad, floor", "pcgrad, TorchJD", "pcgrad, TorchJD without vmap"]
SHARINGS = ["hard", "cross_stitch", "hierarchical", "mtan", "mmoe", "routed", "branched", "adversarial", "adapters"]
SECTIONS = (
    *("loop", "weighting_3", "sharing", "evaluate", "coco"),
    *("detect_8", "regions", "inference_fcos", "precision"),
    *("tasks", "memory_peak", "predict", "video", "report"),
)
SMALLER = {
    "detect": {"SIZE": 128},
    "regions": {"IMAGES": 1, "REGIONS": 16, "CHANNELS": 8},
    "tasks": {"COUNTS": (4,)},
    "predict": {"FRAME": (64, 48)},
    "report": {"METHODS": 1, "SEEDS": 1},
    "made_runs": {"EPOCHS": 2, "CLASSES": 3},
}
"""Module in `scripts/bench` -> what is not measured at its whole size here."""
NETWORKS = ["four networks", "one network"]
Sides = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Sides], str]:
    """The figures of each side by section, and what was printed."""
    folder, shown = tmp_path_factory.mktemp("benchmark"), StringIO()
    file, page = folder / "out.json", folder / "page.md"
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(shown):
        patch.syspath_prepend(SCRIPTS)
        patch.delenv("VJO_SHARED", raising=False)
        for name, values in SMALLER.items():
            for key, value in values.items():
                patch.setattr(importlib.import_module(f"bench.{name}"), key, value)
        words = [
            *SECTIONS,
            *("--repeats", "1", "--steps", "1", "--images", "60", "--pictures", "5", "--tested", "4"),
            "--json",
            str(file),
            "--markdown",
            str(page),
            "--set",
            *TINY,
        ]
        importlib.import_module("benchmark").main(words)
    record = json.loads(file.read_text())
    assert {"machine", "versions", "git"} <= record.keys()
    assert all(f"## `{name}`" in page.read_text() for name in SECTIONS)
    return {name: section["sides"] for name, section in record["sections"].items()}, shown.getvalue()


@pytest.mark.slow
def test_every_section_has_all_its_sides_in_the_table_and_in_the_file(measured):
    sections, shown = measured
    others = PCGRADS + ["pcgrad, LibMTL"] * any(d.name == "LibMTL" for d in metadata.distributions())
    assert {name: list(sides) for name, sides in sections.items()} == {
        "loop": ["plain", "vjo-train"],
        "weighting_3": ["equal", "pcgrad", *(f"pcgrad {keys}" for keys in CHEAPER), *others],
        "sharing": SHARINGS,
        "evaluate": ["NumPy loop", "vjo-train"],
        "coco": ["torchmetrics + pycocotools", "vjo-train"],
        "detect_8": [f"{head}, {side}" for head in ("FCOS", "RetinaNet") for side in ("torchvision", "vjo-train")],
        "regions": ["torchvision", "vjo-train", "torchvision, with gradient", "vjo-train, with gradient"],
        "precision": ["float32, contiguous", "float32, channels_last", "bfloat16, channels_last"],
        "inference_fcos": [*NETWORKS, *(f"{side}, decoded" for side in NETWORKS)],
        "tasks": ["4 tasks", "4 tasks, parts"],
        "memory_peak": ["plain", "vjo-train", "vjo-train, activations computed again"],
        "predict": ["network alone", "vjo-predict"],
        "video": ["network alone", "vjo-predict"],
        "report": ["page of a run", "comparison of 4 runs"],
    }
    assert all(side in shown for sides in sections.values() for side in sides)


def test_a_hurry_measures_what_aims_are_about(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    arguments, sides = importlib.import_module("benchmark").arguments, importlib.import_module("bench.sides")
    everything, hurried = arguments([]), arguments(["--quick"])
    assert set(hurried.sections) < set(everything.sections)
    assert (everything.aims_alone, hurried.aims_alone) == (False, True)
    named = arguments(["sharing", "--quick"])  # what is named is measured whole
    assert (named.sections, named.aims_alone) == (["sharing"], False)
    made = {name: lambda: (1.0, 1.0) for name in ("first", "other", "ours", "theirs")}
    section = sides.Section(unit="step", result="", sides=made, aims=[sides.Aim("ours", "theirs", 1.0)])
    assert list(section.of_aims().sides) == ["first", "ours", "theirs"]


def test_lightning_and_the_plain_loop_move_the_weights_alike(measured):
    sides = measured[0]["loop"]
    assert sides["plain"]["result"] > 0
    assert sides["vjo-train"]["result"] == pytest.approx(sides["plain"]["result"], rel=1e-4)


def test_the_parts_of_a_step_make_the_whole_step(measured):
    sides = measured[0]["tasks"]
    assert sides["4 tasks, parts"]["result"] > 0
    assert sides["4 tasks"]["result"] == pytest.approx(sides["4 tasks, parts"]["result"], rel=1e-3)


def test_lightning_holds_no_more_than_the_plain_loop(measured):
    """Counted, not timed: so many MiB each time."""
    plain, ours, again = measured[0]["memory_peak"].values()
    assert ours["result"] == pytest.approx(plain["result"], rel=1e-4)
    assert again["result"] == pytest.approx(plain["result"], rel=1e-4)
    assert 1 < again["median"] <= ours["median"] <= 1.05 * plain["median"]  # here weights are nearly all of it


@pytest.mark.parametrize("section", ["predict", "video"])
def test_all_pictures_are_predicted_on(measured, section):
    assert [side["result"] for side in measured[0][section].values()] == [5, 5]


@pytest.mark.parametrize("other", PCGRADS)
def test_every_pcgrad_comes_to_the_same_gradient(measured, other):
    sides = measured[0]["weighting_3"]
    # Each draws its own order of projections, which matters where more than two gradients conflict.
    assert sides[other]["result"] == pytest.approx(sides["pcgrad"]["result"], rel=0.01)


def test_the_ways_of_sharing_are_shown_with_their_parameters(measured):
    sides = measured[0]["sharing"]
    assert 2 < sides["cross_stitch"]["result"] / sides["hard"]["result"] < 3  # three columns
    assert 1 < sides["hierarchical"]["result"] / sides["hard"]["result"] < 1.5


@pytest.mark.parametrize(("section", "other"), [("evaluate", "NumPy loop"), ("coco", "torchmetrics + pycocotools")])
def test_both_evaluations_come_to_the_same(measured, section, other):
    sides = measured[0][section]
    assert 0 < sides["vjo-train"]["result"] < 1
    assert sides["vjo-train"]["result"] == pytest.approx(sides[other]["result"], abs=1e-6)


def test_every_precision_comes_to_the_same_loss(measured):
    exact, other, rounded = (side["result"] for side in measured[0]["precision"].values())
    assert exact == pytest.approx(other, rel=1e-5)
    assert exact == pytest.approx(rounded, rel=0.03)


@pytest.mark.parametrize("decoded", ["", ", decoded"])
def test_one_network_gives_what_four_give(measured, decoded):
    four, one = (measured[0]["inference_fcos"][side + decoded]["result"] for side in NETWORKS)
    assert one == pytest.approx(four, rel=1e-6)
    assert one > 0


def test_an_option_has_a_size_of_its_own_in_a_hurry(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    benchmark = importlib.import_module("benchmark")
    whole, quick = (benchmark.arguments(words) for words in (["loop"], ["memory", "--quick", "--images", "7"]))
    assert (whole.repeats, whole.images, whole.small) == (5, 4952, [])
    assert quick.repeats < whole.repeats
    assert quick.images == 7
    assert quick.small == ["dataset.size=128"]
    assert quick.sections == ["memory_peak", "memory_time"]
    assert set(benchmark.SIZES) <= vars(quick).keys()


def test_another_revision_brings_its_own_code_and_configs(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    convergence = importlib.import_module("bench.convergence")
    for name in ("src/vjo_train", "conf"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("")
    check = "import vjo_train.conf; assert {str(root)} == {m.__file__.rsplit('/', depth)[0] for m, depth in pairs}"
    pairs = "pairs = ((vjo_train, 3), (vjo_train.conf, 2))"
    convergence.python(tmp_path, f"import vjo_train.conf\n{pairs}\n{check}", [])
    with pytest.raises(SystemExit, match="exit status 3"):
        convergence.python(tmp_path, "sys.exit(3)", [])
