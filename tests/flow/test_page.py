"""The page in a real browser: sweeps, the frontier as it grows, a point, markup that stays text."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparsweep.search.sweep_folder import SweepFolder
from sparsweep.spaces.sweep_file import SweepFile, Task
from tests.chromium import NAMES
from tests.search.points import make_point
from tests.search.records import commit, make_record
from tests.search.test_frontier_index import sweep_of
from tests.search.test_ui_api import HERE, Site, kept, served, site  # noqa: F401

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

MISSING = "the server responded with a status of 404"
"""Chromium says so of whatever is asked for in vain; that the page says it too is tested."""
EVIL = "<img src=x onerror=document.title='owned'>"


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """The Chromium that is installed; skips where there is none."""
    from playwright.sync_api import sync_playwright

    if (found := next(filter(None, map(shutil.which, NAMES)), None)) is None:
        pytest.skip(f"no browser is installed (looked for {', '.join(NAMES)})")
    with sync_playwright() as driver:
        options = ["--no-sandbox", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"]
        browser = driver.chromium.launch(executable_path=found, args=options)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: "Browser", site: Site) -> "Iterator[Page]":  # noqa: F811
    """A page whose scripts must raise nothing and ask nobody else."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=f"http://127.0.0.1:{site.port}")
    page, faults, asked = context.new_page(), [], []
    page.set_default_timeout(60_000)
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    page.on(
        "console", lambda said: faults.append(said.text) if said.type == "error" and MISSING not in said.text else None
    )
    page.on("request", lambda request: asked.append(request.url))
    yield page
    context.close()
    assert faults == []
    assert [url for url in asked if not url.startswith((f"http://127.0.0.1:{site.port}/", "data:", "blob:"))] == []


def test_sweeps_are_shown_and_lead_to_their_frontier(page: "Page") -> None:
    page.goto("/")
    page.get_by_role("link", name="digits", exact=True).click()
    page.get_by_role("heading", name="digits", exact=True).wait_for()
    assert page.get_by_text("diverged: the loss is nan").is_visible()
    page.get_by_role("link", name="Frontier", exact=True).click()
    page.get_by_role("heading", name="Frontier of digits").wait_for()
    assert page.url.endswith("/sweeps/digits/frontier")
    page.go_back()
    page.get_by_role("heading", name="digits", exact=True).wait_for()


def test_the_frontier_grows_without_a_reload(page: "Page", site: Site) -> None:  # noqa: F811
    page.goto("/sweeps/digits/frontier")
    rows = page.locator("table", has_text="the frontier of digits").locator("tbody tr")
    rows.nth(1).wait_for()
    assert rows.count() == 2
    page.evaluate("window.same = true")
    site.end(make_record(3, kept(3, "00", 0.95, 0.95), ended_s=5.0))
    page.get_by_text("1 of 4 points on the frontier").wait_for()
    assert rows.count() == 1
    assert "95.00 %" in rows.first.inner_text()
    assert page.evaluate("window.same") is True


