"""The same pictures and objects as many programs and public sets write them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

from tests.data.sources.written import picture

WIDTH, HEIGHT = 40, 30


class Thing(NamedTuple):
    """An object: its class, and its outline, or its box alone."""

    name: str
    box: tuple[float, float, float, float]
    outline: list[float] | None = None
    ignored: bool = False

    @classmethod
    def drawn(cls, name: str, *corners: float) -> Thing:
        return cls(name, (min(corners[::2]), min(corners[1::2]), max(corners[::2]), max(corners[1::2])), [*corners])


Scene = Mapping[str, Sequence[Thing]]
"""Path of a picture -> its objects."""
OUTLINES: Scene = {
    "train/a.jpg": [
        Thing.drawn("cat", 4.25, 4, 20.5, 4.5, 20, 18.25),
        Thing.drawn("dog", 10, 10, 38, 10, 38, 28, 10, 28),
    ],
    "train/b.jpg": [],
    "val/c.jpg": [Thing.drawn("dog", 0, 0, 8, 0, 8, 8)],
    "test/d.jpg": [Thing.drawn("cat", 30, 20, 39.75, 20, 39.75, 29.5)],
}
BOXES: Scene = {
    "train/a.jpg": [Thing("cat", (4.25, 4, 20.5, 18.25)), Thing("dog", (10, 10, 38, 28))],
    "train/b.jpg": [],
    "val/c.jpg": [Thing("dog", (0, 0, 8, 8)), Thing("dog", (30, 12, 45, 20))],
    "test/d.jpg": [Thing("cat", (30, 20, 39.75, 29.5))],
}
"""Without outlines; one leaves its picture."""


def pictures(root: Path, scene: Scene) -> None:
    for name in scene:
        picture(root / name, WIDTH, HEIGHT)


def sides(thing: Thing) -> list[float]:
    """x, y, width, height."""
    x1, y1, x2, y2 = thing.box
    return [x1, y1, x2 - x1, y2 - y1]


def coco(root: Path, scene: Scene) -> None:
    """COCO's JSON, a file for each split."""
    pictures(root, scene)
    for split in sorted({name.split("/")[0] for name in scene}):
        names = [name for name in scene if name.startswith(f"{split}/")]
        images = [
            {"id": k, "file_name": name.split("/")[1], "width": WIDTH, "height": HEIGHT} for k, name in enumerate(names)
        ]
        found: list[dict[str, Any]] = []
        for k, name in enumerate(names):
            for thing in scene[name]:
                more = {} if thing.outline is None else {"segmentation": [thing.outline]}
                label, crowd = {"cat": 1, "dog": 2}[thing.name], int(thing.ignored)
                own = {"image_id": k, "category_id": label, "bbox": sides(thing), "iscrowd": crowd}
                found.append({"id": len(found), **own, **more})
        categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
        content = {"images": images, "annotations": found, "categories": categories}
        write(root / f"annotations/instances_{split}.json", content)


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def labelme(root: Path, scene: Scene) -> None:
    """A JSON file beside each picture, which names it as another machine did."""
    pictures(root, scene)
    for name, things in scene.items():
        shapes = []
        for thing in things:
            box = [list(thing.box[2:]), list(thing.box[:2])]  # drawn from the lower right
            points = box if thing.outline is None else pairs(thing.outline)
            kind = "rectangle" if thing.outline is None else "polygon"
            shapes.append({"label": thing.name, "points": points, "group_id": None, "shape_type": kind, "flags": {}})
        content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imageData": None}
        content |= {"imagePath": f"..\\pictures\\{Path(name).name}", "imageHeight": HEIGHT, "imageWidth": WIDTH}
        write(root / Path(name).with_suffix(".json"), content)


def pairs(outline: Sequence[float]) -> list[list[float]]:
    return [list(pair) for pair in zip(outline[::2], outline[1::2], strict=True)]


def cvat(root: Path, scene: Scene) -> None:
    """One XML file; pictures in `images/<subset>/`."""
    images = []
    for number, (name, things) in enumerate(scene.items()):
        picture(root / "images" / name, WIDTH, HEIGHT)
        split, _, file = name.partition("/")
        shapes = []
        for thing in things:
            corners = dict(zip(("xtl", "ytl", "xbr", "ybr"), thing.box, strict=True))
            points = None if thing.outline is None else ";".join(f"{x},{y}" for x, y in pairs(thing.outline))
            own = {"points": points} if points else corners
            written = " ".join(f"{key}={quoteattr(str(value))}" for key, value in own.items())
            shapes.append(
                f'<{"polygon" if points else "box"} label="{thing.name}" occluded="0" {written} z_order="0"/>'
            )
        size = f'width="{WIDTH}" height="{HEIGHT}"'
        images.append(f'<image id="{number}" name="{file}" subset="{split}" {size}>{"".join(shapes)}</image>\n')
    labels = "".join(f"<label><name>{name}</name></label>" for name in ("cat", "dog"))
    meta = f"<meta><project><labels>{labels}</labels></project></meta>"
    write(root / "annotations.xml", f"<annotations><version>1.1</version>\n{meta}\n{''.join(images)}</annotations>")


