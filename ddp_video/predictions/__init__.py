"""Predictions on disk: a Zarr store that is written block by block and read frame by frame."""

from ddp_video.predictions.reader import Predictions, open_predictions
from ddp_video.predictions.rounding import round_to_half
from ddp_video.predictions.writer import PredictionWriter, remove_store

__all__ = ["PredictionWriter", "Predictions", "open_predictions", "remove_store", "round_to_half"]
