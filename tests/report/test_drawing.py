import numpy as np
import pytest
import torch
from PIL import Image

from tests import tiny
from vjo_train.data.sources.voc.source import VOC
from vjo_train.drawing.overlays import overlay_masks, overlay_semantic
from vjo_train.drawing.palette import class_colour, voc_palette
from vjo_train.drawing.sheet import GAP, Sheet
from vjo_train.report.drawing import draw_batch, draw_prediction, draw_target, grid
from vjo_train.types import Batch, Boxes, Detections, Target

CLASSES = ["circle", "square", "star"]
HEADS = tiny.heads(
    ("classification", "detection", "semantic", "instance"), {"c5": 8, **{f"p{k}": 8 for k in range(3, 8)}}
)


def detections(boxes, scores, labels, masks=None):
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor(labels, dtype=torch.int64),
        masks,
    )


def target(height=40, width=60, labelled=("classes", "boxes")):
    boxes = Boxes(torch.tensor([[10.0, 5.0, 50.0, 35.0]]), torch.tensor([0]), torch.tensor([True]))
    known = {"classes": torch.tensor([1, 0, -1], dtype=torch.int8), "boxes": boxes}
    return Target((height, width), known).only(frozenset(labelled))


def has_colour(picture: Image.Image, label: int) -> bool:
    return bool((np.asarray(picture) == np.asarray(class_colour(label))).all(-1).any())


def test_palette_is_the_devkits():
    # The first entries and the last, as the devkit's VOClabelcolormap gives them.
    palette = voc_palette()
    expected = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128], [0, 128, 128]]
    assert palette[:7].tolist() == expected
    assert palette[20].tolist() == [0, 64, 128]
    assert palette[255].tolist() == [224, 224, 192]
    assert len({class_colour(k) for k in range(20)}) == 20


@pytest.mark.parametrize("grey", [0, 127, 255])
def test_frame_lies_on_the_box_in_drawn_pixels(grey):
    image = torch.full((3, 64, 64), grey, dtype=torch.uint8)
    # The image file is 128 x 128, the drawn picture 256: two drawn pixels per file pixel.
    found = detections([[40, 60, 100, 120]], [0.9], [1])
    picture = draw_prediction(image, {"detection": found}, HEADS, CLASSES, size=(128, 128), side=256)
    assert picture.width == 256
    assert picture.height > 256  # the caption
    pixels = np.asarray(picture)
    for x, y in [(80, 200), (199, 200), (140, 239)]:
        assert tuple(pixels[y, x]) == class_colour(1)
    assert tuple(pixels[180, 140]) == (grey,) * 3
    assert tuple(pixels[200, 60]) == (grey,) * 3


def test_detections_below_the_threshold_are_left_out():
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    found = detections([[4, 4, 30, 30], [30, 30, 60, 60]], [0.9, 0.2], [0, 1])
    picture = draw_prediction(image, {"detection": found}, HEADS, CLASSES, threshold=0.4)
    assert has_colour(picture, 0)
    assert not has_colour(picture, 1)


def test_boxes_beside_boxes_with_masks_are_drawn_once():
    """Masks of the one, frames and tags of the other; frames of both only where nothing else has boxes."""
    image, mask = torch.zeros(3, 64, 64, dtype=torch.uint8), torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[:, 30:50, 30:50] = True
    masked, plain = detections([[4, 4, 60, 60]], [0.9], [0], mask), detections([[8, 8, 52, 52]], [0.9], [1])
    alone = np.asarray(draw_prediction(image, {"instance": masked}, HEADS, CLASSES))
    both = np.asarray(draw_prediction(image, {"instance": masked, "detection": plain}, HEADS, CLASSES))
    assert tuple(alone[30, 40]) == tuple(both[30, 40]) == class_colour(0)  # the mask's outline
    assert tuple(alone[40, 4]) == class_colour(0)
    assert tuple(both[40, 4]) == (0, 0, 0)
    assert tuple(both[40, 8]) == class_colour(1)


def test_nothing_found_and_boxes_off_the_image_can_be_drawn():
    image = torch.zeros(3, 30, 50, dtype=torch.uint8)
    nothing = draw_prediction(image, {"detection": detections([], [], [])}, HEADS, CLASSES)
    assert not any(has_colour(nothing, k) for k in range(3))
    off = detections([[-30, -30, 80, 90], [49.9, 29.9, 50, 30], [20, 20, 20, 20]], [0.9, 0.8, 0.7], [0, 1, 2])
    draw_prediction(image, {"detection": off}, HEADS, CLASSES)


