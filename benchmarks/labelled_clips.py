"""Make short labelled clips that try temporal smoothing: everything that moves in a way smoothing may spoil.

python benchmarks/labelled_clips.py people.pack OUT --seed 100 [--kinds far crossing] [--frames 24] [--per-kind 2]
ddp-video infer OUT/*.mp4 -o raw && ddp-video smooth raw/* -o smooth
ddp-video evaluate-stability raw smooth --truth OUT

Writes KIND_SEED_N.mp4 and the folder KIND_SEED_N of its frames, label maps and exact flow. A seed is a row of clips of its
own: choose settings on one, and prove them on another.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from ddp_video.synthesis.clips import write_clip
from ddp_video.synthesis.generator import Generator
from ddp_video.synthesis.motion import CAPTURE_FPS, Performance
from ddp_video.synthesis.pose import random_curls
from ddp_video.synthesis.rotation import about_axis
from ddp_video.synthesis.scene import Scene

# Of each kind frames a second and the size (height, width).
KINDS = {
    "people": (25, (360, 480)),  # anybody, anyhow
    "far": (10, (480, 640)),  # small, and few frames a second, as surveillance cameras give
    "crossing": (25, (360, 480)),  # in front of each other
    "fast": (15, (360, 480)),  # dance, boxing, running, kicks
    "camera": (25, (360, 480)),  # a camera that pans and shakes
    "cut": (25, (360, 480)),  # to another scene, in the middle
}
WALKS = ("07", "08")  # CMU subjects
ATHLETES = ("02", "05", "09", "10", "11")


def play(generator: Generator, rng: np.random.Generator, subjects: tuple[str, ...], frames: int, fps: int):
    """A performance by one of some CMU subjects."""
    director = generator.scenes.director
    length = np.diff(director.motion.start)
    clips = [k for k, name in enumerate(director.motion.names) if str(name).split("_")[0] in subjects]
    clip = int(rng.choice(clips, p=length[clips] / length[clips].sum()))
    needed = (frames - 1) * CAPTURE_FPS / fps
    begin = rng.uniform(0, max(length[clip] - 1 - needed, 1))
    keys, path, clearance = director.play(clip, begin + np.arange(frames) * CAPTURE_FPS / fps)
    return Performance(keys, random_curls(rng), path, clearance)


def crossing(generator: Generator, rng: np.random.Generator, frames: int, fps: int) -> Scene:
    """Three people who walk past each other, each at a depth of his own, their ways' middles behind each other."""
    scenes = generator.scenes
    scene = scenes.draw(rng, frames, fps, "full")
    camera = scene.camera
    ahead = camera.rotation[:, 2] * [1, 1, 0]
    ahead /= np.linalg.norm(ahead)
    actors = []
    for number, depth in enumerate((5.0, 6.2, 7.4)):
        performance = play(generator, rng, WALKS, frames, fps)
        person = scenes.wardrobe.draw(rng)
        way = performance.path[-1] - performance.path[0]
        across = np.array([ahead[1], -ahead[0]]) * (-1) ** number
        turn = about_axis("Z", np.arctan2(across[1], across[0]) - np.arctan2(way[1], way[0]) + rng.normal(0, 0.2))
        middle = (performance.path.min(0) + performance.path.max(0)) / 2
        place = camera.position[:2] + depth * ahead[:2] - turn[:2, :2] @ middle * person.leg
        actors.append(scenes.actor(person, performance, turn, place))
    eye = replace(camera, position=np.array([*camera.position[:2], 1.5]), focal=1.1)
    target = np.array([*(eye.position[:2] + 6 * ahead[:2]), 0.9])
    eye = replace(eye.looking(eye.position, target, 0.0, 1.1, eye.aspect), velocity=camera.velocity, spin=camera.spin)
    return replace(scene, actors=actors, camera=eye, props=[])


def compose(kind: str, generator: Generator, rng: np.random.Generator, frames: int, fps: int) -> list[Scene]:
    """The shots of one clip."""
    scenes = generator.scenes
    if kind == "cut":
        return [scenes.draw(rng, frames // 2, fps, "full"), scenes.draw(rng, frames - frames // 2, fps, "group")]
    if kind == "crossing":
        return [crossing(generator, rng, frames, fps)]
    scene = scenes.draw(rng, frames, fps, "far" if kind == "far" else str(rng.choice(["full", "group"])))
    if kind == "fast":
        for actor in scene.actors:
            actor.performance = play(generator, rng, ATHLETES, frames, fps)
            actor.forget(frames)
    if kind == "camera":
        pan = rng.normal(0, 0.5, 3) * [0.6, 1, 0.2] / fps
        camera = replace(scene.camera, spin=pan, velocity=rng.normal(0, 0.8, 3) * [1, 1, 0.2] / fps)
        scene = replace(scene, camera=camera.at(-frames / 2))
    return [scene]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--per-kind", type=int, default=2)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    generators = {}
    for kind in arguments.kinds:
        fps, size = KINDS[kind]
        generator = generators.setdefault(size, None) or Generator(arguments.pack, size)
        generators[size] = generator
        for number in range(arguments.per_kind):
            rng = np.random.default_rng([arguments.seed, list(KINDS).index(kind), number])
            shots = compose(kind, generator, rng, arguments.frames, fps)
            name = f"{kind}_{arguments.seed}_{number}"
            shot = chain.from_iterable(generator.shot(scene, rng) for scene in shots)
            write_clip(arguments.output / name, arguments.output / f"{name}.mp4", shot, Fraction(fps))
            print(name, flush=True)


if __name__ == "__main__":
    main()
