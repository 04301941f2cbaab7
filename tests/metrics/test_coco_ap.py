"""AP and AR against a slow reading of the definition, one threshold, detection and person at a time."""

import numpy as np
import pytest

from ddp_video.metrics.coco_ap import COLUMNS, AveragePrecision, Candidates

THRESHOLDS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
SIZES = {"all": (0, 1e10), "M": (32**2, 96**2), "L": (96**2, 1e10)}


def slow_columns(images, published):
    """The ten columns by plain loops."""
    out = {}
    for size, (low, high) in SIZES.items():
        verdicts = {t: [] for t in THRESHOLDS}  # (score, "hit" or "miss") of detections that count
        people = 0
        for image in images:
            ignored = [not a or not low <= area <= high for a, area in zip(image.annotated, image.area, strict=True)]
            people += ignored.count(False)
            detections = sorted(range(len(image.scores)), key=lambda d: -image.scores[d])[:20]
            matches = {t: slow_match(image, detections, ignored, t) for t in THRESHOLDS}
            excused = {t: {d for d, g in matches[t].items() if g is not None and ignored[g]} for t in THRESHOLDS}
            if published:
                if all(ignored):
                    excused = {t: set(detections) for t in THRESHOLDS}
                slow_published_box_rule(image, detections, ignored, matches[0.95], excused)
            else:
                for t in THRESHOLDS:
                    for d in detections:
                        for g in range(len(image.area)):
                            if matches[t][d] is None and not image.annotated[g] and image.box_iou[d, g] >= 0.8:
                                excused[t].add(d)
            for t in THRESHOLDS:
                for d in detections:
                    if matches[t][d] is None and not low <= image.detection_area[d] <= high:
                        excused[t].add(d)
                    if d not in excused[t]:
                        verdicts[t].append((image.scores[d], matches[t][d] is not None))
        out[size] = [slow_curve(verdicts[t], people) for t in THRESHOLDS]
    nan = float("nan")
    columns = []
    for value in (0, 1):
        by_size = {size: [nan if c is None else c[value] for c in curves] for size, curves in out.items()}
        columns += [np.mean(by_size["all"]), by_size["all"][0], by_size["all"][5]]
        columns += [np.mean(by_size["M"]), np.mean(by_size["L"])]
    return columns


def slow_match(image, detections, ignored, threshold):
    """{detection: person or None}; people who count are preferred, then the more similar, then the later one."""
    matches, taken = {}, set()
    for d in detections:
        best = None
        for wanted in (False, True):
            for g in range(len(ignored)):
                if ignored[g] != wanted or g in taken or image.similarity[d, g] < threshold:
                    continue
                if best is None or image.similarity[d, g] >= image.similarity[d, best]:
                    best = g
            if best is not None:
                break
        matches[d] = best
        if best is not None and not image.crowd[best]:
            taken.add(best)
    return matches


def slow_published_box_rule(image, detections, ignored, matches, excused):
    taken = {g for g in matches.values() if g is not None and not image.crowd[g]}
    order = [g for g in range(len(ignored)) if not ignored[g]] + [g for g in range(len(ignored)) if ignored[g]]
    for d in detections:
        if matches[d] is not None:
            continue
        best = None
        for g in order:
            if g not in taken and image.box_iou[d, g] >= max(0.8, 0 if best is None else image.box_iou[d, best]):
                best = g
        if best is None:
            continue
        for t in THRESHOLDS:
            (excused[t].add if ignored[best] else excused[t].discard)(d)
        if ignored[best] and not image.crowd[best]:
            taken.add(best)


def slow_curve(verdicts, people):
    """(mean precision at 101 recalls, final recall), or None without people."""
    if people == 0:
        return None
    verdicts = sorted(verdicts, key=lambda v: -v[0])
    points, hits = [], 0
    for count, (_, hit) in enumerate(verdicts, 1):
        hits += hit
        points.append((hits / people, hits / count))
    at = [max((p for r, p in points if r >= recall), default=0.0) for recall in np.linspace(0, 1, 101)]
    return sum(at) / 101, points[-1][0] if points else 0.0


