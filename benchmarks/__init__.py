"""What ddp-video costs, and beside what: `python -m benchmarks` measures inference and smoothing (DESIGN section 10)."""
