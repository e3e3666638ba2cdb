"""Labels of plots: never outside, never on each other while there is room."""

from itertools import combinations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from validation.report.labels import Box, Label, place_labels

BOUNDS = Box(0, 0, 600, 400)
POSITIONS = st.tuples(st.floats(0, 600), st.floats(0, 400))
LABELS = st.lists(
    st.builds(
        lambda at, width, required: Label(at[0], at[1], width, 12, required),
        POSITIONS,
        st.floats(5, 120),
        st.booleans(),
    ),
    max_size=12,
)


@given(LABELS, st.lists(POSITIONS, max_size=12))
@example([Label(300, 200, 60, 12, False), Label(310, 205, 60, 12, False), Label(590, 200, 60, 12, True)], [(340, 200)])
@settings(max_examples=60, deadline=None)
def test_labels_lie_within_the_frame_and_optional_ones_cover_nothing(
    labels: list[Label], markers: list[tuple[float, float]]
) -> None:
    obstacles = [Box(x - 4, y - 4, x + 4, y + 4) for x, y in markers]
    places = place_labels(labels, obstacles, BOUNDS, gap=6)
    for label, place in zip(labels, places, strict=True):
        assert not label.required or place is not None
        if place is not None:
            assert BOUNDS.holds(place)
            assert abs((place.x1 - place.x0) - label.width) < 1e-6
        if place is not None and not label.required:
            others = [other for other in places if other is not None and other is not place]
            assert not any(place.common_area(other) for other in [*obstacles, *others])


def test_required_labels_always_find_a_place_and_share_it_only_when_they_must() -> None:
    crowd = [Label(300 + index, 200, 60, 12, required=True) for index in range(8)]
    places = place_labels(crowd, [], BOUNDS, gap=6)
    boxes = [place for place in places if place is not None]
    assert len(boxes) == 8
    assert not any(one.common_area(other) for one, other in combinations(boxes, 2))


def test_a_lone_label_stands_right_of_its_point_and_left_at_the_right_edge() -> None:
    (middle,) = place_labels([Label(100, 100, 50, 12, required=True)], [], BOUNDS, gap=6)
    (edge,) = place_labels([Label(595, 100, 50, 12, required=True)], [], BOUNDS, gap=6)
    assert middle is not None and middle.x0 > 100
    assert edge is not None and edge.x1 < 595


def test_a_label_wider_than_the_frame_is_left_out() -> None:
    assert place_labels([Label(100, 100, 700, 12, required=True)], [], BOUNDS, gap=6) == [None]
