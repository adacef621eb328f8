"""A real browser, and runs to report: some of the tiny model, and one whose every text is hostile."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from gpo.cli import main

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
STEPS = ["--task", "chain_sum", "--max-tokens", "96", "--min-step-tokens", "1", "--rule", "drop"]


def pytest_configure() -> None:
    if CHROMIUM is None or DRIVER is None:
        pytest.exit("these tests need a browser: apt-get install chromium chromium-driver", returncode=2)


class Browser:
    """One page at a time, at a width, in light or dark, on screen or in print."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
            options.add_argument(flag)
        options.add_argument("--disable-dev-shm-usage")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        options.binary_location = str(CHROMIUM)
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))

    def open(
        self, page: Path, view: str = "", *, width: int = 1280, height: int = 800, is_dark: bool = False
    ) -> None:
        """Loads the page from disk, afresh."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.media("", is_dark=is_dark)
        self.driver.get("about:blank")
        self.logs()
        self.driver.get(f"{page.as_uri()}#{view}")
        self.wait("document.querySelector('main').children.length > 0")
        self.settle()

    def media(self, kind: str, *, is_dark: bool = False) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": [scheme]})

    def settle(self) -> None:
        """Until every chart is drawn and two frames have passed."""
        self.wait("[...document.querySelectorAll('.plot')].every(one => !one.offsetWidth || one.firstChild)")
        self.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")

    def wait(self, condition: str) -> None:
        WebDriverWait(self.driver, 20).until(lambda driver: driver.execute_script(f"return {condition}"))

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def press(self, *keys: str) -> None:
        actions = webdriver.ActionChains(self.driver)
        for key in keys:
            actions.send_keys(key)
        actions.perform()
        self.settle()

    def point_at(self, element: WebElement, x: int = 0, y: int = 0) -> None:
        """Moves the pointer to the middle of the element, or so far from it."""
        webdriver.ActionChains(self.driver, duration=0).move_to_element_with_offset(element, x, y).perform()
        self.settle()

    def logs(self) -> list[str]:
        """Console messages since they were last read."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that were asked for since this was last read, other than data inside the page."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in asked if not url.startswith(("data:", "about:"))]

    def screenshot(self, path: Path) -> None:
        """Of what is in the window; 200 colours, so that the file is small."""
        image = Image.open(BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        image.quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.driver.quit()


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of the tiny model: adaptive and uniform searches of the same trajectories, and a training."""
    folder = tmp_path_factory.mktemp("runs")
    located = ["locate", *STEPS, "--limit", "40"]
    main([*located, "--output", str(folder / "adaptive")])
    main([*located, "--search", "uniform", "--values", "8", "--output", str(folder / "uniform")])
    training = ["--size", "64", "--problems-per-round", "8", "--max-located", "4", "--learning-rate", "3e-4"]
    training += ["--eval-problems", "100", "--eval-every", "2", "--rounds", "8", "--explored", "failed"]
    training += ["--recipe", "search"]
    main(["train", *STEPS, *training, "--output", str(folder / "trained")])
    return folder


@pytest.fixture(scope="session")
def page(runs: Path) -> Path:
    """The report of one run."""
    main(["report", str(runs / "adaptive"), "-o", str(runs / "one.html")])
    return runs / "one.html"


@pytest.fixture(scope="session")
def two(runs: Path) -> Path:
    """The report of two runs on the same trajectories."""
    main(["report", str(runs / "adaptive"), str(runs / "uniform"), "-o", str(runs / "two.html")])
    return runs / "two.html"


@pytest.fixture(scope="session")
def trained(runs: Path) -> Path:
    """The report of a training run."""
    main(["report", str(runs / "trained"), "-o", str(runs / "trained.html")])
    return runs / "trained.html"
