"""The rows of the table of gpu.py: what is read from the output of its steps."""

import dataclasses
import json
import re


@dataclasses.dataclass(frozen=True)
class Figure:
    """A row: what was found, and what it should be."""

    name: str
    value: str
    goal: str = ""
    is_well: bool = True


def selfchecked(said: str) -> list[Figure]:
    """Of `search selfcheck --json`."""
    found = json.loads(said)
    worst = max(max(network["losses"], network["weights"]) for network in found["networks"])
    name, goal = f"{found['engine']}: distance from float64, in autograd's", f"at most {found['allowed']}"
    figures = [Figure(name, f"{worst:.2f}", goal, all(network["agrees"] for network in found["networks"]))]
    if found["teams"]:
        right = [team for team, is_right in found["teams"].items() if is_right]
        goal = f"those of {', '.join(found['teams'])}"
        figures.append(
            Figure("teams with one block's bits", ", ".join(right) or "none", goal, all(found["teams"].values()))
        )
    return figures


def suite(said: str) -> list[Figure]:
    """Of pytest."""
    last = next((line for line in reversed(said.splitlines()) if "passed" in line or "failed" in line), "no test ran")
    is_well = "passed" in last and not re.search(r"failed|error", last)
    return [Figure("conformance suite", last.strip("= "), "all passed", is_well)]


def sanitized(said: str) -> list[Figure]:
    """Of compute-sanitizer."""
    lines = [line.strip("= ") for line in said.splitlines() if "SUMMARY" in line] or ["no summary"]
    ended = "Target application returned an error" not in said  # then it may have launched nothing
    wells = [ended and bool(re.search(r"SUMMARY: 0 (errors|hazards)", each)) for each in lines]
    return [Figure("sanitizer", each, "0", is_well) for each, is_well in zip(lines, wells, strict=True)]


def single(said: str) -> list[Figure]:
    """Of `measure_single`."""
    figures = []
    for row in json.loads(said):
        shape = f"({row['batch_size']}, {row['depth']}, {row['width']})"
        figures.append(Figure(f"{shape} alone, us a step", f"{row['alone']:.1f}"))
        figures.append(
            Figure(f"{shape} alone, x notebook", f"{row['x_notebook']:.1f}", "at least 20", row["x_notebook"] >= 20)
        )
        figures.append(Figure(f"{shape} alone, x plain PyTorch", f"{row['x_reference']:.1f}"))
        figures.append(Figure(f"{shape} in a team of {row['team']}, us a step", f"{row['in_team']:.1f}"))
        share = "unknown" if row["share"] is None else f"{100 * row['share']:.0f} %"
        figures.append(Figure(f"{shape}, {row['together']} at once, us a step of each", f"{row['shared']:.2f}"))
        figures.append(Figure(f"{shape}, {row['together']} at once, of the device's limit", share))
    return figures


def slots(said: str) -> list[Figure]:
    """Of slots.py."""
    crew, _, _, ratio, *_ = said.splitlines()[-1].split()
    return [Figure(f"slots, {crew} beside 1x1", f"{ratio} times", "at least 10", float(ratio) >= 10)]


def whole(said: str) -> list[Figure]:
    """Of whole_space.py."""
    hours, error = map(float, re.findall(r"all: ([\d.]+) hours, standard error ([\d.]+)", said)[0])
    figures = [Figure("the whole space, hours", f"{hours:.2f} +- {error:.2f}", "at most 1", hours <= 1)]
    figures.append(Figure("of a sample", said.splitlines()[0].partition(" of ")[0] + " configurations"))
    for least in re.findall(r"limit: ([\d.]+) hours", said):
        figures.append(Figure("the whole space, of the device's limit", f"{100 * float(least) / hours:.0f} %"))
    return figures
