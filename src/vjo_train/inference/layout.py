"""Where the files of a prediction lie. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vjo_train.errors import ConfigError
from vjo_train.inference.sources import Source


@dataclass(frozen=True)
class Layout:
    """The files below the folder `output`."""

    output: Path

    @property
    def images(self) -> Path:
        """The list of images, categories and skipped files."""
        return self.output / "images.json"

    def results(self, task: str) -> Path:
        """All boxes, or all class scores, of a task."""
        return self.output / f"{task}.json"

    def file(self, task: str, source: Source, extension: str = ".png") -> Path:
        """What a task writes of an image into a file of its own, such as a semantic map."""
        return self.output / task / f"{source.name}{extension}"

    def picture(self, source: Source) -> Path:
        """The drawn image."""
        return self.output / "pictures" / f"{source.name}.jpg"

    def check_spares(self, sources: Sequence[Source], tasks: Sequence[str]) -> None:
        """Refuses an output folder in which a source could be overwritten.

        Raises:
            ConfigError: a file to be written is one of the sources.
        """
        own = {source.path.resolve() for source in sources}
        written = [self.images, *(self.results(task) for task in tasks)]
        for source in sources:
            written += [self.picture(source), *(self.file(task, source) for task in tasks)]
        for path in written:
            if path.resolve() in own:
                raise ConfigError(f"output: '{path}' would be overwritten, which is a source; give another folder.")
