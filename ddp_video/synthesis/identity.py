"""Who somebody is: age, sex, build, origin, face, skin and hair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddp_video.synthesis.colours import hair_colour

# Faces: movements that go together, and how strong they may be.
_FACES = {
    "neutral": {},
    "smile": {"mouthSmile": 0.9, "cheekSquint": 0.5},
    "laugh": {"mouthSmile": 1.0, "jawOpen": 0.5, "cheekSquint": 0.8, "eyeSquint": 0.5},
    "talk": {"jawOpen": 0.45, "mouthFunnel": 0.4, "mouthLowerDown": 0.4},
    "surprise": {"eyeWide": 0.9, "browInnerUp": 0.8, "browOuterUp": 0.8, "jawOpen": 0.6},
    "frown": {"browDown": 0.9, "mouthFrown": 0.7, "eyeSquint": 0.4},
    "closed eyes": {"eyeBlink": 1.0},
    "pout": {"mouthPucker": 0.9},
}
_FACE_ODDS = (0.36, 0.2, 0.1, 0.16, 0.05, 0.06, 0.04, 0.03)


@dataclass(frozen=True)
class Identity:
    """phenotype: the body's values by name (see BodyModel.coefficients). face: strengths of facial movements. hair: [3]
    BGR. skin_tone: [3] BGR factors on the skin's texture."""

    phenotype: dict[str, float]
    face: dict[str, float]
    hair: np.ndarray
    skin_tone: np.ndarray

    @property
    def female(self) -> bool:
        return self.phenotype["gender"] > 0.5

    @property
    def old(self) -> bool:
        return self.phenotype["age"] > 0.85

    @property
    def adult(self) -> bool:
        return self.phenotype["age"] > 0.55

    def skin(self, names: list[str], rng: np.random.Generator) -> str:
        """The skin texture that suits best, by MakeHuman's names."""
        age = "old" if self.old else "middleage" if self.phenotype["age"] > 0.75 else "young"
        dark = self.phenotype["african"] > 0.5

        def score(name: str) -> int:
            same_sex = ("_female" if self.female else "_male") in name
            return 4 * same_sex + 2 * (("dark" in name) == dark) + name.startswith(age)

        best = max(map(score, names))
        return str(rng.choice([n for n in names if score(n) == best]))


def draw_identity(rng: np.random.Generator, movements: list[str]) -> Identity:
    """A random person. movements: names of the facial movements that there are, some with Left and Right."""
    phenotype = _phenotype(rng)
    chosen = _FACES[rng.choice(list(_FACES), p=_FACE_ODDS)]
    face: dict[str, float] = {}
    for movement, strength in chosen.items():
        amount = strength * rng.uniform(0.4, 1.0)
        for name in movements:
            if name.removesuffix("Left").removesuffix("Right") == movement:
                face[name] = amount * rng.uniform(0.8, 1.0)
    tone = rng.uniform(0.8, 1.12) * np.array([rng.uniform(0.93, 1.05), 1, rng.uniform(0.97, 1.05)])
    if rng.random() < 0.03:  # an avatar, or paint
        tone = rng.uniform(0.3, 1.4) * rng.uniform(0.6, 1.2, 3)
    return Identity(phenotype, face, hair_colour(rng, phenotype["age"] > 0.85), np.clip(tone, 0.2, 1.4))


def _phenotype(rng: np.random.Generator) -> dict[str, float]:
    gender = rng.random() * 0.25
    if rng.random() < 0.5:
        gender = 1 - gender
    age = rng.choice([rng.uniform(0.6, 0.8), rng.uniform(0.8, 1.0), rng.uniform(0.15, 0.6)], p=[0.65, 0.17, 0.18])
    african, asian, caucasian = rng.dirichlet([0.5, 0.5, 0.5])

    def around_half(spread: float, low: float = 0.0) -> float:
        return float(np.clip(rng.normal(0.5, spread), low, 1))

    return {
        "gender": gender,
        "age": age,
        "muscle": around_half(0.2),
        "weight": around_half(0.22, 0.05),
        "height": around_half(0.2),
        "proportions": rng.uniform(0.2, 1),
        "cupsize": rng.uniform(0.1, 0.9),
        "firmness": rng.uniform(0.2, 0.8),
        "african": african,
        "asian": asian,
        "caucasian": caucasian,
    }
