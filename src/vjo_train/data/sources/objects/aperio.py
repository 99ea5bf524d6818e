"""Aperio ImageScope: an XML file of regions for each picture, as of MoNuSeg and MoNuSAC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from vjo_train.data.sources.objects.format_files import format_files
from vjo_train.data.sources.objects.own_file import picture_of
from vjo_train.data.sources.objects.records import Picture, Read, Thing
from vjo_train.data.sources.objects.signs import is_aperio
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.xml_files import LINE, read_xml
from vjo_train.errors import DataError

MOST_BYTES = 1 << 28
"""Of a file."""


class Aperio(ObjectFiles):
    """`a.xml` for the picture `a.tif`: regions with the corners of their outlines.

    A region's class is the attribute that its layer is named by, else the layer's own name. Where layers have none, all
    are of one class, which `dataset.classes` names. Regions of fewer than 3 corners are left out, and counted.
    """

    what = "XML file of Aperio ImageScope, with <Annotations> and <Region>"

    def files(self, root: Path) -> list[Path]:
        return format_files(root, (".xml",), is_aperio)

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        return Read([picture_of(root, file, _fill) for file in files])


def _fill(picture: Picture) -> None:
    for layer in read_xml(picture.file, MOST_BYTES, lines=True).iter("Annotation"):
        for region in layer.iter("Region"):
            _add(picture, region, _name(layer))


def _name(layer: Element) -> str:
    """Of the class; nothing where the layer has none."""
    attributes = [one.get("Name", "").strip() for one in layer.findall("Attributes/Attribute")]
    return next((name for name in attributes if name not in ("", "Description")), layer.get("Name", "").strip())


def _add(picture: Picture, region: Element, name: str) -> None:
    where = f"line {region.get(LINE)}"
    try:
        corners = [float(vertex.get(key, "")) for vertex in region.iter("Vertex") for key in ("X", "Y")]
    except ValueError:
        corners = [math.nan]
    if not all(map(math.isfinite, corners)):
        raise DataError(f"{picture.file}: {where}: found a vertex without numbers; must have X and Y.")
    if len(corners) < 6:
        picture.notes.append(("region left out", f"{where}: of {len(corners) // 2} corners"))
    else:
        picture.things.append(Thing(name, outline=[corners], where=where))
