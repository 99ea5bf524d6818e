"""The contract of a task head."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from torch import Tensor, nn

from vjo_train.drawing.sheet import Sheet
from vjo_train.errors import ConfigError
from vjo_train.heads.class_rows import ClassRows
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.task_files import TaskFiles
from vjo_train.runs.records import Records
from vjo_train.types import Batch, Features, Frames, Target


class TaskMetrics(nn.Module):
    """Collects predictions and ground truth of one task; reduces over ranks when computed.

    The constructor imports what it measures with: torchmetrics takes more than a second, and predictions do without.
    """

    per_class: ClassVar[dict[str, str]] = {}
    """Metrics with one value per class -> the scalar they are averaged into, such as `{"ap_voc07": "map_voc07"}`."""

    later: ClassVar[frozenset[str]] = frozenset()
    """Scalars that `compute` gives from the end of the first validation on."""

    @abstractmethod
    def update(self, predictions: list[Any], targets: list[Target]) -> None:
        """Takes the decoded predictions of a batch and its targets, both in the image files' pixels."""

    @abstractmethod
    def compute(self) -> dict[str, Tensor]:
        """Scalars by name, and [C] tensors for the names in `per_class` (NaN: undefined for that class)."""

    @abstractmethod
    def reset(self) -> None:
        """Forgets everything collected so far."""

    def records(self) -> Records | None:
        """What the figures can be computed from again on a sample of the images; None where nothing is kept.

        Images number as they were given to `update`, those left out that are not labelled for the task.
        """
        return None


