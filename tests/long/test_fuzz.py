"""The fuzz targets, for minutes."""

import pytest

from tests import fuzz

pytestmark = pytest.mark.long


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_target(name: str) -> None:
    fuzz.attack(name, max_examples=20_000)
