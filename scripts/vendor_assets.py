"""Fetches the libraries that a report page embeds and the site needs: `make vendor`.

Each is the published npm package of the version in a folder's versions.json, checked against the hash there;
with `--update NAME VERSION` that version's hash is written down instead. Needs npm and a network.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ROOT / "src" / "gpo" / "report" / "assets" / "vendor", ROOT / "docs" / "js"


def main(arguments: list[str]) -> None:
    for folder in FOLDERS:
        fetch_all(folder, arguments)


def fetch_all(home: Path, arguments: list[str]) -> None:
    """Everything that the folder's versions.json names."""
    versions = home / "versions.json"
    known = json.loads(versions.read_text(encoding="utf-8"))
    if arguments[:1] == ["--update"] and arguments[1] in known:
        known[arguments[1]] |= {"version": arguments[2], "sha512": None}
    for name, about in known.items():
        with tempfile.TemporaryDirectory() as folder:
            archive = fetch(name, about["version"], Path(folder))
            found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
            if about["sha512"] not in (None, found):
                raise SystemExit(f"{name} {about['version']}: has the hash {found}, not {about['sha512']}")
            about["sha512"] = found
            with tarfile.open(archive) as content:
                for source, target in about["files"].items():
                    (home / target).write_bytes(bundled(content, source))
    versions.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


def fetch(name: str, version: str, folder: Path) -> Path:
    """The package's archive."""
    command = ["npm", "pack", f"{name}@{version}", "--silent", "--pack-destination", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own names only
    [archive] = folder.glob("*.tgz")
    return archive


def bundled(content: tarfile.TarFile, source: str) -> bytes:
    """A file of the package; a style sheet with its woff2 fonts inside it and no other source."""
    raw = read(content, source)
    if not source.endswith(".css"):
        return raw

    def inlined(match: re.Match[str]) -> str:
        data = base64.b64encode(read(content, f"{source.rpartition('/')[0]}/{match[1]}")).decode()
        return f'src:url(data:font/woff2;base64,{data}) format("woff2")'

    return re.sub(r'src:url\(([^)]+\.woff2)\) format\("woff2"\)[^;}]*', inlined, raw.decode()).encode()


def read(content: tarfile.TarFile, path: str) -> bytes:
    file = content.extractfile(f"package/{path}")
    if file is None:
        raise SystemExit(f"{path}: is not in the package")
    return file.read()


if __name__ == "__main__":
    main(sys.argv[1:])
