"""What a sentence can advise: choices of the config, but for those that the run has made already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BALANCED = "weighting=balanced"
ALIGNED = "weighting=aligned"
FIXED = "weighting=fixed"
ADAPTERS = "sharing=adapters"
CLIP = "trainer.gradient_clip_val"
EPOCHS = "trainer.max_epochs"
DECAY = "optimizer.weight_decay"
AUGMENT = "dataset.augment"


def choices(config: Mapping[str, Any]) -> frozenset[str]:
    """The choices of a run's config that a sentence could advise, such as `weighting=balanced`.

    A part is known by the module of its `_target_`, which is named like its config; one that is not there says nothing.
    """
    found = set()
    for group in ("weighting", "sharing"):
        target = str((config.get(group) or {}).get("_target_", ""))
        found.add(f"{group}={target.rpartition('.')[0].rpartition('.')[2]}")
    return frozenset(found)


def advice(levers: tuple[str, ...], used: frozenset[str]) -> str:
    """`try a or b`, without those in use; empty where all are."""
    left = [lever for lever in levers if lever not in used]
    return f"try {' or '.join(left)}" if left else ""
