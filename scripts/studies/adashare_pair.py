"""Does `sharing=adashare` drop the blocks that a task does not need? On a constructed pair of tasks, over seeds.

Both tasks read `c4` of a ResNet-18, six blocks. `colour` is the mean colour of the picture, which the first blocks give
and shortcuts carry on; `shape` is which of six shapes lies in it, which takes depth. Prints for each seed which blocks
each task runs, the share of the deep blocks (all past the first stage) that `colour` dropped, the figures of both
beside those of a network with all blocks trained alike, and FLOPs and time of `colour` alone, in
PyTorch and as an ONNX file.

    .venv/bin/python scripts/studies/adashare_pair.py [seeds=1,2,3] [images=2048] [epochs=24] [sparsity=0.4] \\
        [warmup=0.4]
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vjo_train.backbones.torchvision import TorchvisionBackbone
from vjo_train.data.shape_painting import CLASSES, paint, random_colour, rasterised, textured
from vjo_train.inference.runtimes.onnx import open_session
from vjo_train.sharing.adashare import AdaShare

TASKS = ("colour", "shape")
SIZE, BATCH, RATE, SHALLOW, BLOCKS = 32, 32, 0.001, 2, 6
"""Pixels; images; learning rate; blocks of the first stage; blocks up to `c4`."""
ALL = {task: [1] * 8 for task in TASKS}
Pictures = tuple[Tensor, dict[str, Tensor]]


def main(arguments: list[str]) -> None:
    """Runs every seed and prints a table."""
    given = {"seeds": "1,2,3", "images": "2048", "epochs": "24", "sparsity": "0.4", "warmup": "0.4"}
    given |= dict(word.split("=", 1) for word in arguments)
    count, epochs = int(given["images"]), int(given["epochs"])
    print(f"{torch.__version__}, {torch.get_num_threads()} threads, {given}", flush=True)
    for seed in map(int, given["seeds"].split(",")):
        train, test = pictures(seed, count), pictures(10_000 + seed, 1000)
        sought = fit(seed, train, epochs, sparsity=float(given["sparsity"]), warmup=float(given["warmup"]))
        whole = fit(seed, train, epochs, policy=ALL)
        ways = {task: way[:BLOCKS] for task, way in sought[0].ways.items()}
        dropped = ways["colour"][SHALLOW:].count(False) / (BLOCKS - SHALLOW)
        print(f"seed {seed}: " + "; ".join(f"{task} {''.join(map(str, map(int, way)))}" for task, way in ways.items()))
        print(f"  deep blocks that colour dropped: {100 * dropped:.0f} %")
        for task in TASKS:
            print(f"  {task}: {figure(*sought, test, task):.4f}; with all blocks {figure(*whole, test, task):.4f}")
        flops = [count_flops(sharing) for sharing, _ in (sought, whole)]
        speed = [times(sharing) for sharing, _ in (sought, whole)]
        print(f"  FLOPs of colour: {flops[0] / 1e6:.0f} M of {flops[1] / 1e6:.0f} M ({flops[0] / flops[1]:.2f})")
        for place, name in enumerate(("PyTorch", "ONNX")):
            a, b = speed[0][place], speed[1][place]
            print(f"  time of colour, {name}: {1000 * a:.1f} ms of {1000 * b:.1f} ms ({a / b:.2f})", flush=True)


def pictures(seed: int, count: int) -> Pictures:
    """Pictures of one shape [N, 3, S, S] about 0, the mean colour [N, 3] of each, and its shape [N]."""
    drawn = [picture(np.random.default_rng([seed, k])) for k in range(count)]
    images = torch.from_numpy(np.stack([image for image, _ in drawn])).permute(0, 3, 1, 2) / 128 - 1
    return images, {"colour": images.mean((2, 3)), "shape": torch.tensor([label for _, label in drawn])}


def picture(rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], int]:
    """[S, S, 3] in 0..255 with an upright shape of any place and colour; its class."""
    canvas = textured(rng, SIZE, random_colour(rng), strength=5)
    label, radius = int(rng.integers(len(CLASSES))), SIZE * rng.uniform(0.25, 0.4)
    alpha = rasterised(label, radius, rng.uniform(radius, SIZE - radius, 2), 0.0, SIZE)
    paint(rng, canvas, alpha, SIZE, random_colour(rng), contrast=80, strength=5)
    return canvas.clip(0, 255).astype(np.float32), label


def fit(seed: int, data: Pictures, epochs: int, **keys: object) -> tuple[AdaShare, nn.ModuleDict]:
    """Trains both tasks; all steps are drawn by the seed."""
    torch.manual_seed(seed)
    levels = dict.fromkeys(TASKS, ("c4",))
    backbone = TorchvisionBackbone(name="resnet18", norm="group")
    sharing = AdaShare(backbone=backbone, neck=nn.Identity(), levels=levels, seed=seed, **keys)  # type: ignore[arg-type]
    heads = nn.ModuleDict({"colour": nn.Linear(256, 3), "shape": nn.Linear(256, len(CLASSES))})
    policy = [p for p in sharing.policies.parameters() if p.requires_grad]
    rest = [*sharing.backbone.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW([{"params": rest}, {"params": policy, "lr": 10 * RATE, "weight_decay": 0}], lr=RATE)
    generator = torch.Generator().manual_seed(seed)
    images, targets = data
    steps = epochs * (len(images) // BATCH)
    for number in range(steps):
        sharing.start_step(number / steps)
        chosen = torch.randint(len(images), (BATCH,), generator=generator)
        shared = sharing(images[chosen], TASKS)
        losses = [
            loss(task, heads[task](shared.tasks[task]["c4"].mean((2, 3))), targets[task][chosen]) for task in TASKS
        ]
        optimizer.zero_grad()
        torch.stack([*losses, *shared.auxiliary.values()]).sum().backward()
        optimizer.step()
    sharing.start_step(1.0)
    return sharing.eval(), heads.eval()


def loss(task: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """About 1 at the start for both."""
    if task == "colour":
        return F.mse_loss(outputs, targets) / targets.var()
    return F.cross_entropy(outputs, targets) / math.log(len(CLASSES))


@torch.no_grad()
def figure(sharing: AdaShare, heads: nn.ModuleDict, data: Pictures, task: str) -> float:
    """R2 of the colour; the share of pictures whose shape is right."""
    images, targets = data
    outputs = torch.cat(
        [heads[task](sharing(part, (task,)).tasks[task]["c4"].mean((2, 3))) for part in images.split(64)]
    )
    if task == "colour":
        return 1 - float((outputs - targets[task]).square().mean() / targets[task].var())
    return float((outputs.argmax(1) == targets[task]).float().mean())


class Colour(nn.Module):
    """The network as `colour` uses it."""

    def __init__(self, sharing: AdaShare) -> None:
        super().__init__()
        self.sharing = sharing

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.sharing(images, ("colour",)).tasks["colour"]["c4"]
        return found


def count_flops(sharing: AdaShare) -> int:
    """Of one picture."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        Colour(sharing)(torch.zeros(1, 3, SIZE, SIZE))
    return int(counter.get_total_flops())


def times(sharing: AdaShare) -> tuple[float, float]:
    """Seconds for a batch, the median of 20, in PyTorch and in onnxruntime."""
    network, images = Colour(sharing).eval(), torch.zeros(BATCH, 3, SIZE, SIZE)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "colour.onnx"
        torch.onnx.export(network, (images,), path, dynamo=True, input_names=["images"], verbose=False)
        session = open_session(path)
        inputs = {"images": images.numpy()}
        return seconds(lambda: network(images)), seconds(lambda: session.run(None, inputs))


def seconds(job: object) -> float:
    """The median of 20 calls, after two."""
    assert callable(job)
    found = []
    for _ in range(22):
        start = time.perf_counter()
        job()
        found.append(time.perf_counter() - start)
    return median(found[2:])


if __name__ == "__main__":
    main(sys.argv[1:])
