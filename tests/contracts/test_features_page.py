"""The page of features says what the suite found."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path


def test_the_page_of_features_is_up_to_date():
    path = Path(__file__).parents[2] / "tools" / "features.py"
    spec = spec_from_file_location("features", path)
    features = module_from_spec(spec)
    spec.loader.exec_module(features)
    assert features.PAGE.read_text("utf-8") == features.page(), "run: python tools/features.py"
