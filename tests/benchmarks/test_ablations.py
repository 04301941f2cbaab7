"""The table of ablations: rows that are finished are read, not made again."""

import json

from click.testing import CliRunner

from benchmarks.ablations import COLUMNS, main, measured
from ddp_video.train.config import WITHOUT


def test_what_a_run_measured_last(tmp_path):
    assert measured(tmp_path) is None
    lines = [{"step": 10, "loss": 3.0}, {"step": 20, "validation/part": 0.4}, {"step": 30, "loss": 2.0}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines[:1]))
    assert measured(tmp_path) is None
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert measured(tmp_path) == lines[1]


def test_a_finished_table_is_printed_without_data_or_training(tmp_path):
    for number, name in enumerate(("whole", *(f"without_{part}" for part in WITHOUT))):
        row = {"seconds": 9, **{f"validation/{column}": 0.1 * number for column in COLUMNS}}
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.jsonl").write_text(json.dumps(row) + "\n")
    found = CliRunner().invoke(main, ["--data", "maps:nowhere", "-o", str(tmp_path)], catch_exceptions=False)
    assert found.output.splitlines()[2] == "| whole | 0.000 | 0.000 | 0.000 | 0.000 | 9 |"
    assert len(found.output.splitlines()) == 3 + len(WITHOUT)
