"""Labels that leave a choice of charts."""

import numpy as np
import pytest

from ddp_video.charts import MIRROR, NAMES, NUM_CLASSES, PART_NAMES
from ddp_video.data.choices import ALLOWED, CHOICES, FIRST, JOINTS, MIRRORED, choice, is_chart
from ddp_video.data.sample import UNLABELLED


def named(*beginnings):
    return [chart for chart, name in enumerate(NAMES) if name.startswith(beginnings)]


def test_values_in_files_keep_their_meaning():
    """Label maps on people's disks hold them."""
    assert choice(named("torso")) == 32 and choice(named("head")) == 41
    assert choice(named("left upper arm", "right upper arm")) == 42
    assert choice(named("left elbow", "left upper arm", "left lower arm")) == 48
    assert choice(named("right lower leg", "right foot")) == FIRST + len(CHOICES) - 1 == 55


def test_a_choice_of_one_is_the_chart_and_others_are_not_made_up():
    assert [choice([chart]) for chart in range(NUM_CLASSES)] == list(range(NUM_CLASSES))
    with pytest.raises(ValueError):
        choice(named("torso back", "head left"))


def test_every_value_allows_its_charts_and_mirrors_into_theirs():
    for value in [*range(NUM_CLASSES), *range(FIRST, FIRST + len(CHOICES))]:
        charts = np.flatnonzero(ALLOWED[value])
        assert choice(charts) == value
        assert set(np.flatnonzero(ALLOWED[MIRRORED[value]])) == {MIRROR[chart] for chart in charts}
    assert not ALLOWED[UNLABELLED].any() and MIRRORED[UNLABELLED] == UNLABELLED


@pytest.mark.parametrize("joint", JOINTS)
def test_the_parts_that_meet_exist(joint):
    assert all(f"{side} {name}" in PART_NAMES for side in ("left", "right") for name in JOINTS[joint])


def test_only_single_charts_are_charts():
    values = np.array([0, 1, 24, FIRST, choice(named("head")), UNLABELLED])
    assert is_chart(values).tolist() == [False, True, True, False, False, False]
