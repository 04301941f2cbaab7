"""`python -m ddp_video` is the `ddp-video` command."""

from ddp_video.cli.main import main

main()
