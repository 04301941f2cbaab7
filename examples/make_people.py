"""Make examples/people.mp4: three synthetic people in a room, a camera that drifts.

ddp-video synthesize assets --makehuman DIR --mocap FILE --backgrounds DIR -o people.pack
python examples/make_people.py people.pack examples/people.mp4
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from ddp_video.synthesis.backdrop import BackdropMaker
from ddp_video.synthesis.camera import Camera
from ddp_video.synthesis.generator import Generator
from ddp_video.synthesis.motion import CAPTURE_FPS, Performance
from ddp_video.synthesis.pose import random_curls
from ddp_video.synthesis.post import Look
from ddp_video.synthesis.rotation import about_axis
from ddp_video.synthesis.scene import Scene
from ddp_video.video import VideoWriter

SEED = 23
FRAMES, FPS = 88, 25
HEIGHT, WIDTH = 480, 854
# CMU clip, first captured frame, place on the ground (m; the camera is at the origin and looks along +y), turn (degrees).
CAST = (
    ("07_05", 8, (-2.1, 5.4), 100),  # walks past
    ("13_26", 60, (0.9, 4.3), -20),  # directs traffic
    ("05_13", 20, (-0.2, 6.6), 30),  # dances
)
FREE_TO_SHARE = ("caltech", "intel")  # photographs under CC BY 4.0


def compose(generator: Generator, rng: np.random.Generator) -> Scene:
    """The cast in a room."""
    scenes, backdrops = generator.scenes, generator.scenes.backdrops
    shared = [k for k, name in enumerate(backdrops.names) if name.startswith(FREE_TO_SHARE)]
    backdrops = BackdropMaker(
        backdrops.tiles, [backdrops.photographs[k] for k in shared], [backdrops.names[k] for k in shared]
    )
    clips = list(scenes.director.motion.names)
    actors = []
    for clip, begin, place, degrees in CAST:
        time = begin + np.arange(FRAMES) * CAPTURE_FPS / FPS
        keys, path, clearance = scenes.director.play(clips.index(clip), time)
        performance = Performance(keys, random_curls(rng), path, clearance)
        turn = about_axis("Z", np.radians(degrees))
        actors.append(scenes.actor(scenes.wardrobe.draw(rng), performance, turn, np.array(place)))
    camera = Camera.looking(np.array([0, 0, 1.5]), np.array([0, 5.0, 0.95]), 0.0, 1.5, WIDTH / HEIGHT)
    camera = replace(camera, velocity=np.array([0.006, 0.004, 0]), spin=np.array([0, -0.0012, 0]))
    backdrop = backdrops.draw(rng, camera, np.array([a.place for a in actors]), "room")
    lights, ambient = scenes.light(rng, backdrop)
    look = replace(Look.draw(rng), grey=False, noise=0.006, blur=0.4, jpeg=0)
    return Scene(actors, camera, backdrop, [], lights, ambient, shadow=0.7, defocus=0.8, look=look, frames=FRAMES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(SEED)
    generator = Generator(arguments.pack, (HEIGHT, WIDTH))
    scene = compose(generator, rng)
    with VideoWriter(arguments.output, (HEIGHT, WIDTH), Fraction(1, FPS), Fraction(FPS), crf=25) as writer:
        for t, item in enumerate(generator.shot(scene, rng)):
            writer.write(np.ascontiguousarray(item.frame.image), t)


if __name__ == "__main__":
    main()
