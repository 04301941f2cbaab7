"""Run folders of labelled clips against their exact labels: whether what got steadier also stayed right."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ddp_video.errors import DataError
from ddp_video.metrics.accuracy import measure_one
from ddp_video.metrics.geodesics import Geodesics
from ddp_video.metrics.gps import AccuracyEvaluator
from ddp_video.metrics.labels import DenseLabels
from ddp_video.structures import DensePose, FramePrediction

SMALLEST = 400  # px of a labelled person who is followed


class LabelledClip:
    """Measures the frames of one run folder, in order, against the labels of its clip.

    Args:
        folder: the clip's frames and label maps, as `ddp-video synthesize video` writes them.
        frame_count, charts: of the run folder.
    Raises:
        DataError: where the labels cannot be those of the run.
    """

    def __init__(self, folder: Path, frame_count: int, charts: str, geodesics: Geodesics):
        self._labels = DenseLabels(folder)
        if len(self._labels) != frame_count:
            raise DataError(f"{folder} labels {len(self._labels)} frames and the run folder holds {frame_count}")
        if charts != self._labels.charts:
            raise DataError(f"the predictions speak the charts of {charts}, the labels those of {self._labels.charts}")
        self.accuracy = AccuracyEvaluator(geodesics)
        self.identities = FollowedPeople()

    def push(self, index: int, prediction: FramePrediction, pose: DensePose, new_shot: bool) -> None:
        """Frame `index`; new_shot: a cut lies before it, and nobody is expected to be followed across."""
        measure_one(prediction, pose, self._labels.people(index), self.accuracy)
        track_id = np.concatenate([[0], prediction.instances.track_id.numpy()])
        self.identities.push(track_id[pose.instance.numpy()], self._labels.instance(index), new_shot)


class FollowedPeople:
    """How often the identity that follows a labelled person changes, however long he was hidden in between.

    A track follows a person where intersection over union of their masks exceeds one half, as MOTS counts identity switches
    (Voigtlaender et al., CVPR 2019, section 5): at most one track can. A mask that swallows two people alike follows neither,
    and no switch is counted when they come out with the identities that they had. The two maps are [H, W], 0 = nobody.
    """

    def __init__(self):
        self.switches = 0
        self._follower: dict[int, int] = {}

    def push(self, track: np.ndarray, labelled: np.ndarray, new_shot: bool = False) -> None:
        if new_shot:
            self._follower = {}
        area_of_person, area_of_track = (_areas(plane) for plane in (labelled, track))
        both = (labelled > 0) & (track > 0)
        pairs, shared = np.unique(np.stack([labelled[both], track[both]]), axis=1, return_counts=True)
        for person, follower, common in zip(*pairs.tolist(), shared.tolist(), strict=True):
            area = area_of_person[person]
            if area < SMALLEST or 2 * common <= area + area_of_track[follower] - common:
                continue
            self.switches += self._follower.get(person, follower) != follower
            self._follower[person] = follower


def _areas(labels: np.ndarray) -> dict[int, int]:
    """How many pixels of a map each label has."""
    found, count = np.unique(labels, return_counts=True)
    return dict(zip(found.tolist(), count.tolist(), strict=True))
