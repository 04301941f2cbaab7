"""How predictions lie on disk: `predictions.zarr`, a Zarr v3 hierarchy, schema version 1.

The root group's attributes hold `schema`, `schema_version`, `block_frames` B, `header` (what the run says about itself,
free JSON) and `num_frames`, which is null until the run has finished. Frames n*B .. n*B+B-1 are the group `blocks/00000n`
(the last block may hold fewer). Blocks appear whole (written aside, then renamed) and their attributes are

    first_frame, num_frames   which frames these are
    frame_size, input_size    (H, W) px of the video and of the network's input, see `structures.Grid`; the stride-4 grid has
                              ceil(input_size / 4) = `grid_size` cells
    crc32                     of the decoded arrays (`checksum`), so that damage is found and named

Of F frames with N people, M active sites, P cells of masks and R run lengths in all, a block has these arrays. Each is one
chunk, compressed with zstd, with a CRC-32C of the compressed bytes behind it. (Level 1: logits hold little that repeats; shuffled
bytes would save 2 % more at half the speed.)

    pts               i64 [F]      presentation time, units of the video's time base
    pts_seconds       f64 [F]
    site_offsets      i64 [F+1]    sites of frame f of the block: rows site_offsets[f] .. site_offsets[f+1]-1
    sites             u16 [M, 2]   (y, x) on the grid
    owner             u16 [M]      the person of each site, counted from 0 within its frame
    logits            f16 [M, 75]  I 25 | U 25 | V 25
    instance_offsets  i64 [F+1]    people of frame f: rows instance_offsets[f] .. instance_offsets[f+1]-1, best score first
    boxes_xyxy        f32 [N, 4]   px of the video
    scores            f32 [N]
    track_id          i64 [N]      -1 = unknown
    crops_xyxy        u16 [N, 4]   cells x0 <= x < x1, y0 <= y < y1 that the mask logits of a person are stored for
    crop_logits       f16 [P, 2]   (person, dense pose) row by row, crop after crop; outside a crop both are -20
    rle_offsets       i64 [N+1]    run lengths of person n: rle_counts[rle_offsets[n] : rle_offsets[n+1]]
    rle_counts        u32 [R]      COCO run lengths (columns first) of the person's mask at the size of the video
    states            u8  [S]      a safetensors file of "frame/name" arrays: what a resumed run needs to go on at that frame
"""

from __future__ import annotations

import zlib

import numpy as np

from ddp_video.charts import IUV_CHANNELS

NAME = "ddp-video predictions"
VERSION = 1
# A killed run repeats at most so many frames, besides those that waited for later ones, and reading one frame unpacks so many.
BLOCK_FRAMES = 16
# What claims to be larger than so many bytes, and so many times as large as it is on disk, is damaged. (Only arrays of
# nothing but zeros are pressed further, and they are small.)
EASY_BYTES = 1 << 24
MOST_COMPRESSED = 256

# name: (dtype, shape of one row)
ARRAYS: dict[str, tuple[str, tuple[int, ...]]] = {
    "pts": ("int64", ()),
    "pts_seconds": ("float64", ()),
    "site_offsets": ("int64", ()),
    "sites": ("uint16", (2,)),
    "owner": ("uint16", ()),
    "logits": ("float16", (IUV_CHANNELS,)),
    "instance_offsets": ("int64", ()),
    "boxes_xyxy": ("float32", (4,)),
    "scores": ("float32", ()),
    "track_id": ("int64", ()),
    "crops_xyxy": ("uint16", (4,)),
    "crop_logits": ("float16", (2,)),
    "rle_offsets": ("int64", ()),
    "rle_counts": ("uint32", ()),
    "states": ("uint8", ()),
}


def block_name(number: int) -> str:
    return f"{number:06d}"


def checksum(arrays: dict[str, np.ndarray], facts: dict) -> int:
    """CRC-32 of the facts (attributes) and, in order of name, of the arrays' names, shapes and contents."""
    crc = zlib.crc32(repr(sorted(facts.items())).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        crc = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), crc)
        crc = zlib.crc32(array.view(np.uint8).data if array.size else b"", crc)
    return crc
