"""What is in a data set: tables for the terminal, a grid of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from vjo_train.data.faults import Fault
from vjo_train.data.labels.base import Kind
from vjo_train.report.drawing import draw_target, grid
from vjo_train.report.tables import note
from vjo_train.types import Batch

SIDES = "Width and height: least/median/greatest in pixels."
NOTE = f"{SIDES} Object side: square root of a box's area in pixels of the canvas, 5%/median/95%."
SHOWN = 3
"""Examples of each kind of fault in the terminal; the JSON has all."""


def summary_tables(splits: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    """Counts by split, then images, objects and pixels by class; `splits` as `inspection.summarise` makes them."""
    any_objects = any(split["objects"] for split in splits.values())
    counts = Table(title="Splits", title_justify="left", title_style="bold")
    counts.add_column("", style="cyan")
    for name in splits:
        counts.add_column(name, justify="right")
    for key in ("images", *(("objects", "difficult", "without_objects") if any_objects else ())):
        counts.add_row(key.replace("_", " "), *(str(split[key]) for split in splits.values()))
    counts.add_section()
    for kind in next(iter(splits.values()))["labelled"]:
        counts.add_row(f"with {kind}", *(_share(split["labelled"][kind], split) for split in splits.values()))
    counts.add_section()
    sides = {"width": "width", "height": "height"} | ({"object_side": "object side"} if any_objects else {})
    for key, text in sides.items():
        counts.add_row(text, *(_range(split[key]) for split in splits.values()))
    kinds = next(iter(splits.values()))["pixels"]
    shown = any(any(split["images_per_class"].values()) for split in splits.values())
    numbers = [*dict.fromkeys(label for split in splits.values() for label in split["numbers"])]
    tables = [_classes(splits, numbers)] if shown or not (kinds or numbers) else []
    tables += [*(_pixels(splits, kind) for kind in kinds), *([_numbers(splits, numbers)] if numbers else [])]
    return Group(counts, note(NOTE if any_objects else SIDES), *tables)


def fault_table(faults: Sequence[Fault]) -> RenderableType:
    """The faults by kind, fatal ones first, with a few examples of each."""
    kinds = list(dict.fromkeys((not fault.fatal, fault.kind) for fault in faults))
    table = Table(title="Faults", title_justify="left", title_style="bold", show_lines=True)
    table.add_column("kind", style="cyan")
    table.add_column("found", justify="right")
    table.add_column("such as")
    for harmless, kind in sorted(kinds):
        own = [fault for fault in faults if fault.kind == kind]
        examples = [escape(f"{fault.where}: {fault.what}") for fault in own[:SHOWN]]
        table.add_row(kind, str(len(own)), "\n".join(examples), style=None if harmless else "bold red")
    return table


def picture_grid(batch: Batch, kinds: Sequence[Kind], classes: Sequence[str], side: int = 240) -> Image.Image:
    """The images of an evaluation batch with what is annotated on them."""
    panels = []
    for image, target, original, name in zip(batch.images, batch.targets, batch.originals, batch.ids, strict=True):
        height, width = target.size
        panels.append(draw_target(image[:, :height, :width], original, kinds, classes, side=side, caption=name))
    return grid(panels)


def _classes(splits: Mapping[str, Mapping[str, Any]], numbers: Sequence[str]) -> Table:
    table = Table(title="Classes: images / objects", title_justify="left", title_style="bold")
    table.add_column("class", style="cyan")
    for name in splits:
        table.add_column(name, justify="right")
    for label in [name for name in next(iter(splits.values()))["images_per_class"] if name not in numbers]:
        table.add_row(
            label,
            *(f"{s['images_per_class'][label]} / {s['objects_per_class'][label]}" for s in splits.values()),
        )
    return table


def _numbers(splits: Mapping[str, Mapping[str, Any]], numbers: Sequence[str]) -> Table:
    table = Table(title="Numbers: mean ± deviation", title_justify="left", title_style="bold")
    table.add_column("number", style="cyan")
    for name in splits:
        table.add_column(name, justify="right")
    for label in numbers:
        own = [split["numbers"].get(label) for split in splits.values()]
        table.add_row(label, *("-" if one is None else f"{one['mean']:.4g} ± {one['deviation']:.3g}" for one in own))
    return table


def _pixels(splits: Mapping[str, Mapping[str, Any]], kind: str) -> Table:
    found = {name: split["pixels"][kind] for name, split in splits.items()}
    table = Table(title=f"Maps of {kind}: images / pixels", title_justify="left", title_style="bold")
    table.add_column("class", style="cyan")
    for name, own in found.items():
        table.add_column(f"{name}, {own['maps']} maps", justify="right")
    for label in next(iter(found.values()))["images"]:
        table.add_row(label, *(f"{own['images'][label]} / {own['shares'][label]:.2%}" for own in found.values()))
    table.add_section()
    for key in ("background", "ignored"):
        table.add_row(key, *(f"{own[key]:.2%}" for own in found.values()))
    return table


def _share(count: int, split: Mapping[str, Any]) -> str:
    return f"{count} ({100 * count / split['images']:.0f}%)"


def _range(figures: Mapping[str, float] | None) -> str:
    return "-" if figures is None else "/".join(f"{value:g}" for value in figures.values())
