"""The page in a real browser: it draws, turns, plays, and its numbers are right."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemend.body.catalogue import COCO_17, H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose3D
from posemend.viewer import Layer, Scene, write_html
from posemend.viewer.scene import joint_errors
from tests.viewer.clips import FPS, hidden_flags, scene, walk

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-angle=swiftshader --enable-unsafe-swiftshader"
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Draws a frame and reads the 3D canvas in the same turn: pixels drawn, their colours, where left and right are.
PIXELS = """(frame) => {
  posemend.setFrame(frame);
  const canvas = document.querySelector('#view');
  const copy = document.createElement('canvas');
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const pen = copy.getContext('2d');
  pen.drawImage(canvas, 0, 0);
  const data = pen.getImageData(0, 0, copy.width, copy.height).data;
  const found = {drawn: 0, sum: 0, colours: new Set(), blue: [0, 0, 0], orange: [0, 0, 0]};
  for (let i = 0; i < data.length; i += 4) {
    if (!data[i + 3]) continue;
    const [r, g, b] = [data[i], data[i + 1], data[i + 2]];
    found.drawn += 1;
    found.sum += (r + 3 * g + 7 * b) * (i % 9973);
    if (found.colours.size < 1000) found.colours.add((r << 16) | (g << 8) | b);
    const side = b > r + 60 ? found.blue : r > b + 60 ? found.orange : null;
    if (!side) continue;
    side[0] += 1;
    side[1] += (i / 4) % copy.width;
    side[2] += Math.floor(i / 4 / copy.width);
  }
  const centre = ([n, x, y]) => ({n, x: x / n, y: y / n});
  return {drawn: found.drawn, sum: found.sum, colours: found.colours.size,
          blue: centre(found.blue), orange: centre(found.orange)};
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    found = os.environ.get("POSEMEND_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("needs Chromium (apt install chromium, or set POSEMEND_CHROMIUM)")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=found, args=FLAGS.split())
        yield chromium
        chromium.close()


class Opened:
    """A page, and what it complained of or asked the network for."""

    def __init__(self, browser: Any, path: Path, width: int = 900, height: int = 620) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": height})
        self.page.set_default_timeout(20_000)
        self.trouble: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda said: said.type == "error" and self.trouble.append(said.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.address = path.as_uri()
        self.page.goto(self.address)
        self.wait_for("() => Boolean(window.posemend && posemend.ready)")

    def run(self, script: str, argument: Any = None) -> Any:
        return self.page.evaluate(script, argument)

    def wait_for(self, script: str, seconds: float = 20) -> None:
        # Not wait_for_function: it evaluates text in the page, which the page's own policy forbids.
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def shown() -> Scene:
    return scene(title="walk <i>& turn</i>")


@pytest.fixture(scope="module")
def opened(browser: Any, shown: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    path = write_html(tmp_path_factory.mktemp("view") / "view.html", [shown, scene(20, 1, "second")])
    page = Opened(browser, path)
    yield page
    page.page.close()


@pytest.fixture(autouse=True)
def first_person(request: pytest.FixtureRequest) -> None:
    if "opened" in request.fixturenames:
        request.getfixturevalue("opened").run(
            "() => { posemend.pause(); if (posemend.numbers().person) posemend.setPerson(0); }"
        )


def truth_errors(shown: Scene, number: int) -> np.ndarray:
    """(T, J) mm, worked out here once more."""
    pose, truth = shown.layers[number].pose.positions, shown.layers[2].pose.positions
    return 1000 * np.linalg.norm((pose - pose[:, :1]) - (truth - truth[:, :1]), axis=-1)


def test_draws(opened: Opened) -> None:
    first, later = opened.run(PIXELS, 0), opened.run(PIXELS, 6)
    assert first["drawn"] > 5000
    assert first["colours"] > 100
    assert later["sum"] != first["sum"]
    assert opened.page.title() == opened.page.inner_text("h1") == "walk <i>& turn</i>"


def test_turns_with_the_mouse(opened: Opened) -> None:
    before = opened.run(PIXELS, 0)
    box = opened.page.locator("#view").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    opened.page.mouse.move(x, y)
    opened.page.mouse.down()
    opened.page.mouse.move(x + 120, y, steps=3)
    opened.page.mouse.up()
    turned = opened.run(PIXELS, 0)
    assert turned["sum"] != before["sum"]
    opened.page.mouse.wheel(0, -600)
    opened.wait_for(f"() => ({PIXELS})(0).drawn !== {turned['drawn']}")


@pytest.mark.parametrize("frame", [0, 7, 30, 49])
def test_numbers_of_a_frame_are_numpys(opened: Opened, shown: Scene, frame: int) -> None:
    opened.run("(frame) => posemend.setFrame(frame)", frame)
    said = opened.run("() => posemend.numbers()")
    assert said["frame"] == opened.run("() => posemend.frame") == frame
    assert said["seconds"] == pytest.approx(frame / FPS)
    visible = hidden_flags(50)[frame]
    for number in (0, 1):
        errors = truth_errors(shown, number)[frame]
        layer = said["layers"][number]
        assert layer["error_mm"]["all"] == pytest.approx(errors[1:].mean(), abs=0.1)
        assert layer["error_mm"]["visible"] == pytest.approx(errors[1:][visible[1:]].mean(), abs=0.1)
        if visible.all():
            assert layer["error_mm"]["hidden"] is None
        else:
            assert layer["error_mm"]["hidden"] == pytest.approx(errors[~visible].mean(), abs=0.1)
        assert [joint["error_mm"] for joint in layer["joints"]] == pytest.approx(errors, abs=0.1)
        wanted = 1000 * shown.layers[number].pose.root_relative().positions[frame]
        np.testing.assert_allclose([joint["position_mm"] for joint in layer["joints"]], wanted, atol=0.05)
        sigma = 1000 * shown.layers[number].pose.sigma[frame]
        np.testing.assert_allclose([joint["sigma_mm"] for joint in layer["joints"]], sigma, atol=1.1)  # steps of 2 mm
        region = 1000 * shown.layers[number].pose.radius(0.9)[frame]
        np.testing.assert_allclose([joint["region_mm"] for joint in layer["joints"]], region, atol=2.1)
        from_where = ["measured" if seen else "inferred" for seen in visible]
        assert [joint["provenance"] for joint in layer["joints"]] == from_where
    assert all(joint["sigma_mm"] is joint["provenance"] is None for joint in said["layers"][2]["joints"])
    text = opened.page.inner_text("#charts [data-part=all] output[data-layer=refined]")
    assert text == f"{said['layers'][1]['error_mm']['all']:.1f} mm"


def test_means_of_the_clip_are_numpys(opened: Opened, shown: Scene) -> None:
    visible = hidden_flags(50)[:, 1:]
    rows = opened.page.locator("#means tbody tr")
    for number, label in enumerate(("raw", "refined")):
        errors = truth_errors(shown, number)[:, 1:]
        wanted = [errors[visible].mean(), errors[~visible].mean(), errors.mean()]
        cells = rows.nth(number).inner_text().split()
        assert cells[0] == label
        assert [float(cell) for cell in cells[1:]] == pytest.approx(wanted, abs=0.1)


def test_table_of_joints(opened: Opened, shown: Scene) -> None:
    opened.run("() => posemend.setFrame(30)")
    row = opened.page.locator("#joints tbody tr").nth(H36M_17.index("r_wrist"))
    name, x, y, z, seen, origin, sigma, error = row.inner_text().split()
    wanted = 1000 * shown.layers[1].pose.root_relative().positions[30, H36M_17.index("r_wrist")]
    assert (name, seen, origin, sigma) == ("r_wrist", "hidden", "inferred", "40")
    assert [float(x), float(y), float(z)] == pytest.approx(wanted, abs=0.6)
    assert float(error) == pytest.approx(truth_errors(shown, 1)[30, H36M_17.index("r_wrist")], abs=0.1)


def test_plays_and_pauses(opened: Opened) -> None:
    opened.run("() => posemend.setFrame(0)")
    opened.page.keyboard.press("Space")
    opened.wait_for("() => posemend.frame > 3")
    opened.page.keyboard.press("Space")
    stopped = opened.run("() => posemend.frame")
    opened.page.wait_for_timeout(200)
    assert opened.run("() => [posemend.frame, posemend.playing]") == [stopped, False]


def test_keys_and_scrubber(opened: Opened) -> None:
    opened.run("() => posemend.setFrame(10)")
    for key, frame in (("ArrowRight", 11), ("Shift+ArrowRight", 21), ("ArrowLeft", 20), ("End", 49), ("Home", 0)):
        opened.page.keyboard.press(key)
        assert opened.run("() => posemend.frame") == frame
    opened.page.locator("#scrubber").fill("33")
    assert opened.run("() => posemend.frame") == 33
    box = opened.page.locator("#plots").bounding_box()
    opened.page.mouse.click(box["x"] + box["width"] - 9, box["y"] + box["height"] - 20)
    assert opened.run("() => posemend.frame") == 49


def test_person_can_be_chosen(opened: Opened) -> None:
    opened.run("() => posemend.setFrame(49)")  # a frame that the second clip does not have
    opened.page.select_option("#person", "second")
    said = opened.run("() => posemend.numbers()")
    assert (said["person"], said["frames"]) == (1, 20)
    assert opened.page.inner_text("h1") == "second"


def test_overlay_and_ghost_change_the_picture(opened: Opened) -> None:
    beside = opened.run(PIXELS, 5)
    opened.page.click("[data-mode=overlay]")
    overlay = opened.run(PIXELS, 5)
    opened.page.click("#truth")
    without = opened.run(PIXELS, 5)
    assert len({beside["sum"], overlay["sum"], without["sum"]}) == 3
    assert without["drawn"] < overlay["drawn"]
    opened.page.click("#truth")
    opened.page.click("[data-mode=beside]")


def test_expected_errors_are_drawn_on_request(opened: Opened) -> None:
    plain = opened.run(PIXELS, 30)
    opened.page.click("#doubt")
    haloed = opened.run(PIXELS, 30)
    assert haloed["drawn"] > 1.02 * plain["drawn"]
    opened.page.keyboard.press("e")
    assert opened.run(PIXELS, 30)["sum"] == plain["sum"]


def test_hidden_joints_are_drawn_differently(browser: Any, tmp_path: Path) -> None:
    still = np.repeat(walk(1), 2, 0)  # the same pose twice; only the flags differ
    visible = np.ones((2, 17), bool)
    visible[1, 14:] = False
    page = Opened(browser, write_html(
        tmp_path / "flags.html", Scene([Layer(Pose3D(still, H36M_17, visible=visible), "raw", "raw")])
    ))  # fmt: skip
    seen, hidden = page.run(PIXELS, 0), page.run(PIXELS, 1)
    assert hidden["orange"]["n"] < 0.9 * seen["orange"]["n"]  # dashes and rings have gaps
    assert hidden["blue"]["n"] == seen["blue"]["n"]
    assert page.run("() => posemend.numbers().hidden") == ["r_shoulder", "r_elbow", "r_wrist"]
    assert page.page.locator("#joints tr.hidden-joint").count() == 3
    assert "3 of 17" in page.page.inner_text("#strip")
    assert not page.page.locator("#means").is_visible()
    page.page.close()


@pytest.mark.parametrize("frame", ["root", "world"])
def test_person_stands_upright_and_is_not_mirrored(browser: Any, tmp_path: Path, frame: str) -> None:
    score = np.ones((1, 17))
    score[:, [H36M_17.index(f"r_{name}") for name in ("hip", "knee", "ankle")]] = 0
    score[:, [H36M_17.index(f"l_{name}") for name in ("shoulder", "elbow", "wrist")]] = 0
    positions = walk(1)
    if frame == "world":  # x right, y away from the camera, z up
        positions = np.stack([positions[..., 0], positions[..., 2], -positions[..., 1]], -1)
    page = Opened(browser, write_html(
        tmp_path / "up.html", Scene([Layer(Pose3D(positions, H36M_17, score=score, frame=frame), "raw", "raw")])
    ))  # fmt: skip
    page.page.select_option("#angle", "camera")
    seen = page.run(PIXELS, 0)
    assert min(seen["blue"]["n"], seen["orange"]["n"]) > 200
    assert seen["orange"]["y"] < seen["blue"]["y"] - 50  # the right arm is above the left leg
    assert seen["orange"]["x"] < seen["blue"]["x"] - 20  # facing us, the person's right is on our left
    page.page.close()


def test_errors_between_skeletons_are_numpys(browser: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    score = np.ones((6, 17))
    score[2, H36M_17.index("l_hip")] = 0  # no hip, no origin to measure from in this frame
    score[4, H36M_17.index("r_knee")] = 0
    truth = Layer(Pose3D(walk(6) + rng.normal(0, 0.05, (6, 17, 3)), H36M_17, score=score), "truth", "truth")
    raw = Layer(to_skeleton(Pose3D(walk(6), H36M_17), COCO_17), "coco", "raw")
    page = Opened(browser, write_html(tmp_path / "names.html", Scene([raw, truth])))
    wanted = joint_errors(raw, truth)
    assert np.isnan(wanted[2]).all() and np.isfinite(wanted[4]).sum() == 12
    for frame in range(6):
        said = page.run("(k) => (posemend.setFrame(k), posemend.numbers().layers[0])", frame)
        errors = [np.nan if joint["error_mm"] is None else joint["error_mm"] for joint in said["joints"]]
        assert errors == pytest.approx(wanted[frame], abs=0.1, nan_ok=True)
    page.page.close()


def test_phone_width(browser: Any, shown: Scene, tmp_path: Path) -> None:
    page = Opened(browser, write_html(tmp_path / "phone.html", shown), 390, 844)
    assert page.run("() => document.documentElement.scrollWidth") <= 390
    assert page.run(PIXELS, 0)["drawn"] > 2000
    assert page.trouble == []
    page.page.close()


def test_no_errors_and_no_network(opened: Opened) -> None:
    assert opened.trouble == []
    assert opened.requests == [opened.address]


def test_points_of_depth(browser: Any, tmp_path: Path) -> None:
    """They are drawn, turn with the pose, thin out, go away; and the pose before stands where it says."""
    from posemend.viewer import cloud
    from tests.viewer.test_points import standing, wall

    layers = [Layer(standing(12, 0.4), "before", "raw"), Layer(standing(12), "refined", "refined")]
    path = write_html(tmp_path / "depth.html", Scene(layers, None, "", cloud(wall(12), standing(12))))
    page = Opened(browser, path)
    try:
        assert page.run("() => !document.querySelector('#depth').hidden")
        with_points = page.run(PIXELS, 3)
        assert page.run("() => posemend.numbers().points") == 2500
        page.run(
            "() => { const s = document.querySelector('#share'); s.value = 10; s.dispatchEvent(new Event('input')) }"
        )
        thin = page.run(PIXELS, 3)
        assert page.run("() => posemend.numbers().points") == 250
        page.page.keyboard.press("d")
        without = page.run(PIXELS, 3)
        assert page.run("() => posemend.numbers().points") == 0
        assert with_points["drawn"] > thin["drawn"] > without["drawn"]
        # among points the first pose stands 40 cm aside; without them both are drawn round their own pelvis
        assert abs(thin["blue"]["x"] - without["blue"]["x"]) > 3
        page.page.keyboard.press("d")
        page.run(
            "() => { const s = document.querySelector('#angle'); s.value = 'side'; "
            "s.dispatchEvent(new Event('change')) }"
        )
        assert page.run(PIXELS, 3)["sum"] != thin["sum"]
        assert page.trouble == []
    finally:
        page.page.close()
