"""Refreshes what the documentation pages are made of, from the npm packages: `python tools/vendor_docs.py`.

ReDoc stays at its second major version: the third reports usage to its makers unless told not to, takes icons from a
CDN and is twice as large.
"""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

STATIC = Path(__file__).parent.parent / "src" / "headgate" / "surfaces" / "static"

PACKAGES = {
    "swagger-ui-dist@5": {
        "swagger-ui-bundle.js": "swagger-ui-bundle.js.gz",
        "swagger-ui.css": "swagger-ui.css.gz",
        "LICENSE": "swagger-ui.LICENSE",
        "NOTICE": "swagger-ui.NOTICE",
        "swagger-ui-bundle.js.LICENSE.txt": "swagger-ui-bundle.js.LICENSE.txt",
    },
    "redoc@2": {
        "bundles/redoc.standalone.js": "redoc.standalone.js.gz",
        "LICENSE": "redoc.LICENSE",
        "bundles/redoc.standalone.js.LICENSE.txt": "redoc.standalone.js.LICENSE.txt",
    },
}
MAPS = (b"//# sourceMappingURL=", b"/*# sourceMappingURL=")
# The one thing that the bundles would load from elsewhere; ReDoc hides an image that it cannot show.
LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"

INTRO = """\
# Licences

Files of other projects in this folder, unchanged but for compression and as said below. The texts are beside them; the
`*.LICENSE.txt` files name what the bundles themselves contain. Refreshed by `tools/vendor_docs.py`.

| package | version | licence | files |
| --- | --- | --- | --- |
"""
OUTRO = """
References to source maps, which are not shipped, are cut off. In `redoc.standalone.js` the address of a logo on another
host is replaced by an empty one, so that nothing is loaded from elsewhere.
"""


def main() -> None:
    """Write the files and LICENSES.md."""
    table = ""
    for package, files in PACKAGES.items():
        archive = pack(package)
        about = json.loads(archive["package.json"])
        for source, target in files.items():
            content = archive[source].replace(LOGO, b"data:,")
            (STATIC / target).write_bytes(zipped(content) if target.endswith(".gz") else content)
        names = ", ".join(f"`{name}`" for name in files.values())
        table += f"| {about['name']} | {about['version']} | {about['license']} | {names} |\n"
    (STATIC / "LICENSES.md").write_text(INTRO + table + OUTRO)


def pack(package: str) -> dict[str, bytes]:
    """The newest version of an npm package: its files by name."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", package]
        name = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.split()[-1]  # noqa: S603
        with tarfile.open(fileobj=io.BytesIO((Path(folder) / name).read_bytes())) as archive:
            return {
                member.name.removeprefix("package/"): file.read()
                for member in archive
                if (file := archive.extractfile(member)) is not None
            }


def zipped(content: bytes) -> bytes:
    """The same bytes for the same content, whenever they are made; source maps are not shipped, so not named."""
    lines = [line for line in content.splitlines(keepends=True) if not line.startswith(MAPS)]
    return gzip.compress(b"".join(lines), 9, mtime=0)


if __name__ == "__main__":
    main()
