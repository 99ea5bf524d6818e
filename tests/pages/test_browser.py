"""The pages in headless Chromium: nothing fetched, nothing complained of, all charts drawn, none wider than a phone.

A page with all these faults stands beside them, so that a harness that sees nothing does not pass.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from tests.pages.planted import furnish
from tests.tuning.planted import plant_study
from vjo_train.comparison.page import as_html
from vjo_train.comparison.reading import read_run
from vjo_train.comparison.summary import compare
from vjo_train.pages.run import write_run_page
from vjo_train.runs.finding import find_folders
from vjo_train.tuning.page import write_study_page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--allow-file-access-from-files", "--enable-logging=stderr", "--hide-scrollbars"),
)
LEAST = {"run": (8, 5), "compare": (8, 5), "study": (5, 0)}
"""Page -> charts and pictures that it has at least."""
FAULTY = """<!doctype html>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<body style="margin:0"><div style="width:600px">wide</div><figure><svg style="display:none"></svg></figure>
<img src="http://127.0.0.1:9/x.png" alt="">"""
HARNESS = """<!doctype html><body>%s<script>
addEventListener("load", () => {
  const found = {};
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, root = page.documentElement;
    const drawn = box => box.width > 50 && box.height > 20;
    const charts = [...page.querySelectorAll("figure > svg")].map(svg => svg.getBoundingClientRect());
    const pictures = [...page.images].map(image => image.naturalWidth);
    const texts = [...page.querySelectorAll("figure > svg text")];
    found[frame.id] = {
      title: page.title, width: root.scrollWidth, view: root.clientWidth,
      charts: charts.length, drawn: charts.filter(drawn).length, least: Math.min(...texts.map(
        text => text.getBoundingClientRect().height)), outside: texts.filter(text => {
          const a = text.getBoundingClientRect(), b = text.closest("svg").getBoundingClientRect();
          return a.left < b.left - 3 || a.right > b.right + 3; }).map(text => text.textContent),
      pictures: pictures.length, loaded: pictures.filter(width => width > 0).length,
      fetched: frame.contentWindow.performance.getEntriesByType("resource").map(e => e.name)
        .filter(name => !name.startsWith("data:")),
    };
  }
  document.body.textContent = "RESULT" + JSON.stringify(found) + "END";
});
</script>"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Chromium says of each page, by name; `console` holds its complaints."""
    browser = next((path for name in NAMES if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip("Chromium is not installed")
    folder = tmp_path_factory.mktemp("pages")
    figures = {"classification": 0.6, "detection": 0.4}
    for seed in (1, 2):
        for task, value in figures.items():
            furnish(folder / "sweep", f"single-{task}", seed, {task: value})
        run = furnish(folder / "sweep", "equal", seed, figures)
        furnish(folder / "sweep", "a-method-of-quite-a-long-name_" * 4, seed, figures)
    write_run_page(run, folder / "run")
    comparison = compare([read_run(run) for run in find_folders([str(folder / "sweep")])], {}, resamples=100)
    (folder / "compare.html").write_text(as_html(comparison, folder), encoding="utf-8")
    write_study_page(plant_study(folder / "study"))
    (folder / "faulty.html").write_text(FAULTY)
    frames = [("run", "run/report.html", 375), ("run-wide", "run/report.html", 1280), ("compare", "compare.html", 375),
              ("compare-wide", "compare.html", 1280), ("study", "study/report.html", 375),
              ("study-wide", "study/report.html", 1280), ("faulty", "faulty.html", 375)]  # fmt: skip
    shown = [
        f'<iframe id="{n}" src="{path}" style="width:{w}px;height:900px;border:0"></iframe>' for n, path, w in frames
    ]
    (folder / "harness.html").write_text(HARNESS % "".join(shown))
    command = [browser, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", f"file://{folder}/harness.html"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    match = re.search(r"RESULT(.*)END", done.stdout)
    assert match, done.stdout[-2000:] + done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return {**json.loads(html.unescape(match[1])), "console": console}


def test_the_harness_sees_faults(seen: dict[str, Any]) -> None:
    faulty = seen["faulty"]
    assert faulty["width"] > faulty["view"]
    assert (faulty["charts"], faulty["drawn"]) == (1, 0)
    assert (faulty["pictures"], faulty["loaded"]) == (1, 0)
    assert any("faulty.html" in line for line in seen["console"])


@pytest.mark.parametrize(
    ("name", "charts", "pictures"),
    [(page + width, *least) for page, least in LEAST.items() for width in ("", "-wide")],
)
def test_a_page_is_whole_and_fits(seen: dict[str, Any], name: str, charts: int, pictures: int) -> None:
    page = seen[name]
    assert page["width"] <= page["view"], "no sideways scrolling"
    assert page["drawn"] == page["charts"] >= charts
    assert page["loaded"] == page["pictures"] >= pictures
    assert page["least"] >= 9, "the smallest letters, in pixels"
    assert page["outside"] == []
    assert page["fetched"] == []
    assert page["title"] != "broken"
    file = "compare.html" if name.startswith("compare") else "report.html"
    assert [line for line in seen["console"] if file in line] == []
