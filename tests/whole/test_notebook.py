"""The example notebook, executed as it is, on the real FashionMNIST."""

import pathlib

import nbclient
import nbformat
import pytest
from conftest import ROOT

NOTEBOOK = ROOT / "docs" / "lab.ipynb"
EPOCHS = 2  # of its trainings here: ten take four minutes, and other tests hold them


def text(cell: nbformat.NotebookNode) -> str:
    """What a cell has printed."""
    return "".join(output.get("text", "") for output in cell.outputs if output.get("name") == "stdout")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_notebook_runs(tmp_path: pathlib.Path, data_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From an empty storage to the report, cell by cell as it is; the studies beside it have two epochs."""
    (tmp_path / "studies").mkdir()
    for name in ("activation", "lab"):
        study = (ROOT / "studies" / f"{name}.toml").read_text()
        assert "\nepochs = 10\n" in study
        (tmp_path / "studies" / f"{name}.toml").write_text(study.replace("\nepochs = 10\n", f"\nepochs = {EPOCHS}\n"))
    monkeypatch.setenv("SEARCH_STORAGE", f"sqlite:///{tmp_path}/search.db")
    monkeypatch.setenv("SEARCH_DATA", str(data_dir.resolve()))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    committed = nbformat.read(NOTEBOOK, as_version=4)
    run = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(run, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    cells = {cell.id: cell for cell in run.cells if cell.cell_type == "code"}
    assert [cell.id for cell in run.cells] == [cell.id for cell in committed.cells]
    printed = "\n".join(map(text, cells.values()))
    assert "learning_rate" in printed
    assert f"trained again: the same curve, to the last bit ({EPOCHS} epochs)" in printed
    assert "with fresh seeds" in printed
    assert "report.html True" in printed
    pictures = [o for cell in cells.values() for o in cell.outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 2


def test_the_notebook_is_committed_with_its_results() -> None:
    """A reader sees tables and pictures without running it, and nothing of the machine that ran it."""
    committed = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in cells[1:])
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
    whole = NOTEBOOK.read_text()
    for private in ("/tmp/", "/home/", "/root/", "/work/", "site-packages"):
        assert private not in whole
