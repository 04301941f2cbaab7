"""What people put on: cuts of loose clothes that go together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddp_video.synthesis.tailor import Cut, Skirt


@dataclass(frozen=True)
class Levels:
    """Canonical heights, m, that cuts refer to."""

    neck: float
    waist: float
    crotch: float
    brow: float


def draw_outfit(rng: np.random.Generator, levels: Levels, female: bool) -> list[tuple[str, Cut | Skirt]]:
    """Garments from the innermost outwards: ('bottom' or 'top', its cut). A dress is two 'top' pieces."""
    u = rng.uniform
    if female and rng.random() < 0.35:  # a dress
        sleeves = rng.choice([0.12, 0.35, 0.8, 1.9], p=[0.4, 0.3, 0.15, 0.15])
        bodice = Cut(levels.neck - u(0.0, 0.08), levels.waist - 0.06, sleeves, 0, u(0.004, 0.012), u(0, 0.02), 6)
        return [("top", bodice), ("top", Skirt(_hem(rng, levels), levels.waist + 0.02, u(-0.05, 0.5)))]
    garments: list[tuple[str, Cut | Skirt]] = []
    if female and rng.random() < 0.3:
        garments.append(("bottom", Skirt(_hem(rng, levels), levels.waist + 0.05, u(-0.05, 0.5))))
    else:
        legs = rng.choice([0.45, 0.85, 1.5, 1.93], p=[0.13, 0.12, 0.08, 0.67])
        wide = rng.random() < 0.35
        ease, flare = (u(0.012, 0.035), u(0.005, 0.05)) if wide else (u(0.004, 0.012), u(-0.002, 0.02))
        garments.append(("bottom", Cut(levels.waist + u(0.0, 0.05), -9, 0, legs, ease, flare, int(u(4, 14)))))
    kind = rng.choice(["shirt", "long", "loose", "tank", "coat"], p=[0.36, 0.24, 0.2, 0.06, 0.14])
    hem = levels.waist - u(0.03, 0.14)
    top = levels.neck - u(0.0, 0.05)
    if kind == "shirt":
        garments.append(("top", Cut(top, hem, u(0.45, 0.9), 0, u(0.008, 0.02), u(0.005, 0.03), int(u(5, 14)))))
    elif kind == "long":
        garments.append(("top", Cut(top, hem, rng.choice([1.5, 1.93]), 0, u(0.006, 0.018), u(0, 0.012), int(u(5, 14)))))
    elif kind == "loose":  # hoodies and jumpers
        garments.append(("top", Cut(top + 0.02, hem, 1.95, 0, u(0.02, 0.045), u(-0.01, 0.01), int(u(14, 30)))))
    elif kind == "tank":
        garments.append(("top", Cut(top - u(0.02, 0.06), hem, 0.1, 0, u(0.004, 0.012), 0, 5)))
    else:  # coats reach over the legs
        ease = u(0.022, 0.04)
        garments.append(("top", Cut(top + 0.02, levels.waist - 0.08, 1.95, 0, ease, u(0, 0.015), int(u(12, 25)))))
        garments.append(("top", Skirt(_hem(rng, levels), levels.waist + 0.03, u(0.1, 0.35))))
    return garments


def _hem(rng: np.random.Generator, levels: Levels) -> float:
    """Canonical height of a skirt's lower edge: from mini to below the knee."""
    return levels.crotch - rng.uniform(0.08, 0.62)
