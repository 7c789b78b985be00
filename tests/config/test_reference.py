"""The reference page says what the tree says."""

import importlib.util
from pathlib import Path

from headgate.config import Config
from headgate.config.sections import Section

ROOT = Path(__file__).parents[2]


def test_the_reference_page_is_up_to_date():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    assert reference.PAGE.read_text() == reference.page(), "run: python tools/reference.py"


def test_every_key_says_what_it_means():
    silent = [
        f"{section.__name__}.{name}"
        for section in (Config, *Section.__subclasses__())
        for name, field in section.model_fields.items()
        if not field.description
    ]
    assert silent == []
