"""The order in which people count: frame9.png before frame10.png."""

from __future__ import annotations

import re
from pathlib import Path


def natural_key(name: Path | str) -> list:
    """Sort key of file names by which the numbers in them count as numbers."""
    pieces = [piece for piece in re.split(r"([0-9]+)", str(name)) if piece]
    return [(0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in pieces]