def test_caption_names_the_best_class_only_where_none_is_sure():
    image = torch.zeros(3, 200, 400, dtype=torch.uint8)
    sure = draw_prediction(image, {"classification": torch.tensor([0.9, 0.2, 0.7])}, HEADS, CLASSES)
    assert [has_colour(sure, k) for k in range(3)] == [True, False, True]
    unsure = draw_prediction(image, {"classification": torch.tensor([0.1, 0.3, 0.2])}, HEADS, CLASSES)
    assert [has_colour(unsure, k) for k in range(3)] == [False, True, False]


def test_caption_keeps_to_the_width_of_a_small_image():
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    scores = torch.ones(20)
    names = [f"a long name {k}" for k in range(20)]
    assert draw_prediction(image, {"classification": scores}, HEADS, names).width == 64


def test_semantic_overlay_leaves_background_and_ignored_pixels():
    picture = Image.new("RGB", (4, 1), (10, 20, 30))
    semantic = torch.tensor([[0, 1, 255, 3]], dtype=torch.uint8)
    pixels = np.asarray(overlay_semantic(picture, semantic, opacity=1.0))[0]
    assert pixels.tolist() == [[10, 20, 30], list(class_colour(0)), [10, 20, 30], list(class_colour(2))]


def test_masks_are_filled_and_outlined():
    mask = torch.zeros(1, 9, 9, dtype=torch.bool)
    mask[0, 2:7, 2:7] = True
    pixels = np.asarray(overlay_masks(Image.new("RGB", (9, 9)), mask, [1], opacity=0.5))
    colour = np.asarray(class_colour(1))
    assert (pixels[2, 4] == colour).all()
    assert (np.abs(pixels[4, 4] - colour / 2) <= 1).all()
    assert not pixels[0].any()


def test_unlabelled_fields_of_a_target_are_not_drawn():
    image = torch.zeros(3, 40, 60, dtype=torch.uint8)
    assert has_colour(draw_target(image, target(), VOC.kinds, CLASSES, side=240), 0)
    assert not has_colour(draw_target(image, target(labelled=()), VOC.kinds, CLASSES, side=240), 0)


def test_a_batch_is_drawn_without_its_padding():
    images = torch.full((3, 3, 32, 32), 200, dtype=torch.uint8)
    images[:, :, 20:] = 7  # padding
    batch = Batch(
        images=images,
        targets=[target(20, 32)] * 3,
        ids=["a", "b", "c"],
        scales=torch.full((3,), 32 / 60),
        tasks=("detection",),
        originals=[target(38, 60)] * 3,
    )
    found = [detections([[10, 5, 50, 35]], [0.9], [2])] * 3
    picture = draw_batch(batch, {"detection": found}, HEADS, VOC.kinds, CLASSES, side=96, columns=1, limit=2)
    assert picture.width == 96 * 2 + 2
    assert has_colour(picture, 0)
    assert has_colour(picture, 2)
    assert not (np.asarray(picture) == 7).all(-1).any()


def test_grid_puts_pictures_in_rows():
    pictures = [Image.new("RGB", (10, 8), (k, 0, 0)) for k in range(5)]
    sheet = grid(pictures, columns=2, gap=4)
    assert sheet.size == (24, 8 * 3 + 4 * 2)
    assert sheet.getpixel((15, 13)) == (3, 0, 0)
    with pytest.raises(ValueError, match="no pictures"):
        grid([])


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(TypeError, match="uint8"):
        Sheet(torch.zeros(3, 8, 8))


def test_figures_go_from_dark_to_bright_and_unknown_ones_stay_clear():
    sheet = Sheet(torch.full((3, 1, 4), 90, dtype=torch.uint8))
    sheet.values(torch.tensor([[0.0, 1.0, 2.0, float("nan")]]), 0.0, 2.0)
    drawn = np.asarray(sheet.finished(""))[0].astype(int)
    assert (drawn[:4] == 90).all(), "the picture itself stays as it is"
    row = drawn[4 + GAP :][:4]
    luma = row @ np.array([0.299, 0.587, 0.114])
    assert luma[0] < luma[1] < luma[2]
    assert row[3].tolist() == [90, 90, 90]


def test_known_points_are_drawn_and_joined_in_the_pixels_of_the_file():
    points = torch.tensor([[[10.0, 10.0, 2], [50.0, 10.0, 1], [30.0, 30.0, 0]]])
    sheet = Sheet(torch.full((3, 40, 60), 128, dtype=torch.uint8), side=120)
    sheet.points(points, [1], [[0, 1], [0, 2]])
    drawn = np.asarray(sheet.finished("x"))[:80]
    coloured = (drawn == np.asarray(class_colour(1))).all(-1)
    for x, y, there in ((20, 20, True), (100, 20, True), (60, 20, True), (60, 60, False), (40, 40, False)):
        assert coloured[y, x] == there, (x, y)