def via(root: Path, scene: Scene) -> None:
    """A JSON file in the folder of each split."""
    pictures(root, scene)
    for split in sorted({name.split("/")[0] for name in scene}):
        entries = {}
        for name, things in scene.items():
            if name.startswith(f"{split}/"):
                file = name.split("/")[1]
                regions = [
                    {"shape_attributes": via_shape(one), "region_attributes": {"type": one.name}} for one in things
                ]
                entries[f"{file}123"] = {"filename": file, "size": 123, "regions": regions, "file_attributes": {}}
        write(root / split / "via_region_data.json", {"_via_settings": {}, "_via_img_metadata": entries})


def via_shape(thing: Thing) -> dict[str, Any]:
    if thing.outline is None:
        return {"name": "rect", **dict(zip(("x", "y", "width", "height"), sides(thing), strict=True))}
    return {"name": "polygon", "all_points_x": thing.outline[::2], "all_points_y": thing.outline[1::2]}


def via_csv(root: Path, scene: Scene) -> None:
    """The CSV that VIA exports, in the folder of each split."""
    pictures(root, scene)
    for split in sorted({name.split("/")[0] for name in scene}):
        with (root / split / "via_export_csv.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            start = ("#filename", "file_size", "file_attributes", "region_count", "region_id")
            writer.writerow([*start, "region_shape_attributes", "region_attributes"])
            for name, things in scene.items():
                if name.startswith(f"{split}/"):
                    own = [(json.dumps(via_shape(one)), json.dumps({"type": one.name})) for one in things]
                    for number, (shape, attributes) in enumerate(own or [("{}", "{}")]):
                        writer.writerow([name.split("/")[1], 1, "{}", len(things), number, shape, attributes])


def tensorflow(root: Path, scene: Scene) -> None:
    """TensorFlow's `train_labels.csv`, ...; a picture without objects has an empty row."""
    table(root, scene, "{split}_labels.csv", "filename,width,height,class,xmin,ymin,xmax,ymax", 1)


def named_boxes(root: Path, scene: Scene) -> None:
    """Kvasir-SEG's `kavsir_bboxes.json`, for each split: names without an ending, and the boxes of each."""
    pictures(root, scene)
    for split in sorted({name.split("/")[0] for name in scene}):
        found = {
            Path(name).stem: {
                "height": HEIGHT,
                "width": WIDTH,
                "bbox": [
                    {"label": thing.name, **dict(zip(("xmin", "ymin", "xmax", "ymax"), thing.box, strict=True))}
                    for thing in scene[name]
                ],
            }
            for name in scene
            if name.startswith(f"{split}/")
        }
        write(root / f"{split}_bboxes.json", found)


def json_rows(root: Path, scene: Scene) -> None:
    """What pandas writes of a table with `orient="records"`; a picture without objects has a row of null."""
    pictures(root, scene)
    rows: list[dict[str, Any]] = []
    for name, things in scene.items():
        own = {"split": name.split("/")[0], "image_id": Path(name).stem}
        rows += [own | {"bbox": sides(thing), "class": thing.name} for thing in things]
        rows += [] if things else [own | {"bbox": None, "class": None}]
    write(root / "boxes.json", rows)


def open_images(root: Path, scene: Scene) -> None:
    """Shares of the picture, codes of the classes, names without an ending."""
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf"
    table(root, scene, "{split}-annotations-bbox.csv", header, 0)
    write(root / "class-descriptions-boxable.csv", "/m/1,cat\n/m/2,dog\n")


def table(root: Path, scene: Scene, file: str, header: str, scale: int) -> None:
    """CSV by split; `scale` 0: shares."""
    pictures(root, scene)
    across, down = (1, 1) if scale else (WIDTH, HEIGHT)
    for split in sorted({name.split("/")[0] for name in scene}):
        rows = [header]
        for name in (one for one in scene if one.startswith(f"{split}/")):
            file_name = Path(name).name if scale else Path(name).stem
            for thing in scene[name] or [None]:
                x1, y1, x2, y2 = ("",) * 4 if thing is None else map(str, shares(thing.box, across, down))
                values = {"xmin": x1, "ymin": y1, "xmax": x2, "ymax": y2, "width": WIDTH, "height": HEIGHT}
                values |= {"filename": file_name, "imageid": file_name, "class": thing.name if thing else ""}
                values["labelname"] = {"cat": "/m/1", "dog": "/m/2"}[thing.name] if thing else ""
                values["isgroupof"] = int(thing.ignored) if thing else 0
                rows.append(",".join(str(values.get(word.lower(), "")) for word in header.split(",")))
        write(root / file.format(split=split), "\n".join(rows) + "\n")


def shares(box: Sequence[float], across: int, down: int) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box
    return x1 / across, y1 / down, x2 / across, y2 / down


def retinanet(root: Path, scene: Scene) -> None:
    """Rows of path, x1, y1, x2, y2, class without a first line."""
    pictures(root, scene)
    for split in sorted({name.split("/")[0] for name in scene}):
        rows = []
        for name in (one for one in scene if one.startswith(f"{split}/")):
            rows += [f"{name},{','.join(map(str, thing.box))},{thing.name}" for thing in scene[name]] or [
                f"{name},,,,,"
            ]
        write(root / f"{split}.csv", "\n".join(rows) + "\n")


def lists(root: Path, scene: Scene) -> None:
    """One table, with a list [x, y, width, height] and a column of splits, between semicolons."""
    pictures(root, scene)
    rows = ["image_id;bbox;label;subset"]
    for name, things in scene.items():
        split, stem = name.split("/")[0], Path(name).stem
        rows += [f"{stem};{sides(thing)};{thing.name};{split}" for thing in things] or [f"{stem};;;{split}"]
    write(root / "boxes.csv", "\n".join(rows) + "\n")


def kitti(root: Path, scene: Scene) -> None:
    """Text files beside the folder of the pictures."""
    for name, things in scene.items():
        split, _, file = name.partition("/")
        picture(root / split / "image_2" / file, WIDTH, HEIGHT)
        rows = [f"{one.name} 0.00 0 -1.58 {' '.join(map(str, one.box))} 1.5 1.7 4 1 1.7 13 -1.6\n" for one in things]
        write(root / split / "label_2" / f"{Path(file).stem}.txt", "".join(rows))


def bdd100k(root: Path, scene: Scene) -> None:
    """`labels/det_20/det_train.json`, ...; a frame without labels has none, or null."""
    for split in sorted({name.split("/")[0] for name in scene}):
        frames: list[dict[str, Any]] = []
        for name in (one for one in scene if one.startswith(f"{split}/")):
            picture(root / "images/100k" / name, WIDTH, HEIGHT)
            frame = {"name": name.split("/")[1], "attributes": {"scene": "highway"}, "timestamp": 10000}
            labels = [{"id": str(k), "category": one.name, **bdd_shape(one)} for k, one in enumerate(scene[name])]
            frames.append(frame | ({"labels": labels} if labels else {}))
        write(root / f"labels/det_20/det_{split}.json", frames)


def bdd_shape(thing: Thing) -> dict[str, Any]:
    attributes = {"attributes": {"crowd": thing.ignored, "occluded": False}}
    if thing.outline is None:
        return attributes | {"box2d": dict(zip(("x1", "y1", "x2", "y2"), thing.box, strict=True))}
    points = pairs(thing.outline)
    return attributes | {"poly2d": [{"vertices": points, "types": "L" * len(points), "closed": True}]}


def bdd_first(root: Path, scene: Scene) -> None:
    """The first release: a file for each picture, with lanes and areas among its objects."""
    for name, things in scene.items():
        picture(root / "images/100k" / name, WIDTH, HEIGHT)
        lane = {"category": "lane/road curb", "id": 9, "attributes": {}, "poly2d": [[1, 2, "L"], [30, 9, "L"]]}
        objects = [lane, *({"category": one.name, "id": k, **bdd_shape(one)} for k, one in enumerate(things))]
        frame = {"timestamp": 10000, "objects": objects}
        stem = Path(name).stem
        content = {"name": stem, "frames": [frame], "attributes": {"weather": "clear"}}
        write(root / f"labels/100k/{Path(name).with_suffix('.json')}", content)


def createml(root: Path, scene: Scene) -> None:
    """Middles, widths and heights of boxes; a file beside the pictures of each split, as Roboflow has it."""
    pictures(root, scene)
    for split in sorted({name.split("/")[0] for name in scene}):
        entries = []
        for name in (one for one in scene if one.startswith(f"{split}/")):
            found = []
            for thing in scene[name]:
                x, y, width, height = sides(thing)
                middle = {"x": x + width / 2, "y": y + height / 2, "width": width, "height": height}
                found.append({"label": thing.name, "coordinates": middle})
            entries.append({"image": name.split("/")[1], "annotations": found})
        write(root / split / "_annotations.createml.json", entries)


def supervisely(root: Path, scene: Scene) -> None:
    """`train/img/a.jpg` with `train/ann/a.jpg.json`, and the classes in another order in `meta.json`."""
    write(
        root / "meta.json",
        {"classes": [{"title": "cat", "shape": "polygon"}, {"title": "dog", "shape": "any"}], "tags": []},
    )
    for name, things in scene.items():
        split, _, file = name.partition("/")
        picture(root / split / "img" / file, WIDTH, HEIGHT)
        objects = [
            {"classTitle": one.name, "geometryType": "rectangle" if one.outline is None else "polygon", "tags": [],
             "points": {"exterior": supervisely_points(one), "interior": []}}
            for one in things
        ]  # fmt: skip
        size = {"height": HEIGHT, "width": WIDTH}
        write(root / split / "ann" / f"{file}.json", {"description": "", "tags": [], "size": size, "objects": objects})


def supervisely_points(thing: Thing) -> list[list[float]]:
    """Of rectangles, the last pixels are inside."""
    x1, y1, x2, y2 = thing.box
    return [[x1, y1], [x2 - 1, y2 - 1]] if thing.outline is None else pairs(thing.outline)


def label_studio(root: Path, scene: Scene) -> None:
    """Tasks with the pictures' names as the program stores them; one annotation was cancelled, one is by a network."""
    pictures(root, scene)
    for split in sorted({name.split("/")[0] for name in scene}):
        tasks = []
        for number, name in enumerate(one for one in scene if one.startswith(f"{split}/")):
            result = [studio_region(thing, k) for k, thing in enumerate(scene[name])]
            path = f"/data/upload/3/{number:08x}-{name.split('/')[1]}"
            wrong = {"result": [studio_region(Thing("bird", (0, 0, 9, 9)), 0)]}
            annotations = [wrong | {"was_cancelled": True}, {"result": result, "was_cancelled": False}]
            tasks.append({"id": number, "data": {"image": path}, "annotations": annotations, "predictions": [wrong]})
        write(root / f"project-1-{split}.json", tasks)


def studio_region(thing: Thing, number: int) -> dict[str, Any]:
    """Numbers are percents."""
    x, y, width, height = sides(thing)
    kind, value = "rectanglelabels", {"x": x, "y": y, "width": width, "height": height}
    value = {key: 100 * side / (WIDTH if key in ("x", "width") else HEIGHT) for key, side in value.items()}
    if thing.outline is not None:
        points = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in pairs(thing.outline)]
        kind, value = "polygonlabels", {"points": points, "closed": True}
    own = {"id": f"r{number}", "type": kind, "original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return own | {"value": value | {kind: [thing.name]}}


def aperio(root: Path, scene: Scene) -> None:
    """`Annotations/a.xml`, a layer for each class, beside `Tissue Images/a.jpg`."""
    for name, things in scene.items():
        split, _, file = name.partition("/")
        picture(root / split / "Tissue Images" / file, WIDTH, HEIGHT)
        layers = ""
        for number, thing in enumerate(things):
            points = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in pairs(thing.outline or []))
            own = f'<Attributes><Attribute Name="{thing.name}" Id="0" Value=""/></Attributes>'
            region = f'<Regions><Region Id="{number}"><Attributes/><Vertices>{points}</Vertices></Region></Regions>'
            layers += f'<Annotation Id="{number}" Name="">{own}\n{region}</Annotation>'
        text = f'<?xml version="1.0"?>\n<Annotations MicronsPerPixel="0.25">{layers}</Annotations>'
        write(root / split / "Annotations" / f"{Path(file).stem}.xml", text)


Writer = Callable[[Path, Scene], None]


def small(write: Writer) -> Callable[[Path], None]:
    """Writes a few pictures with an object of each class."""
    things = [Thing.drawn("cat", 4, 4, 20, 4, 20, 18), Thing.drawn("dog", 10, 10, 38, 10, 38, 28)]
    names = [f"{split}/{k}.jpg" for split, count in (("train", 3), ("val", 1), ("test", 2)) for k in range(count)]
    return lambda root: write(root, dict.fromkeys(names, things))
