"""The section of pictures: the first test images, and of each task the best and the worst."""

from __future__ import annotations

from vjo_train.pages.blocks import Block, Note, Picture, Pictures, Section, embedded
from vjo_train.pages.folder import RunFolder
from vjo_train.report.examples import FOLDER, Example
from vjo_train.report.text import figure

PREDICTIONS = "predictions.png"
"""A sheet of the first test images, which runs of older versions have alone."""


def pictures(run: RunFolder) -> Section | None:
    """Predictions beside annotations."""
    if not run.examples:
        if not (run.path / PREDICTIONS).is_file():
            return None
        sheet = Picture(embedded(run.path / PREDICTIONS, 1100), [], "predictions on the first test images", wide=True)
        said = "The test kept no pictures of single images; this is its sheet of the first ones."
        return Section("Pictures", [Note(said), Pictures("", [sheet])])
    blocks: list[Block] = []
    first = [example for example in run.examples if example.why == "first"]
    if first:
        blocks.append(_gallery(run, "The first test images, all tasks", first))
    for task in run.tasks:
        own = [example for example in run.examples if example.task == task]
        if own:
            blocks.append(_gallery(run, f"{task}: best and worst", own))
            blocks.append(Note(f"Ordered by: {own[0].measure}."))
    intro = "Above what the network says, below what is annotated. Best and worst are images of the test split."
    return Section("Pictures", blocks, intro)


def _gallery(run: RunFolder, title: str, examples: list[Example]) -> Pictures:
    header = [example.image if example.why == "first" else example.why for example in examples]
    said = [_picture(run, example, example.prediction, _lines(example), "predicted") for example in examples]
    true = [_picture(run, example, example.truth, ["annotated"], "annotated") for example in examples]
    return Pictures(title, [*said, *true], header)


def _lines(example: Example) -> list[str]:
    if example.quality is None:
        return ["predicted"]
    return [example.image, figure(example.quality, 3)]


def _picture(run: RunFolder, example: Example, name: str, lines: list[str], what: str) -> Picture:
    path = run.path / FOLDER / name
    if not path.is_file():
        return Picture("", [*lines, "(the picture is not there any more)"], "")
    return Picture(embedded(path), lines, f"image {example.image}, {what}")
