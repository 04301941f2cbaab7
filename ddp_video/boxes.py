"""Boxes, [N, 4] xyxy px."""

from __future__ import annotations

import numpy as np


def area(boxes: np.ndarray) -> np.ndarray:
    """[N] px."""
    return np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(1)


def intersection(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """[N, M] px shared by boxes [N, 4] and [M, 4]."""
    sides = np.minimum(first[:, None, 2:], second[:, 2:]) - np.maximum(first[:, None, :2], second[:, :2])
    return np.maximum(sides, 0).prod(2)


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """[N, M] shared area over that of both; 0 where both are empty."""
    shared = intersection(first, second)
    return shared / np.maximum(area(first)[:, None] + area(second) - shared, 1e-9)
