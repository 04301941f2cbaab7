"""What a person does over a shot: a stretch of captured motion, a made-up pose that drifts, or legs of one and arms of the
other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddp_video.synthesis.pack import Motion
from ddp_video.synthesis.pose import PoseMaker, random_curls
from ddp_video.synthesis.retarget import heading
from ddp_video.synthesis.rig import KEY, KEYS, mirror
from ddp_video.synthesis.rotation import about_axis, from_vector, slerp, to_vector

CAPTURE_FPS = 30.0
# How often each CMU subject is drawn: everyday actions and walking most, climbing least.
_SUBJECT_ODDS = {
    "01": 0.02,  # climbing, swinging
    "02": 0.06,  # walking, running, punching, swinging an arm
    "03": 0.03,  # walking on uneven ground
    "05": 0.10,  # dance
    "06": 0.07,  # basketball
    "07": 0.12,  # walking
    "08": 0.12,  # walking
    "09": 0.06,  # running
    "10": 0.03,  # kicking a ball
    "11": 0.02,  # kicking a ball
    "12": 0.04,  # walking, tai chi
    "13": 0.17,  # sitting, drinking, laughing, boxing, washing windows, sweeping, directing traffic
    "14": 0.16,  # the like
}
_LEFT_OUT = ("01_01", "13_18", "14_23")  # captures in which an elbow bends backwards nearly all the time
_UPPER = np.array([KEY[k] for k in KEYS if k.split(".")[0] in ("collar", "arm", "forearm", "hand")])


@dataclass(frozen=True)
class Performance:
    """keys: [T, 19, 3], facing -y on average at first. curls: [10, 3]. path: [T, 2] the hips' way on the ground and
    clearance: [T] height of the lowest point, both in leg lengths."""

    keys: np.ndarray
    curls: np.ndarray
    path: np.ndarray
    clearance: np.ndarray


class Director:
    """Draws performances."""

    def __init__(self, motion: Motion, stills: np.ndarray, poses: PoseMaker):
        self.motion, self.stills, self.poses = motion, stills, poses
        subject = np.array([str(name).split("_")[0] for name in motion.names])
        frames = np.diff(motion.start).astype(np.float64)
        odds = np.array([_SUBJECT_ODDS.get(s, 0.05) for s in subject])
        total = {s: frames[subject == s].sum() for s in np.unique(subject)}
        odds *= frames / np.array([total[s] for s in subject])
        odds[np.isin(motion.names, _LEFT_OUT)] = 0
        self._clip_odds = odds / odds.sum()

    def draw(self, rng: np.random.Generator, frames: int = 1, fps: float = CAPTURE_FPS) -> Performance:
        """A performance of `frames` frames; a single frame is a still out of the same distribution."""
        kind = rng.choice(["captured", "mixed", "posed", "still"], p=[0.36, 0.22, 0.36, 0.06])
        if kind in ("captured", "mixed"):
            keys, path, clearance = self._captured(rng, frames, fps)
        else:
            keys, path, clearance = self._drifting(rng, frames, fps, made_up=kind == "posed")
        if kind == "mixed":  # someone walks while telephoning
            arms = np.zeros((len(KEYS), 3))
            self.poses.random_arms(arms, rng)
            keys[:, _UPPER] = arms[_UPPER]
        if rng.random() < 0.5:
            keys, path = mirror(keys), path * [-1, 1]
        turn = about_axis("Z", -heading(keys[:1])[0])
        keys[:, 0] = to_vector(turn @ from_vector(keys[:, 0]))
        return Performance(keys, random_curls(rng), path @ turn[:2, :2].T, clearance)

    def _captured(self, rng: np.random.Generator, frames: int, fps: float):
        clip = rng.choice(len(self._clip_odds), p=self._clip_odds)
        speed = CAPTURE_FPS / fps * rng.uniform(0.85, 1.15)
        spare = np.diff(self.motion.start)[clip] - 1 - (frames - 1) * speed
        return self.play(clip, int(rng.uniform(0, max(spare, 0))) + np.arange(frames) * speed)

    def play(self, clip: int, time: np.ndarray):
        """Keys [T, 19, 3], path [T, 2] and clearance [T] of a clip at the given captured frames (fractions interpolate;
        clips that are too short go to and fro)."""
        first, last = self.motion.start[clip], self.motion.start[clip + 1] - 1
        length = last - first
        time = first + length - np.abs(time % (2 * length) - length)
        low = np.minimum(time.astype(int), last - 1)
        share = time - low

        if not share.any():
            return (
                self.motion.keys[low].astype(np.float64),
                self.motion.path[low] - self.motion.path[low[0]],
                self.motion.clearance[low],
            )

        def between(values: np.ndarray) -> np.ndarray:
            weight = share.reshape(-1, *[1] * (values.ndim - 1))
            return values[low] * (1 - weight) + values[low + 1] * weight

        turns = from_vector(self.motion.keys[low]), from_vector(self.motion.keys[low + 1])
        path = between(self.motion.path)
        return to_vector(slerp(*turns, share[:, None])), path - path[0], between(self.motion.clearance)

    def _drifting(self, rng: np.random.Generator, frames: int, fps: float, made_up: bool):
        def still() -> np.ndarray:
            if made_up:
                return self.poses.random_keys(rng)
            return self.stills[rng.integers(len(self.stills))] + rng.normal(0, 0.06, (len(KEYS), 3))

        keys = np.tile(still(), (frames, 1, 1))
        if frames > 1:  # arms, head and chest move on to another pose, back and forth
            target = self.poses.random_keys(rng)
            moving = np.concatenate([_UPPER, [KEY["neck"], KEY["head"]]])
            phase = 0.5 - 0.5 * np.cos(np.arange(frames) / fps * rng.uniform(0.8, 2.5))
            keys[:, moving] = to_vector(
                slerp(from_vector(keys[:, moving]), from_vector(target[moving]), phase[:, None])
            )
        return keys, np.zeros((frames, 2)), np.zeros(frames)
