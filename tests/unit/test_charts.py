"""The charts of a report."""

import re

from reporting import charts
from reporting.charts_svg import chart_svg


def test_the_name_of_the_values_is_above_the_number_of_a_full_bar() -> None:
    drawn = chart_svg(charts.accepted({0: 10, 1: 5}))
    texts = re.findall(r'<text x="[\d.]+" y="([\d.]+)"[^>]*>([^<]*)</text>', drawn)
    (name,) = (float(y) for y, text in texts if text == "exchanges")
    assert min(float(y) for y, text in texts if text == "10") >= name + 12  # the height of a line
