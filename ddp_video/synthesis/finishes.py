"""Material rows (see `materials`) of skin, eyes, hair, clothes and the things that people carry."""

from __future__ import annotations

import numpy as np

from ddp_video.synthesis import materials as m
from ddp_video.synthesis.colours import EYES, cloth_colour, ends_of_hair
from ddp_video.synthesis.identity import Identity
from ddp_video.synthesis.outfits import Levels

_ENDS_BELOW = (0.5, 0.68)  # canonical height, m: from the shoulders to the eyes


def _row(kind: int, specular: float, shininess: float) -> np.ndarray:
    row = np.zeros(m.COLUMNS, np.float32)
    row[m.KIND], row[m.SPECULAR], row[m.SHININESS] = kind, specular, shininess
    return row


def dye(row: np.ndarray, first: int, rng: np.random.Generator) -> None:
    """Two colours and a pattern into the columns from `first` on."""
    row[first : first + 3] = cloth_colour(rng)
    shade = np.clip(row[first : first + 3] * rng.choice([0.45, 1.9]) + 0.05, 0, 1)  # half the patterns are tone on tone
    row[first + 3 : first + 6] = cloth_colour(rng) if rng.random() < 0.5 else shade
    patterned = 0.3 if first == m.UPPER else 0.12
    row[first + m.PATTERN] = rng.integers(1, m.NUM_PATTERNS) if rng.random() < patterned else m.SOLID
    row[first + m.FREQUENCY] = rng.uniform(30, 220)


def blend_in(rng: np.random.Generator, rows: np.ndarray, colour: np.ndarray, whole: bool) -> None:
    """Dye somebody's clothes, the upper, the lower or both (always if `whole`), in about a colour [3] BGR.

    rows: [M, COLUMNS] the person's materials, changed in place.
    """
    which = "both" if whole else rng.choice(["upper", "lower", "both"], p=[0.5, 0.2, 0.3])
    clothes = np.isin(rows[:, m.KIND], (m.SKIN, m.CLOTH))
    for name, first in (("upper", m.UPPER), ("lower", m.LOWER)):
        if which in (name, "both"):
            rows[clothes, first : first + 3] = np.clip(colour * rng.uniform(0.8, 1.25) + rng.normal(0, 0.03, 3), 0, 1)
            rows[clothes, m.TINT] = np.maximum(rows[clothes, m.TINT], 0.85)


def skin(rng: np.random.Generator, identity: Identity, levels: Levels, painted: bool, shod: bool) -> np.ndarray:
    """Skin, and the clothes that are painted on it: close-fitting ones, socks, gloves."""
    row = _row(m.SKIN, rng.uniform(0.02, 0.07), 12)
    row[m.WRINKLE], row[m.WRINKLE_SCALE] = rng.uniform(0.05, 0.3), rng.uniform(1.2, 3.0)
    for first in (m.UPPER, m.LOWER):
        dye(row, first, rng)
    if rng.random() < 0.15:
        row[m.LOWER : m.LOWER + 8] = row[m.UPPER : m.UPPER + 8]
    row[m.WAIST], row[m.NECK], row[m.SLEEVE], row[m.TROUSER], row[m.SOCK], row[m.GLOVE] = -9, -9, -9, 0, 2, 2
    if painted:
        row[m.WAIST] = levels.waist + rng.uniform(-0.06, 0.08)
        row[m.NECK] = levels.neck + rng.uniform(-0.03, 0.04)
        row[m.SLEEVE] = rng.choice([0.12, 0.45, 0.6, 1.5, 1.93, 1.95])
        row[m.TROUSER] = rng.choice([0.22, 0.45, 0.8, 1.5, 1.9, 1.95], p=[0.12, 0.2, 0.13, 0.1, 0.25, 0.2])
        if identity.adult and identity.female and rng.random() < 0.08:  # a one-piece swimsuit
            row[m.WAIST], row[m.TROUSER] = -9, 0.2
        elif identity.adult and not identity.female and rng.random() < 0.08:  # bathing trunks
            row[m.NECK], row[m.TROUSER] = -9, max(0.3, min(row[m.TROUSER], 0.5))
    if rng.random() < (0.55 if shod else 0.7):
        row[m.SOCK] = rng.uniform(0.6, 0.98)
    if rng.random() < 0.06:
        row[m.GLOVE] = rng.uniform(0.8, 1.0)
    row[m.SOCK_COLOUR : m.SOCK_COLOUR + 3] = cloth_colour(rng)
    row[m.GLOVE_COLOUR : m.GLOVE_COLOUR + 3] = cloth_colour(rng)
    row[m.TONE : m.TONE + 3] = identity.skin_tone
    return row


