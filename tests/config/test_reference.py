"""Every key of the tree says what it means; tests/house keeps the page that is made of it."""

from headgate.config import Config
from headgate.config.sections import Section


def test_every_key_says_what_it_means():
    silent = [
        f"{section.__name__}.{name}"
        for section in (Config, *Section.__subclasses__())
        for name, field in section.model_fields.items()
        if not field.description
    ]
    assert silent == []
