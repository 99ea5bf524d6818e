"""The errors that a user can mend. Each message names the key or file, what was found, what is allowed."""

from __future__ import annotations

from collections.abc import Sequence


class VjoError(Exception):
    """Base of the errors shown in a line or two, without a traceback, with exit status 2."""


class ConfigError(VjoError):
    """A mistake in the configuration."""


class DataError(VjoError):
    """A mistake in the data set: a missing folder, a broken file, a wrong annotation."""


class CheckpointError(VjoError):
    """A checkpoint that is missing, damaged, or of another network."""


class ExportError(VjoError):
    """A network that cannot be exported, or whose export gives other figures than itself."""


class NumericsError(VjoError):
    """A loss, gradient or weight that is not finite."""


class ResourceError(VjoError):
    """Memory that ran out, a full disk, or a process of the run that died."""


def not_finite(what: str, step: int, ids: Sequence[str]) -> NumericsError:
    """The error for `what` (such as "the loss of detection") at a batch of training with the images `ids`."""
    images = f" (images {', '.join(ids)})" if ids else ""
    return NumericsError(
        f"{what[0].upper()}{what[1:]} is not finite at batch {step}{images}."
        " Lower optimizer.lr, raise lr_schedule.warmup, or set trainer.gradient_clip_val."
    )
