"""Synthetic people: rendered images whose dense pose, depth and flow are known exactly.

`pack` holds everything that generation needs; `assets` builds it once from the open assets. Generation goes
scene -> raster -> labels, shade -> post, and `dataset` writes what comes out. Nothing here imports torch.
"""
