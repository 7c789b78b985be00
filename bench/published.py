"""`RESULTS.md`: each command writes its own table there, between two marks, and leaves the rest as it is."""

from __future__ import annotations

import platform
import time

from targets import HERE

FILE = HERE / "RESULTS.md"


def publish(section: str, table: str, notes: str) -> None:
    """Put a section's table in the place of the one before. Raises ValueError where the section has no marks."""
    text = FILE.read_text(encoding="utf-8")
    begin, end = f"<!-- {section} -->\n", f"<!-- end of {section} -->\n"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{FILE.name} has no section {section}")
    made = f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {platform.machine()}"
    FILE.write_text(f"{before}{begin}\n{table}\n\n{notes} {made}.\n\n{end}{after}", encoding="utf-8")
