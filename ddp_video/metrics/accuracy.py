"""Predictions and labelled pictures in, accuracy out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from ddp_video.decode import decode
from ddp_video.errors import DataError
from ddp_video.metrics.gps import AccuracyEvaluator, LabelledPerson
from ddp_video.metrics.labels import LabelledImages
from ddp_video.model.scale import fitted
from ddp_video.quality import expected_quality
from ddp_video.structures import DensePose, FrameBatch, FramePrediction

# Precision over all recalls needs the doubtful detections too: the least score that the paper's detector keeps.
SCORE_THRESHOLD = 0.05


class Predictor(Protocol):
    """What turns pictures into predictions; `DDPPredictor` is one."""

    charts: str

    def predict(self, frames: FrameBatch) -> list[FramePrediction]: ...


def predict_images(predictor: Predictor, labels: LabelledImages, indices: Sequence[int]) -> Iterator[FramePrediction]:
    """Predictions for the labelled pictures, one by one, as `pipeline.infer` makes them of a single picture."""
    for index in indices:
        frame = FrameBatch.of_picture(labels.image(index), index)
        yield from fitted(predictor, lambda frame=frame: frame).predict(frame)


def measure(
    predictions: Iterable[FramePrediction], labels: LabelledImages, indices: Iterable[int], evaluator: AccuracyEvaluator
) -> None:
    """Feed the evaluator with predictions and the pictures of `indices`, which belong together in order.

    Raises:
        DataError: a picture and its prediction differ in size, so they cannot belong together.
    """
    for prediction, index in zip(predictions, indices, strict=True):
        measure_one(prediction, decode(prediction), labels.people(index), evaluator)


def measure_one(
    prediction: FramePrediction, pose: DensePose, people: Sequence[LabelledPerson], evaluator: AccuracyEvaluator
) -> None:
    """Feed the evaluator with one prediction, its decoded dense pose, and the people of its picture.

    People are ranked by score times expected quality; by the score alone where the published evaluator is followed.

    Raises:
        DataError: as `measure`.
    """
    size = prediction.grid.frame_size
    if people and people[0].mask.shape != size:
        raise DataError(
            f"prediction {prediction.index} is of a frame of {size[1]}x{size[0]} px, its labels of "
            f"{people[0].mask.shape[1]}x{people[0].mask.shape[0]} px: are these the labels of that run?"
        )
    found = prediction.instances
    rank = found.scores if evaluator.published else found.scores * expected_quality(prediction)
    evaluator.add(pose, found.boxes_xyxy.numpy(), rank.numpy(), people)
