"""Tables of figures: for a person as Markdown, for a program as JSON."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ddp_video.hardware import choose_precision
from ddp_video.runs import versions


@dataclass(frozen=True)
class Table:
    """rows: of as many cells as there are columns. notes: how it was measured, sentences."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple]
    notes: str = ""

    def markdown(self) -> str:
        lines = [self.columns, ("---",) * len(self.columns), *(tuple(map(_cell, row)) for row in self.rows)]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join(text for text in (f"## {self.title}", table, self.notes) if text) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return (
        f"{value:.3g}"
        if isinstance(value, float) and abs(value) < 100
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )


def machine(device: str) -> dict:
    """Where the figures come from."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {
        "cpu": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": round(os.getloadavg()[0], 2),
        "gpu": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        "precision": choose_precision(torch.device(device)),
        **versions(),
    }


def save(folder: Path, facts: dict, tables: dict[str, Table]) -> None:
    """Write benchmarks.json and benchmarks.md."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"machine": facts, "tables": {name: asdict(table) for name, table in tables.items()}}
    (folder / "benchmarks.json").write_text(json.dumps(content, indent=1) + "\n")
    where = ", ".join(f"{key} {value}" for key, value in facts.items() if value is not None)
    (folder / "benchmarks.md").write_text("\n".join([where + "\n", *(table.markdown() for table in tables.values())]))
