"""Where the files of a prediction on videos lie. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vjo_train.errors import ConfigError
from vjo_train.inference.video.sources import VideoSource


@dataclass(frozen=True)
class VideoLayout:
    """The files below the folder `output`."""

    output: Path

    @property
    def videos(self) -> Path:
        """The list of videos, categories and skipped videos."""
        return self.output / "videos.json"

    def frames(self, source: VideoSource) -> Path:
        """What was found, a line for each frame."""
        return self.output / f"{source.name}.jsonl"

    def drawn(self, source: VideoSource) -> Path:
        """The drawn video."""
        return self.output / f"{source.name}.mp4"

    def tracks(self, source: VideoSource, task: str) -> Path:
        """The objects of a task with their identities."""
        return self.output / f"{source.name}.{task}.txt"

    def map(self, task: str, source: VideoSource, frame: int, extension: str) -> Path:
        """What a task writes of a frame into a file of its own, such as a semantic map."""
        return self.output / task / source.name / f"{frame:06d}{extension}"

    def check_spares(self, sources: Sequence[VideoSource], tasks: Sequence[str]) -> None:
        """Refuses an output folder in which a source could be overwritten.

        Raises:
            ConfigError: a file to be written is one of the sources.
        """
        own = {Path(source.address).resolve() for source in sources if source.kind == "file"}
        for source in sources:
            for path in (self.drawn(source), self.frames(source), *(self.tracks(source, task) for task in tasks)):
                if path.resolve() in own:
                    raise ConfigError(f"output: '{path}' would be overwritten, which is a source; give another folder.")