def eye(rng: np.random.Generator) -> np.ndarray:
    row = _row(m.EYE, 0.5, 60)
    row[m.UPPER : m.UPPER + 3] = EYES[rng.choice(len(EYES), p=[0.4, 0.3, 0.2, 0.1])]
    return row


def cut_cloth(rng: np.random.Generator, mean_luminance: float) -> np.ndarray:
    """Cloth of our own tailor, of a weave as bright as told."""
    row = _row(m.CLOTH, rng.uniform(0, 0.06), 8)
    row[m.TINT], row[m.MEAN_LUMINANCE] = 1, mean_luminance
    row[m.WRINKLE], row[m.WRINKLE_SCALE] = rng.uniform(0.04, 0.26), rng.uniform(0.8, 2.0)
    dye(row, m.UPPER, rng)
    row[m.WAIST], row[m.LOWER : m.LOWER + 10] = -9, row[m.UPPER : m.UPPER + 10]
    return row


def garment(
    rng: np.random.Generator, kind: str, mean_luminance: float, waist: float, worn_over: np.ndarray, hair: np.ndarray
) -> np.ndarray:
    """A garment of the pack, its texture as bright as told; suits take the dyes of the row `worn_over`."""
    if kind in ("hair", "brow"):
        row = _row(m.HAIR, *((rng.uniform(0.01, 0.06), 14) if kind == "hair" else (0, 1)))
        row[m.TINT], row[m.UPPER : m.UPPER + 3] = rng.uniform(0.4, 1), hair
        row[m.WAIST] = rng.uniform(*_ENDS_BELOW)
        row[m.UPPER + 3 : m.UPPER + 6] = ends_of_hair(rng, hair) if kind == "hair" else hair
    else:
        row = _row(m.CLOTH, *((rng.uniform(0.05, 0.3), 20) if kind == "shoes" else (0.03, 8)))
        row[m.WAIST] = waist
        row[m.UPPER : m.LOWER + 10] = worn_over[m.UPPER : m.LOWER + 10]
        row[m.WRINKLE], row[m.WRINKLE_SCALE] = rng.uniform(0, 0.2), rng.uniform(1.5, 3.5)
        row[m.TINT] = rng.choice([0, 0.6, 0.85, 1.0] if kind == "suit" else [0, 0.5, 0.9])
        if kind in ("shoes", "hat"):
            row[m.UPPER : m.UPPER + 3] = row[m.LOWER : m.LOWER + 3] = cloth_colour(rng)
            row[m.UPPER + m.PATTERN] = row[m.LOWER + m.PATTERN] = m.SOLID
            row[m.WRINKLE] = 0
    row[m.MEAN_LUMINANCE] = max(mean_luminance, 0.08)
    return row


def thing(rng: np.random.Generator) -> np.ndarray:
    """Plastic, leather or metal in one colour."""
    return plain(cloth_colour(rng), rng.uniform(0.02, 0.4), 25)


def tied_hair(rng: np.random.Generator, hair: np.ndarray) -> np.ndarray:
    """Hair without strands of its own, in about the hair's colour [3] BGR."""
    return plain(np.clip(0.8 * hair, 0, 1), rng.uniform(0.01, 0.05), 14)


def plain(colour: np.ndarray, specular: float, shininess: float) -> np.ndarray:
    """One colour [3] BGR."""
    row = _row(m.PLAIN, specular, shininess)
    row[m.UPPER : m.UPPER + 3] = row[m.UPPER + 3 : m.UPPER + 6] = colour
    return row
