"""Miniatures as annotation tools and public sets write objects."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from layout import Layout
from scipy.io import savemat

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.data.dicom_files import radiographs
from tests.data.sources import driving, exports
from tests.data.sources.exports import small
from tests.data.sources.test_driving import ecp, uavdt
from tests.data.sources.test_public_objects import citypersons, crowdhuman, mot, visdrone, wider_face
from tests.data.sources.written import picture

from vjo_train.data.sources.array_stacks import ArrayStacks
from vjo_train.data.sources.instance_files import InstanceFiles
from vjo_train.data.sources.objects.aperio import Aperio
from vjo_train.data.sources.objects.bbgt import BbGt
from vjo_train.data.sources.objects.bdd100k import BDD100K
from vjo_train.data.sources.objects.box_lists import BoxLists
from vjo_train.data.sources.objects.box_table import BoxTable
from vjo_train.data.sources.objects.citypersons import CityPersons
from vjo_train.data.sources.objects.createml import CreateML
from vjo_train.data.sources.objects.cvat import CVAT
from vjo_train.data.sources.objects.ecp import EuroCityPersons
from vjo_train.data.sources.objects.kitti import KITTI
from vjo_train.data.sources.objects.label_studio import LabelStudio
from vjo_train.data.sources.objects.labelme import LabelMe
from vjo_train.data.sources.objects.mot import MOT
from vjo_train.data.sources.objects.nuimages import NuImages
from vjo_train.data.sources.objects.odgt import CrowdHuman
from vjo_train.data.sources.objects.pascal_text import PascalText
from vjo_train.data.sources.objects.supervisely import Supervisely
from vjo_train.data.sources.objects.uavdt import UAVDT
from vjo_train.data.sources.objects.via import VIA
from vjo_train.data.sources.objects.visdrone import VisDrone
from vjo_train.data.sources.objects.wider_face import WiderFace


def matlab(root: Path) -> None:
    """CoNSeP's: a `.mat` file with the objects of each picture and their classes."""
    values = np.zeros((30, 40))
    values[2:12, 3:20], values[15:25, 8:30] = 1, 2
    for split in ("train", "val", "test"):
        for k in range(3):
            picture(root / f"{split}/Images/{k}.png")
            (root / split / "Labels").mkdir(exist_ok=True)
            savemat(root / f"{split}/Labels/{k}.mat", {"inst_map": values, "type_map": values})


def matlab_source() -> InstanceFiles:
    """What reads it."""
    places = {"images": "{split}/Images", "objects": "{split}/Labels/{stem}.mat"}
    return InstanceFiles(**places, variable="inst_map", class_variable="type_map")


def stacks(root: Path) -> None:
    """PanNuke's: the pictures of a split in one array, and their objects in another."""
    maps = np.zeros((3, 30, 40, 2))
    maps[:, 2:12, 3:20, 0], maps[:, 15:25, 8:30, 1] = 1, 2
    for split in ("train", "val", "test"):
        (root / split).mkdir()
        np.save(root / split / "images.npy", np.random.default_rng(0).integers(0, 256, (3, 30, 40, 3), np.uint8))
        np.save(root / split / "masks.npy", maps)


def packed(root: Path) -> None:
    """MedMNIST's: all arrays in one file."""
    splits = ("train", "val", "test")
    pictures = {f"{split}_images": np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28) for split in splits}
    np.savez_compressed(
        root / "set.npz", **pictures, **{f"{split}_labels": np.array([[0], [1], [1]]) for split in splits}
    )


BOXES, PIXELS = ("boxes", "classes"), ("masks", "boxes", "semantic")

TOOLS: Mapping[str, Layout] = {
    "labelme": Layout(small(exports.labelme), LabelMe, PIXELS),
    "cvat": Layout(small(exports.cvat), CVAT, PIXELS),
    "via": Layout(small(exports.via), VIA, PIXELS),
    "bdd100k": Layout(small(exports.bdd100k), BDD100K, PIXELS),
    "aperio": Layout(small(exports.aperio), Aperio, PIXELS),
    "createml": Layout(small(exports.createml), CreateML, BOXES),
    "supervisely": Layout(small(exports.supervisely), Supervisely, PIXELS),
    "label_studio": Layout(small(exports.label_studio), LabelStudio, PIXELS),
    "box_table": Layout(small(exports.tensorflow), BoxTable, BOXES),
    "json_rows": Layout(small(exports.json_rows), BoxTable, BOXES),
    "dicom": Layout(radiographs, BoxTable, BOXES, ("opacity",)),
    "matlab": Layout(matlab, matlab_source, PIXELS, ("a", "b")),
    "stacks": Layout(
        stacks, partial(ArrayStacks, images="{split}/images.npy", objects="{split}/masks.npy"), PIXELS, ("a", "b")
    ),
    "packed": Layout(
        packed,
        partial(ArrayStacks, images="set.npz/{split}_images", labels="set.npz/{split}_labels"),
        ("category", "classes"),
        ("a", "b"),
    ),
    "kitti": Layout(small(exports.kitti), KITTI, BOXES),
    "crowdhuman": Layout(crowdhuman, CrowdHuman, BOXES, splits=("train", None, "val")),
    "visdrone": Layout(visdrone, VisDrone, BOXES, splits=("train", None, "val")),
    "wider_face": Layout(wider_face, WiderFace, BOXES, splits=("train", None, "val")),
    "citypersons": Layout(citypersons, CityPersons, BOXES, splits=("train", None, "val")),
    "tt100k": Layout(small(driving.tt100k), BoxLists, BOXES),
    "kvasir": Layout(small(exports.named_boxes), BoxLists, BOXES),
    "bosch": Layout(small(driving.bosch), BoxLists, BOXES),
    "bbgt": Layout(small(driving.bbgt), BbGt, BOXES),
    "pascal_text": Layout(small(partial(driving.pascal_text, encoding="utf-8")), PascalText, BOXES),
    "nuimages": Layout(small(driving.nuimages), NuImages, PIXELS),
    "ecp": Layout(ecp, EuroCityPersons, BOXES, splits=("train", None, "val")),
    "uavdt": Layout(uavdt, UAVDT, BOXES, splits=("train", None, "test")),
    "mot": Layout(mot, MOT, BOXES, splits=("train", None, "test")),
}
"""Name -> the layout."""
