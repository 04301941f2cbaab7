"""Part agreement against counting one by one."""

import math

import numpy as np

from ddp_video.charts import MIRROR, PART_NAMES, PART_OF_CHART
from ddp_video.metrics.agreement import PartAgreement


def test_rates_equal_counting():
    rng = np.random.default_rng(0)
    labelled = rng.integers(1, 25, 4000)
    predicted = np.where(rng.random(4000) < 0.6, labelled, rng.integers(0, 25, 4000))
    predicted = np.where(rng.random(4000) < 0.2, np.array(MIRROR)[labelled], predicted)
    hits = {name: [] for name in ("part", "chart", "swap", "found")}
    for p, q in zip(predicted, labelled, strict=True):
        part = PART_OF_CHART[q]
        hits["part"].append(PART_OF_CHART[p] == part)
        hits["chart"].append(p == q)
        hits["found"].append(p > 0)
        if "left" in PART_NAMES[part] or "right" in PART_NAMES[part]:
            hits["swap"].append(PART_OF_CHART[p] == PART_OF_CHART[MIRROR[q]])
    agreement = PartAgreement()
    agreement.add(predicted[:1000].astype(np.uint8), labelled[:1000].astype(np.uint8))
    agreement.add(predicted[1000:], labelled[1000:])
    rates = agreement.rates()
    assert rates.keys() == hits.keys()
    for name, rate in rates.items():
        assert math.isclose(rate, np.mean(hits[name])), name


def test_nothing_counted_is_nan():
    assert all(math.isnan(rate) for rate in PartAgreement().rates().values())
