"""Whether a wheel and an sdist hold what they should: `check_package.py FOLDER`, run in the repository.

The wheel has the package's files in version control and nothing else; the sdist has every file in
version control but those of the repository itself. One line for each that is missing or too many.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ONLY_REPOSITORY = (".ci/", ".gitignore", ".pre-commit-config.yaml")


def tracked() -> set[str]:
    """Files in version control."""
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True)  # noqa: S607
    return set(listed.stdout.splitlines())


def wheel_files(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as wheel:
        return {name for name in wheel.namelist() if ".dist-info/" not in name}


def sdist_files(path: Path) -> set[str]:
    with tarfile.open(path) as sdist:
        names = {member.name.split("/", 1)[1] for member in sdist.getmembers() if member.isfile()}
    return names - {"PKG-INFO", ".gitignore"}


def differences(files: set[str]) -> list[str]:
    """Of the wheel and the sdist in the folder, which must be one of each."""
    folder = Path(sys.argv[1])
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    package = {name.removeprefix("src/") for name in files if name.startswith("src/gpo/")}
    source = {name for name in files if not name.startswith(ONLY_REPOSITORY)}
    found = []
    for path, wanted, have in (
        (wheel, package, wheel_files(wheel)),
        (sdist, source, sdist_files(sdist)),
    ):
        found += [f"{path.name}: lacks {name}" for name in sorted(wanted - have)]
        found += [
            f"{path.name}: has {name}, which is not in version control" for name in sorted(have - wanted)
        ]
    return found


if __name__ == "__main__":
    wrong = differences(tracked())
    print("\n".join(wrong) or "wheel and sdist hold what they should")
    sys.exit(bool(wrong))