def random_image(rng):
    detections, people = rng.integers(0, 27), rng.integers(0, 6)
    similarity = rng.random((detections, people)).round(2)
    similarity[rng.random(similarity.shape) < 0.3] = 0.97
    crowd = rng.random(people) < 0.2
    return Candidates(
        similarity=similarity,
        box_iou=rng.choice([0.0, 0.5, 0.8, 0.85, 0.9, 1.0], (detections, people)),
        scores=rng.permutation(1000)[:detections] / 1000 + 1e-4 * rng.random(),
        detection_area=rng.choice([500.0, 1024.0, 5000.0, 9216.0, 20000.0], detections),
        area=rng.choice([500.0, 1024.0, 5000.0, 9216.0, 20000.0], people),
        annotated=(rng.random(people) < 0.7) & ~crowd,
        crowd=crowd,
    )


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_columns_equal_the_definition(seed, published):
    rng = np.random.default_rng(seed)
    images = [random_image(rng) for _ in range(rng.integers(1, 12))]
    precision = AveragePrecision(published)
    for image in images:
        precision.add(image)
    np.testing.assert_allclose(list(precision.columns().values()), slow_columns(images, published), atol=1e-9)


def one_image(similarity, box_iou=None, annotated=None, scores=None, area=2000.0):
    similarity = np.array(similarity, float)
    detections, people = similarity.shape
    return Candidates(
        similarity,
        np.zeros_like(similarity) if box_iou is None else np.array(box_iou, float),
        np.linspace(1, 0.5, detections) if scores is None else np.array(scores, float),
        np.full(detections, area),
        np.full(people, area),
        np.ones(people, bool) if annotated is None else np.array(annotated),
        np.zeros(people, bool),
    )


def columns(*images, published=False):
    precision = AveragePrecision(published)
    for image in images:
        precision.add(image)
    return precision.columns()


def test_perfect_detections_score_one_and_unseen_sizes_are_nan():
    got = columns(one_image(np.eye(3)))
    assert got == pytest.approx({**dict.fromkeys(COLUMNS, 1.0), "APL": np.nan, "ARL": np.nan}, nan_ok=True)


def test_people_without_detections_score_zero():
    got = columns(one_image(np.zeros((0, 2))))
    assert got["AP"] == got["AR"] == 0


def test_a_second_detection_of_a_person_is_a_false_alarm():
    first, second = one_image([[0.9], [0.9]]), one_image([[0.9]], scores=[0.1])
    assert columns(first, second)["AP50"] < 1
    assert columns(first, second)["AR50"] == 1


def test_detection_on_an_unannotated_person_is_ignored_only_from_box_iou_of_point_eight():
    def ap(box_iou):
        return columns(one_image([[0.0, 0.0], [0.9, 0.0]], [[0.0, box_iou], [0.9, 0.0]], annotated=[True, False]))[
            "AP50"
        ]

    assert ap(0.8) == 1
    assert ap(0.79) == pytest.approx(0.5)


def test_only_the_best_twenty_detections_are_used():
    hits = np.zeros((21, 1))
    hits[20] = 1
    assert columns(one_image(hits))["AR"] == 0
    assert columns(one_image(hits[1:]))["AR"] == 1


def test_published_evaluator_forgives_false_alarms_where_nobody_counts():
    good, empty = one_image([[0.9]], scores=[0.2]), one_image(np.zeros((5, 0)))
    assert columns(good, empty, published=True)["AP50"] == 1
    assert columns(good, empty)["AP50"] == pytest.approx(1 / 6)


def test_published_evaluator_lets_the_last_threshold_decide_about_ignoring():
    image = one_image([[0.6, 0.0]], [[0.0, 0.9]], annotated=[True, False])
    assert columns(image)["AP50"] == 1
    assert columns(image, published=True)["AP50"] == 0
