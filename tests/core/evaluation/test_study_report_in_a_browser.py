"""The report of an evaluation in a real browser: on a screen, on a telephone, on paper, and for those who see fewer colours."""

import html
import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_study import LATENCY, made_study

from surgical_ml.evaluation.report_drawing import PHASE_COLOURS
from surgical_ml.evaluation.study_report import write_study_report

CHROMIUM = shutil.which("chromium")
LONGEST_S = 120
"""Pages take a second or two each on a machine that is idle."""

pytestmark = [
    pytest.mark.apt,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium; the package of that name in apt.txt brings it"),
]

AROUND = """<!DOCTYPE html>
<iframe width="{width}" height="4000" style="border: 0" srcdoc="{page}"></iframe>
<pre id="measured"></pre>
<script>
onload = () => {{
  const page = document.querySelector("iframe").contentDocument;
  page.querySelectorAll("details").forEach((one) => one.open = true);
  const wide = page.documentElement.clientWidth;
  const out = [...page.body.querySelectorAll("*")].filter(
    (one) => !one.parentElement.closest(".scroll, .drawing") && one.getBoundingClientRect().right > wide + 1
  );
  const told = [wide, page.documentElement.scrollWidth, out.map((one) => one.tagName + " " + one.className)];
  document.querySelector("#measured").textContent = JSON.stringify(told);
}};
</script>
"""
"""A page that looks at the report from outside: the report itself forbids every script. A window cannot be as narrow as a
telephone, a frame can."""


def browse(folder: Path, page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [
            *(
                str(CHROMIUM),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--enable-logging=stderr",
            ),
            *(f"--user-data-dir={folder / 'profile'}", *options, page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    study = made_study(mode="realtime", latency=LATENCY, throughput=None)
    return write_study_report(study, tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def seen(report):
    """A screenshot at 1280 px, and what the browser had to say."""
    picture = report.parent / "seen.png"
    done = browse(report.parent, report, f"--screenshot={picture}", "--window-size=1280,1700")
    return cv2.imread(str(picture)), done.stderr


def test_the_browser_has_nothing_to_complain_about(seen):
    said = [line for line in seen[1].splitlines() if "CONSOLE" in line or "Content Security Policy" in line]
    assert said == []


def test_the_page_is_drawn_and_every_phase_is_on_it_in_its_colour(seen):
    picture = seen[0]
    assert picture.shape == (1700, 1280, 3)
    assert (picture != 255).any(axis=2).mean() > 0.05
    # The ribbons lie below the head, between the names of the cases and their accuracies.
    ribbons = picture[850:1450, 320:1020]
    for colour in PHASE_COLOURS:
        wanted = np.array([int(colour[k : k + 2], 16) for k in (5, 3, 1)])
        near = (np.abs(ribbons.astype(int) - wanted).max(axis=2) <= 2).sum()
        assert near > 1500, colour


def deficient(picture, matrix):
    """As somebody sees it who lacks a kind of cone (Machado, Oliveira and Fernandes 2009, severity 1), from linear light."""
    share = picture[..., ::-1] / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    changed = np.clip(linear @ np.array(matrix).T, 0, 1)
    return np.where(changed <= 0.0031308, changed * 12.92, 1.055 * changed ** (1 / 2.4) - 0.055)


CONES = {
    "protanopia": [(0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)],
    "deuteranopia": [(0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)],
    "tritanopia": [(1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)],
}


@pytest.mark.parametrize("cone", CONES)
def test_neighbouring_phases_stay_apart_for_those_who_see_fewer_colours(cone):
    colours = np.array([[[int(c[k : k + 2], 16) for k in (5, 3, 1)] for c in PHASE_COLOURS]], np.uint8)
    seen_as = (255 * deficient(colours, CONES[cone])).astype(np.uint8)[..., ::-1]
    lab = cv2.cvtColor(seen_as.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)[0]
    for first, second in pairwise(lab):
        assert np.linalg.norm(first - second) > 10


@pytest.mark.parametrize("width", [1280, 420])
def test_nothing_reaches_beyond_the_edge_and_what_is_wider_can_be_scrolled(report, width):
    around = report.with_name(f"around-{width}.html")
    around.write_text(AROUND.format(width=width, page=html.escape(report.read_text("utf-8"))), "utf-8")
    said = browse(report.parent, around, "--window-size=1400,4000", "--dump-dom").stdout
    told = re.search(r'<pre id="measured">(.+?)</pre>', said)
    assert json.loads(html.unescape(told[1])) == [width, width, []]


def test_on_paper_nothing_is_folded_away(report):
    paper = report.with_name("paper.pdf")
    browse(report.parent, report, "--no-pdf-header-footer", f"--print-to-pdf={paper}")
    pages = len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))
    assert 8 <= pages <= 20
    if shutil.which("pdftotext") is None:
        pytest.skip("needs pdftotext of poppler-utils to read the pages")
    told = subprocess.run(["pdftotext", "-layout", str(paper), "-"], capture_output=True, text=True, check=True).stdout
    assert told.count("case00008") >= 2  # folded on the screen: in a drawing and in the table of all cases
    assert "announced with certainty medium or more" in told
