"""What can go wrong with the world outside our code.

The library raises these (and `ValueError` for a wrong argument); only `cli/` turns them into one line and an exit
code. A message says what was given, what was needed and what to try.
"""


class DDPVideoError(Exception):
    """Base of every error that a user can cause or meet; its text is fit to be shown as it is."""


class VideoOpenError(DDPVideoError):
    """The input is missing, is not a video, or holds no picture stream."""


class DecodeError(DDPVideoError):
    """A video that opened could not be decoded any further."""


class OutputError(DDPVideoError):
    """Something could not be written: folder not writable, disk full, already in use."""


class WeightsError(DDPVideoError):
    """A weights file is missing, damaged, of another kind, or does not fit its own configuration."""


class PredictionsError(DDPVideoError):
    """A run folder or its store is missing, damaged, or of another version."""


class DataError(DDPVideoError):
    """A dataset or asset folder is missing, partial or damaged."""


class NoPicturesError(DataError):
    """A dataset is there, but holds no picture of the kind asked for."""


class TrainingError(DDPVideoError):
    """Training cannot go on: a loss that is not finite, a checkpoint of another run."""
