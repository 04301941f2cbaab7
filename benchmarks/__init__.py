"""What ddp-video costs, and beside what: `python -m benchmarks` measures inference and smoothing."""

import ddp_video  # noqa: F401 (before torch: how its threads wait is read when it loads)
