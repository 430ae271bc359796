"""The two pictures: written, the same bytes twice, and carrying what must travel with them."""

import numpy as np
import pytest

from cartsim.analysis.endpoints import columns_needed, standard_endpoints
from cartsim.analysis.summary import Summary
from cartsim.analysis.tally import tally
from cartsim.report.figures import GRADE_COLOURS, draw_grades, draw_incidence, write_figures
from cartsim.terms import DISCLAIMER

LONG = "Risk-adapted prophylaxis by ferritin, CRP and CD28, then tocilizumab at grade 2 with dexamethasone"


def tables(arm_count, n=300):
    """Outcomes and curves of a small made-up cohort."""
    endpoints = [e for e in standard_endpoints() if e.shares or e.kind == "incidence"]
    arms = {}
    for k in range(arm_count):
        z = np.random.default_rng(7).normal(size=n) - 0.2 * k
        columns = {}
        for name in columns_needed(endpoints):
            high = "ge3" in name or "ge4" in name
            columns[name] = (
                np.where(z > (1.2 if high else 0.0), np.round(4 * (3 + z)) / 4, np.nan)
                if name.startswith("t_")
                else np.digitize(z, [-0.5, 0.5, 1.5, 2.2]).astype(np.int8)
            )
        columns["t_death_d"] = np.full(n, np.nan)
        columns["t_followup_d"] = np.full(n, 30.0)
        arms[f"arm{k}"] = columns
    summary = Summary(endpoints, list(arms), "arm0", 30.0)
    same = np.zeros(n, np.int32)
    tallies = tally(summary.plan, same, same, arms, "arm0", list(arms))
    return summary.outcomes(tallies, [0]), summary.incidence_curves(tallies)


def texts(figure):
    return [t.get_text() for t in figure.texts]


def test_same_tables_same_bytes(tmp_path):
    """PNG and SVG of both figures, written twice: identical, without a date or a program's name."""
    outcomes, curves = tables(2)
    first = write_figures(outcomes, curves, tmp_path / "a", title="What if")
    second = write_figures(outcomes, curves, tmp_path / "b", title="What if")
    assert sorted(p.name for p in first) == [
        "cumulative_incidence.png",
        "cumulative_incidence.svg",
        "maximum_grades.png",
        "maximum_grades.svg",
    ]
    for one, two in zip(first, second, strict=True):
        content = one.read_bytes()
        assert content == two.read_bytes()
        assert b"Software" not in content
        assert b"dc:date" not in content


def test_disclaimer_and_numbers_travel_with_each_picture():
    """Footer of both; the strip shows everyone at risk on day 0."""
    outcomes, curves = tables(2)
    for figure in (draw_incidence(curves, outcomes), draw_grades(outcomes)):
        footer = texts(figure)[-1]
        assert DISCLAIMER in footer
        assert "N = 300 subjects in every arm" in footer
    assert texts(draw_incidence(curves, outcomes)).count("300") >= 8


@pytest.mark.parametrize("arm_count", [1, 2, 7])
def test_no_text_leaves_the_page_or_covers_another(arm_count):
    """With long labels and up to seven arms, texts of a figure do not overlap nor run off it."""
    outcomes, curves = tables(arm_count)
    labels = {f"arm{k}": LONG for k in range(arm_count)}
    for figure in (draw_incidence(curves, outcomes, labels=labels), draw_grades(outcomes, labels=labels)):
        figure.draw_without_rendering()
        page = figure.bbox
        legend = [t for box in figure.legends for t in box.get_texts()]
        ticks = [t for axes in figure.axes for t in axes.get_yticklabels() if t.get_text()]
        boxes = [t.get_window_extent() for t in (*figure.texts, *legend, *ticks)]
        boxes += [axes.title.get_window_extent() for axes in figure.axes]
        boxes += [axes._left_title.get_window_extent() for axes in figure.axes]
        boxes = [b for b in boxes if b.width > 1]
        for k, box in enumerate(boxes):
            assert box.x0 >= page.x0 and box.x1 <= page.x1 and box.y0 >= page.y0 and box.y1 <= page.y1
            assert not any(box.overlaps(other) for other in boxes[:k])


def test_grade_colours_darken_with_the_grade():
    """Readable in grey: relative luminance falls by a clear step from each grade to the next."""

    def luminance(colour):
        red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    steps = -np.diff([luminance(c) for c in GRADE_COLOURS])
    assert (steps > 0.05).all()


def test_an_empty_cohort_still_has_its_pictures(tmp_path):
    """No curve, no bar, no crash."""
    outcomes, curves = tables(2, n=0)
    assert curves.num_rows == 0
    assert len(write_figures(outcomes, curves, tmp_path)) == 4