def test_a_brush_filters_stays_in_the_address_and_is_let_go_of(page: "Page") -> None:
    page.goto("/sweeps/digits/frontier")
    axis = page.locator(".parcoords .axis-brush .background").first
    axis.scroll_into_view_if_needed()
    box = axis.bounding_box()
    assert box is not None
    across = box["x"] + box["width"] / 2
    page.mouse.move(across, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(across, box["y"] + box["height"] + 5, steps=5)
    page.mouse.up()
    page.get_by_text("1 of 3 points pass the filter").wait_for()
    page.wait_for_url("**keep=accuracy**")
    page.reload()
    page.get_by_text("1 of 3 points pass the filter").wait_for()
    page.get_by_role("button", name="Let go of the filter").click()
    page.get_by_text(re.compile("^2 of 3 points on the frontier")).wait_for()
    assert "keep=" not in page.url


def test_what_was_stale_is_not_any_more_once_the_server_answers_again(browser: "Browser", site: Site) -> None:  # noqa: F811
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{site.port}/sweeps/digits")
    page.get_by_role("heading", name="digits", exact=True).wait_for()
    page.route("**/api/sweeps/digits", lambda route: route.abort())
    page.get_by_text("stale: the server of this page does not answer").wait_for()
    page.unroute("**/api/sweeps/digits")
    page.wait_for_function("document.getElementById('news').textContent === ''")
    page.close()


def test_another_sweep_s_point_has_an_address_and_a_ring(page: "Page", site: Site) -> None:  # noqa: F811
    other = SweepFolder(site.home.sweep("other"))
    other.create(SweepFile(name="other", task=Task(network="lenet-digits", data="digits")), HERE)
    commit(other.store(HERE), make_record(0, kept(0, "00", 0.7, 0.7)))
    page.goto("/sweeps/digits/frontier?with=other&x=macs_removed")
    table = page.locator("table", has_text="the frontier of digits and of other")
    row = table.locator("tbody tr", has_text="other/00000/00")
    row.focus()
    row.press("Enter")
    page.get_by_role("heading", name="Point other/00000/00").wait_for()
    ring = "document.querySelector('.plot')?.data?.find(each => each.marker?.symbol === 'circle-open')"
    page.wait_for_function(ring)
    assert page.evaluate(f"(r => [r.x[0], r.y[0]])({ring})") == pytest.approx([0.7, 0.7])
    page.reload()
    page.get_by_role("heading", name="Point other/00000/00").wait_for()
    assert "chosen" in str(row.get_attribute("class"))
    assert page.get_by_text("other: 1 of 1 points on the frontier").is_visible()


def test_typed_text_comes_back_after_a_preset_was_tried(page: "Page") -> None:
    page.goto("/new")
    text = page.get_by_label("sweep file")
    text.fill("name: typed\ntask: {network: lenet-digits, data: digits}\n")
    page.get_by_label("begin with").select_option("digits")
    assert "typed" not in text.input_value()
    page.get_by_role("button", name="Back to what was typed").click()
    assert text.input_value().startswith("name: typed")


def test_a_name_that_stands_for_another_search_is_told_before_one_starts(page: "Page", site: Site) -> None:  # noqa: F811
    page.goto("/new")
    known = site.folder.read()[0].text_to_edit
    page.get_by_label("sweep file").fill(known.replace("seed: 0", "seed: 3"))
    page.get_by_text("is already used").wait_for()
    assert page.get_by_role("button", name="Start").is_disabled()


def test_sweeps_are_compared_and_one_that_is_not_there_costs_itself(page: "Page", site: Site) -> None:  # noqa: F811
    other = SweepFolder(site.home.sweep("other"))
    other.create(sweep_of(), HERE)
    commit(other.store(HERE), make_record(0, kept(0, "00", 0.7, 0.95)))
    page.goto("/sweeps/digits/frontier?with=other,nosuch")
    page.get_by_text("no sweep 'nosuch'").wait_for()
    page.wait_for_function("document.querySelector('.plot')?.dataset.drawn")
    names = page.locator(".legendtext").all_text_contents()
    assert {"digits", "other"} <= set(names)


def test_versions_are_compared_as_another_device_measured_them(page: "Page", site: Site) -> None:  # noqa: F811
    """Two points of the frontier are versions that a phone has timed too; their marks join the server's."""
    from dataclasses import replace

    from sparsweep.search.with_mlflow import Registry

    points = [kept(trial, "00", 0.9 - trial / 10, 0.5 + trial / 10, speedup=4.0 - 2 * trial) for trial in (3, 4)]
    for point in points:
        site.end(make_record(point.trial, point, ended_s=9.0))
    registry = Registry.open(tracking_uri=f"sqlite:///{site.home.path / 'mlflow.db'}")
    run = registry.client.create_run(registry.client.create_experiment("digits"))
    registry.client.create_registered_model("digits")
    for point in points:
        (record,) = point.latency
        phone = replace(record, device="phone", speedup=8.0, latency_ms=record.dense_latency_ms / 8)
        tags = {name: str(value) for name, value in point.figures().items()} | {
            "cut": point.cut, "method": point.method, "sparsweep.point": f"digits/{point.id}", "frontier": "yes",
            "latency": json.dumps([vars(record)]), "latency.phone": json.dumps([vars(phone)]),
        }  # fmt: skip
        registry.client.create_model_version("digits", "file:///nowhere", run.info.run_id, tags)

    page.goto("/sweeps/digits/frontier?x=speedup")
    page.get_by_label("versions as measured on").select_option("phone")
    series = "document.querySelector('.plot')?.data?.find(each => each.name === 'versions on phone')"
    page.wait_for_function(series)
    assert page.evaluate(f"({series}).x") == [8, 8]
    assert page.evaluate(f"({series}).y") == pytest.approx([0.6, 0.5])
    assert "on=phone" in page.url
    page.reload()
    page.wait_for_function(series)
    page.get_by_label("across").select_option("macs_removed")
    page.wait_for_function(f"!{series}")  # a device changes no MACs
    page.goto("/sweeps/digits/frontier?x=speedup&on=toaster")
    page.get_by_text("no version of digits was measured on toaster: there is").wait_for()


def test_an_address_with_unknown_figures_shows_the_usual_ones(page: "Page") -> None:
    page.goto("/sweeps/digits/frontier?x=foo&y=bar&c=baz&keep=junk")
    page.wait_for_function("document.querySelector('.plot')?.dataset.drawn")
    assert page.get_by_label("up").input_value() == "accuracy"


def test_a_store_that_is_away_leaves_the_last_picture_marked_stale(page: "Page", site: Site) -> None:  # noqa: F811
    page.goto("/sweeps/digits/frontier")
    rows = page.locator("table", has_text="the frontier of digits").locator("tbody tr")
    rows.nth(1).wait_for()
    trials = site.folder.path / "trials"
    trials.rename(site.folder.path / "away")
    trials.write_text("a shared folder that is not mounted")
    page.get_by_text("stale: ").wait_for()
    assert rows.count() == 2
    trials.unlink()
    (site.folder.path / "away").rename(trials)
    page.get_by_text("stale: ").wait_for(state="hidden")
    assert rows.count() == 2


def test_a_sweep_that_is_deleted_meanwhile_is_said_to_be_gone(page: "Page", site: Site) -> None:  # noqa: F811
    page.goto("/sweeps/digits/frontier")
    rows = page.locator("table", has_text="the frontier of digits").locator("tbody tr")
    rows.nth(1).wait_for()
    shutil.rmtree(site.folder.path)
    page.get_by_text("stale: no sweep 'digits'").wait_for()
    assert rows.count() == 2


def test_a_sweep_that_is_deleted_before_the_page_listens_is_said_to_be_gone(page: "Page", site: Site) -> None:  # noqa: F811
    def gone(route: "Route") -> None:
        shutil.rmtree(site.folder.path, ignore_errors=True)
        route.continue_()

    page.route("**/events*", gone)
    page.goto("/sweeps/digits/frontier")
    page.get_by_text("stale: no sweep 'digits'").wait_for()
    assert page.locator("table", has_text="the frontier of digits").locator("tbody tr").count() == 2


def test_a_point_is_shown_by_the_keyboard_and_has_an_address(page: "Page") -> None:
    page.goto("/sweeps/digits/frontier")
    row = page.locator("tr[tabindex]").first
    row.wait_for()
    row.focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Point digits/00000/00").wait_for()
    assert "point=00000%2F00" in page.url


def test_axes_are_chosen_and_stand_in_the_address(page: "Page") -> None:
    page.goto("/sweeps/digits/frontier")
    page.get_by_label("across").select_option("macs_removed")
    page.get_by_label("up").select_option("sparsity")
    page.wait_for_url("**x=macs_removed**")
    address = page.url
    page.goto("/sweeps")
    page.goto(address)
    assert page.get_by_label("across").input_value() == "macs_removed"
    assert page.get_by_label("up").input_value() == "sparsity"


def test_faults_are_told_as_one_types_and_the_draft_is_not_lost(page: "Page") -> None:
    page.goto("/new")
    text = page.get_by_label("sweep file")
    text.fill("name: mine\ntask: {network: lenet-digits, data: digits}\nsede: 3\n")
    page.get_by_text("line 3: sede: unknown key").wait_for()
    assert page.get_by_role("button", name="Start").is_disabled()
    text.fill("name: mine\ntask: {network: lenet-digits, data: digits}\nseeds: 3\n")
    page.get_by_text("sweep mine has no fault").wait_for()
    assert page.get_by_role("button", name="Start").is_enabled()
    page.goto("/sweeps")
    page.goto("/new")
    page.get_by_text("sweep mine has no fault").wait_for()
    assert "seeds: 3" in page.get_by_label("sweep file").input_value()


def test_published_points_and_the_dense_network_are_marked(page: "Page", site: Site) -> None:  # noqa: F811
    folder = SweepFolder(site.home.sweep("mnist"))
    folder.create(SweepFile(name="mnist", task=Task(network="lenet-300-100", data="mnist")), HERE)
    points = [
        kept(0, cut, accuracy, sparsity) for cut, accuracy, sparsity in (("dense", 0.98, 0.0), ("00", 0.975, 0.9))
    ]
    commit(folder.store(HERE), make_record(0, *points))
    page.goto("/sweeps/mnist/frontier?x=sparsity")
    page.wait_for_function("document.querySelector('.plot')?.dataset.drawn")
    drawn = page.evaluate("document.querySelector('.plot').data.find(each => each.name === 'published (test)')")
    errors = {round(100 * (1 - accuracy), 2) for accuracy in drawn["y"]}
    assert {1.92, 1.44, 1.57} <= errors
    assert page.locator(".legendtext", has_text="published (test)").is_visible()
    assert page.locator(".annotation-text", has_text="dense").is_visible()


def test_markup_in_what_users_wrote_stays_text(page: "Page", site: Site) -> None:  # noqa: F811
    evil = make_point(3, "00", accuracy=0.97, sparsity=0.97, network="attempt-1/00", method=EVIL)
    site.end(make_record(3, evil, ended_s=5.0, setting={"method": EVIL, "note": EVIL}))
    site.end(make_record(4, reason=f"error: {EVIL}", ended_s=6.0))
    page.goto("/sweeps/digits")
    page.get_by_text("onerror").first.wait_for()
    page.goto("/sweeps/digits/frontier")
    page.get_by_role("cell", name=EVIL).wait_for()
    page.wait_for_function("document.querySelector('.plot')?.dataset.drawn")
    assert page.locator("img[src=x]").count() == 0
    assert "owned" not in page.title()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)])
def test_nothing_is_wider_than_the_window(browser: "Browser", site: Site, scheme: str, width: int) -> None:  # noqa: F811
    colours = {"light": "light", "dark": "dark"}
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=colours[scheme])  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(60_000)
    for address in ("/sweeps", "/sweeps/digits", "/sweeps/digits/frontier", "/new"):
        page.goto(f"http://127.0.0.1:{site.port}{address}")
        page.locator("h1").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is (scheme == "light")
    context.close()


def test_a_home_without_a_sweep_says_what_to_do(browser: "Browser", tmp_path: Path) -> None:
    from sparsweep.search.home import Home
    from sparsweep.search.ui.guard import Guard

    with served(Home(tmp_path / "empty"), Guard.of("127.0.0.1", None)) as port:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_text("sparsweep run digits").wait_for()
        page.goto(f"http://127.0.0.1:{port}/sweeps/nosuch")
        page.get_by_text("no sweep 'nosuch'").wait_for()
        page.close()
