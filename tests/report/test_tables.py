import io
import math

import pytest
from rich.console import Console
from torch import nn

from vjo_train.report.tables import count_text, metrics_table, model_parts, model_summary, per_class_table


def rendered(renderable, width=80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    text = console.file.getvalue()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    return text


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(10, 10)
        self.neck = nn.Linear(10, 2, bias=False)
        self.units = nn.Parameter(nn.Linear(3, 1).weight)


def test_parts_count_every_parameter_once():
    net = Net()
    net.backbone.weight.requires_grad_(False)
    head = nn.Linear(2, 4)
    tied = nn.Sequential(nn.Linear(2, 5), head)
    parts = {p.name: (p.parameters, p.trainable) for p in model_parts(net, {"a": head, "b": tied})}
    assert parts == {"backbone": (110, 10), "neck": (20, 20), "sharing": (3, 3), "a": (12, 12), "b": (15, 15)}


def test_summary_shows_the_sum():
    text = rendered(model_summary(Net(), {"detection": nn.Linear(10, 100)}))
    assert "detection" in text
    assert "1.10 k" in text
    assert "1.23 k" in text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1000, "1.00 k"), (11_180_000, "11.18 M"), (2_500_000_000, "2.50 G")]
)
def test_counts(number, text):
    assert count_text(number) == text


def test_results_show_every_metric_by_stage():
    metrics = {
        "val/classification/map": 0.81234,
        "test/classification/map": 0.79,
        "test/detection/map_area": math.nan,
        "train/detection/loss": 7.77,
        "val/monitor": 0.6666,
    }
    text = rendered(metrics_table(metrics, ["test/classification/map"]))
    row = next(line for line in text.splitlines() if "classification" in line)
    assert row.index("0.8123") < row.index("0.7900")
    assert "map_area" in text
    assert "7.77" not in text
    assert "0.6666" not in text


def test_per_class_table_fits_and_has_the_mean_of_what_is_defined():
    classes = [f"class{k}" for k in range(20)]
    names = [f"test/{task}/ap{k}_voc07" for task in ("classification", "detection", "semantic") for k in range(3)]
    per_class = {name: dict.fromkeys(classes, 0.125) for name in names}
    per_class[names[0]]["class0"] = math.nan
    for width in (60, 80, 200):
        text = rendered(per_class_table(per_class, width=width), width)
        assert "class19" in text
        assert "ap2_voc07" in text
        assert text.count("Per class") == (1 if width == 200 else 3)
    mean = next(line for line in rendered(per_class_table(per_class)).splitlines() if "mean" in line)
    assert "0.125" in mean
    assert " - " in rendered(per_class_table(per_class))
