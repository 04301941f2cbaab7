"""`ddp-video label`."""

from __future__ import annotations

from pathlib import Path

import click

from ddp_video.cli.options import progress_bar, quiet_option

SCORE_THRESHOLD = 0.3  # the teachers sort out what is none


@click.command()
@click.argument("frames", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the label maps.")
@click.option(
    "--bodypix", required=True, type=click.Path(path_type=Path), help="BodyPix .tflite file, output stride 16."
)
@click.option(
    "--blazepose",
    required=True,
    type=click.Path(path_type=Path),
    help="pose_landmark_full.tflite or pose_landmark_heavy.tflite of MediaPipe.",
)
@click.option(
    "--keypoints",
    type=click.Path(path_type=Path),
    help="COCO keypoints JSON of these pictures: its people and their left and right are believed.",
)
@click.option("--model", default="ddp_lite", show_default=True, help="Shipped weights, or a .safetensors file of ours.")
@click.option("--device", default="auto", show_default=True, help="Of our model: auto, cpu, cuda, cuda:1 ...")
@click.option(
    "--size",
    type=click.IntRange(min=64),
    help="Our model sees frames with this short side, px.  [as `infer`]",
)
@quiet_option
def label(frames, output, bodypix, blazepose, keypoints, model, device, size, quiet):
    """Make label maps for a folder of real FRAMES, to train on with --data maps:OUTPUT.

    What BodyPix, BlazePose and our own model agree on is labelled, be it the chart or only the kind of limb, the rest stays
    open. No human hand is needed; joints that people marked (--keypoints) name limbs and make left and right surer. Needs
    LiteRT: pip install "ddp-video[teachers]". Pictures that have maps already are left alone, so that an interrupted job goes
    on.
    """
    from ddp_video.model.predictor import DDPPredictor
    from ddp_video.model.weights import load_model
    from ddp_video.teachers.annotated import read_annotated
    from ddp_video.teachers.blazepose import BlazePose
    from ddp_video.teachers.bodypix import BodyPix
    from ddp_video.teachers.labelling import Labeller, label_folder

    annotated = None if keypoints is None else read_annotated(keypoints)
    predictor = DDPPredictor(load_model(model), device, size=size, score_threshold=SCORE_THRESHOLD)
    labeller = Labeller(predictor, BodyPix(bodypix), BlazePose(blazepose))
    with progress_bar("frames", quiet, " frames") as progress:
        tally = label_folder(frames, output, labeller, progress, annotated)
    if not quiet:
        click.echo(f"{output}: {tally.written} frames with {tally.people} people; {tally.skipped} left out")
