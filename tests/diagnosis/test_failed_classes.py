"""Classes that a mean hides."""

from __future__ import annotations

import math
import re

import pytest

from vjo_train.diagnosis.failed_classes import failed_classes


@pytest.mark.parametrize(
    ("facts", "passes", "said"),
    [
        ({"objects": 0}, 50, r"nucleus \(0\.001\), of 2 classes\. No training image shows them: .*dataset\.classes"),
        ({"objects": 900, "side": 5.9}, 50, r"\(0\.001, median side 5\.9 px\), .*pixels wide .*dataset\.size"),
        ({"objects": 7, "side": 40}, 50, r"\(0\.001, 7 objects\), .*few to learn from.*dataset\.repeat_threshold"),
        ({"objects": 900, "side": 40}, 2, r"saw each image 2\.0 times: try more trainer\.max_epochs"),
        ({"objects": 900, "side": 40}, 50, r"show no reason"),
        ({}, math.nan, r"show no reason"),
    ],
)
def test_the_likeliest_reason_is_named_with_its_key(facts: dict[str, float], passes: float, said: str) -> None:
    values = {"nucleus": 0.001, "cell": 0.8, "absent": math.nan}
    (line,) = failed_classes("semantic", "iou", values, {"nucleus": facts}, passes)
    assert line.startswith("semantic: iou is nearly zero for nucleus")
    assert re.search(said, line), line


def test_classes_of_one_reason_share_a_line_and_many_are_counted() -> None:
    values = {f"c{k}": 0.0 for k in range(9)}
    (line,) = failed_classes("detection", "ap", values, {name: {"objects": 0.0} for name in values}, 1)
    assert "c4 (0.000) and 4 more, of 9 classes" in line
    assert failed_classes("detection", "ap", {"a": 0.5}, {}, 1) == []
