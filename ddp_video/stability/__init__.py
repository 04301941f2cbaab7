"""Stability of dense-pose videos, measured side by side and reported."""

from ddp_video.stability.evaluation import StabilityResult, evaluate_stability, pool

__all__ = ["StabilityResult", "evaluate_stability", "pool"]