class Head(nn.Module):
    """One task's branch: layers, loss, decoding of predictions, metrics.

    Attributes:
        needs: the kinds of label (`data.labels`) that make an image labelled for this task.
        monitor: the metric that stands for the task when checkpoints or runs are compared; higher is better.
        reported: the metrics that the field reports of the task -> whether higher is better; empty: `monitor` alone.
        levels: the features it reads, such as `("c5",)`; set by the constructor, so that sharing computes no others.
        difficulty: how much the task asks for, from 1 (what is in the image), 2 (where), 3 (which pixels) to 4 (whose):
            a hierarchy of tasks supervises easier ones at lower stages.
        sure: the score from which on a prediction of a teacher is taken for a label (`semi`); None: never.
        space: its class names among those of the data set; None where it has all of them.
        thresholds: of each of its classes, the score from which on it is said to be there; None: 0.5, or no such thing.
    """

    needs: ClassVar[frozenset[str]]
    monitor: ClassVar[str]
    reported: ClassVar[Mapping[str, bool]] = {}
    difficulty: ClassVar[int] = 3
    sure: ClassVar[float | None] = None
    levels: tuple[str, ...]
    space: LabelSpace | None = None
    thresholds: tuple[float, ...] | None = None

    @abstractmethod
    def forward(self, features: Features) -> Any:
        """The raw outputs for a batch."""

    @abstractmethod
    def loss(self, outputs: Any, targets: list[Target]) -> Tensor:
        """[B] float32, one loss per image; 0 where the image is not labelled for the task."""

    def decode(self, outputs: Any, batch: Batch) -> list[Any]:
        """One prediction per image, in the image file's pixels."""
        return self.predictions(self.decoded(outputs, batch.frames), batch)

    def decoded(self, outputs: Any, frames: Frames) -> dict[str, Tensor]:
        """The predictions for a batch as tensors by name, whose sizes do not depend on what was found.

        It is what `vjo-export decoded=true` puts into the file, so it must be traceable. A head whose predictions have
        no such form leaves this out and writes `decode` itself.
        """
        raise NotImplementedError

    def predictions(self, decoded: Mapping[str, Tensor], batch: Batch) -> list[Any]:
        """The second part of `decode`: one prediction per image, from what `decoded` gives."""
        raise NotImplementedError

    def pieces(self, decoded: Mapping[str, Tensor], batch: Batch) -> list[Any]:
        """As `predictions`, of windows of a large picture, or of one itself: a form that takes little memory."""
        return self.predictions(decoded, batch)

    def learn_from(self, shown: Mapping[str, int]) -> None:
        """Told before training how many of the task's training images show each class; does nothing here.

        Args:
            shown: class of the data set -> images.
        """

    def learn_scale(self, figures: Mapping[str, tuple[float, float]]) -> None:
        """Told before training how the numbers of the task's training images spread; does nothing here.

        Args:
            figures: class of the data set -> mean and standard deviation of what labels say by its name; NaN of none.
        """

    @property
    def wants_pixels(self) -> bool:
        """Whether `learn_pixels` is to be told before training, for which the class maps of many images are read."""
        return False

    def learn_pixels(self, counts: Tensor) -> None:
        """Told before training how many pixels of some training images are of each class.

        Args:
            counts: [256] by the index in the data set's maps.
        """

    def choose(self, measured: TaskMetrics) -> None:
        """Told after each validation what was collected: a head that chooses its thresholds on val does it here."""

    def keep_chosen(self, thresholds: Sequence[float]) -> None:
        """Told what was chosen before the weights were saved that it now has."""

    @abstractmethod
    def metrics(self) -> TaskMetrics:
        """A fresh collector for a validation or test pass."""

    def explained(self, outputs: Any, batch: Batch) -> Tensor | None:
        """[B] with graph: how sure the head is of what it says of each image, for maps of the regions that it used.

        None where a head has no such score; it is then left out of the maps. Draws nothing at random.
        """
        return None

    def part_losses(self, outputs: Any, targets: list[Target]) -> dict[str, Tensor]:
        """The losses that the weighting sees as tasks of their own: part -> [B], as `loss`, which is their sum.

        A head whose loss is one has one part, whose name is empty.
        """
        return {"": self.loss(outputs, targets)}

    def part_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Part -> the parameters that its loss alone trains; those that several parts train are left out."""
        return {"": list(self.parameters())}

    def taught(self, outputs: Any, batch: Batch, sure: float) -> list[Target]:
        """What of the outputs is sure enough to be taken for labels, in the head's own classes and canvas pixels.

        An image of which nothing is sure is not labelled. Heads whose `sure` is None do not have this.

        Args:
            outputs: of the images, without graph.
            batch: the images; `originals` and `scales` say that they lie in canvas pixels.
            sure: least score.
        """
        raise NotImplementedError

    def agreement(self, taught: Target, truth: Target) -> tuple[int, int]:
        """How many statements of a label from `taught` are right, and how many there are whose truth is known."""
        raise NotImplementedError

    def class_rows(self) -> dict[str, ClassRows]:
        """The parameters with rows of their own for each class, by name: what `start_from` re-maps by class names."""
        return {}

    def view(self, targets: list[Target]) -> list[Target]:
        """What is known of some images, in this head's classes: what `loss` and the metrics take."""
        if self.space is None or self.space.is_whole:
            return targets
        return [self._in_own_words(target, self.space) for target in targets]

    def _in_own_words(self, target: Target, space: LabelSpace) -> Target:
        looked_for = {kind: space.looked_for(classes) for kind, classes in target.annotated.items()}
        return replace(self.in_own_classes(target, space), annotated=looked_for)

    def in_own_classes(self, target: Target, space: LabelSpace) -> Target:
        """What is known of an image in this head's classes, for a head whose labels name classes."""
        return target

    def published(self, prediction: Any) -> Any:
        """A prediction for one image in the classes of the data set: what is drawn and written."""
        if self.space is None or self.space.is_whole:
            return prediction
        return self.in_known_classes(prediction, self.space)

    def in_known_classes(self, prediction: Any, space: LabelSpace) -> Any:
        """A prediction for one image in the data set's classes, for a head whose predictions name classes."""
        return prediction

    @abstractmethod
    def draw(self, sheet: Sheet, prediction: Any, classes: Sequence[str]) -> None:
        """Puts a prediction for one image onto its drawn picture.

        Args:
            sheet: takes what is to be drawn, in pixels of the picture file.
            prediction: as `published` gives it.
            classes: the data set's class names.
        """

    @abstractmethod
    def write(self, files: TaskFiles, prediction: Any, classes: Sequence[str]) -> None:
        """Writes a prediction for one image: rows of the task's JSON file, or a file of its own.

        Args:
            files: of the task and the image.
            prediction: as `published` gives it, on the CPU.
            classes: the data set's class names.
        """

    def labelled(self, target: Target) -> bool:
        """Whether the image carries this task's annotation; `target` is in the head's own classes."""
        return self.needs <= target.labelled


def check_levels(key: str, levels: Sequence[str], channels: Mapping[str, int]) -> None:
    """Checks the levels that a head wants against those that backbone and neck offer.

    Raises:
        ConfigError: `levels` is empty, repeats a level or names one that is not in `channels`.
    """
    unknown = [level for level in levels if level not in channels]
    if unknown or not levels or len(set(levels)) < len(levels):
        found = ", ".join(levels) if levels else "none"
        raise ConfigError(f"{key}: found {found}; allowed are different levels of {', '.join(sorted(channels))}")
