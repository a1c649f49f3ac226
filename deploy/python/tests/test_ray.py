"""The example for Ray on a few rows. `scripts/check-ray.py` and `check-engines.py` run it on many."""

import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from classifold import Scorer

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "ray_score.py"

pytest.importorskip("ray", reason='needs `pip install "ray[data]" aiohttp`')


def test_the_example_scores_each_row_once(model, tmp_path):
    paths = []
    for number in range(40):
        paths.append(tmp_path / f"{number}.ppm")
        paths[-1].write_bytes(b"P6 3 2 255 " + bytes([6 * number, 9, 200] * 6) if number != 7 else b"a text")
    index = tmp_path / "index.parquet"
    table = pyarrow.table({"id": [f"row {number}" for number in range(40)], "uri": [str(path) for path in paths]})
    pyarrow.parquet.write_table(table, index)
    command = [sys.executable, EXAMPLE, model, index, tmp_path / "scores", "--workers", "1", "--batch", "16"]
    # The second time all rows are in the checkpoint, and are not scored again.
    for _ in range(2):
        subprocess.run([*map(str, command), "--checkpoint", str(tmp_path / "state")], check=True)
    scores = pyarrow.parquet.read_table(tmp_path / "scores")
    found = {row.pop("id"): row for row in scores.to_pylist()}
    expected = Scorer(model)(pyarrow.table({"path": [str(path) for path in paths]})).drop_columns(["path"]).to_pylist()
    assert scores.num_rows == len(found) == 40
    for number, row in enumerate(expected):
        answer = found[f"row {number}"]
        assert answer.pop("uri") == str(paths[number])
        # Without the text of the error: it names the path, which the example has no use for.
        errors = [other.pop("error") is None for other in (answer, row)]
        assert errors == [number != 7] * 2
        assert answer == row
