"""The fuzz targets, for seconds."""

import pytest

from tests import fuzz


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_target(name: str) -> None:
    fuzz.attack(name, max_examples=150)
