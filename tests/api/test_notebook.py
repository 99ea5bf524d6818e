"""docs/notebook.ipynb, cell by cell, and the example of docs/python.md."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import vjo_train

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DOCS / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def executed(cells: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[Any]]:
    """The names that the notebook leaves, and the value of each cell's last line."""
    names: dict[str, Any] = {"__name__": "__main__"}
    values = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("notebook"))
        for number, cell in enumerate(cells):
            tree = ast.parse("".join(cell["source"]))
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, f"cell {number}", "exec"), names)
            shown = None if last is None else ast.Expression(last.value)
            values.append(None if shown is None else eval(compile(shown, f"cell {number}", "eval"), names))
        names["run"].folder = names["run"].folder.absolute()
    return names, values


@pytest.mark.slow
def test_the_notebook_runs(executed: tuple[dict[str, Any], list[Any]]) -> None:
    names, values = executed
    assert isinstance(names["run"], vjo_train.Run)
    assert isinstance(names["prediction"], vjo_train.Prediction)
    assert len(names["objects"]) > 0
    (drawn,) = [value for value in values if isinstance(value, Image.Image)]
    assert drawn.width == 160


def test_the_notebook_is_kept_without_what_it_printed(cells: list[dict[str, Any]]) -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    assert all(len(line.rstrip("\n")) <= 120 for cell in cells for line in cell["source"])


@pytest.mark.slow
def test_three_lines_predict_from_a_finished_run(
    executed: tuple[dict[str, Any], list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first example of docs/python.md, in a folder where there are such a run and such a picture."""
    lines = re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text(encoding="utf-8"), flags=re.DOTALL)[0]
    assert sum(bool(line) for line in lines.splitlines()) == 3
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "run").symlink_to(executed[0]["run"].folder)
    Image.new("RGB", (60, 40), "red").save("photo.jpg")
    exec(lines, {})
    with Image.open("drawn.png") as drawn:
        assert drawn.width == 60


def test_the_page_names_all_that_is_stable() -> None:
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    assert all(f"`{name}" in page for name in vjo_train.__all__ if not name.startswith("__"))
