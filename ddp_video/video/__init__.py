"""Video in and out: the only room that imports PyAV."""

from ddp_video.video.info import Frame, VideoInfo
from ddp_video.video.png_writer import PngSequenceWriter
from ddp_video.video.reader import VideoReader
from ddp_video.video.writer import VideoWriter

__all__ = ["Frame", "PngSequenceWriter", "VideoInfo", "VideoReader", "VideoWriter"]
