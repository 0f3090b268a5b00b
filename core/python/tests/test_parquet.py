"""The command's Parquet, as Polars, pandas and DuckDB read it, beside the CSV of the same results."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

pl = pytest.importorskip("polars")
pd = pytest.importorskip("pandas")
duckdb = pytest.importorskip("duckdb")

# Without tasks there is no delay: more rows than Polars looks at begin with empty cells.
SCENARIO = """(
    name: "swept",
    system: (devices: 4, servers: 2, slots: 10),
    tasks: (arrival_probability: 0.0, deadline_slots: 10),
    policies: [(plugin: "all-local"), (plugin: "random", name: "a, \\"b\\" ☃")],
    evaluate: (episodes: 120, seed: 18446744073709551615),
    sweep: { "tasks.arrival_probability": [0.0, 0.4], "system.devices": [4, 6],
             "energy": [Published, Physical] },
)"""

TABLES = ["episodes", "power-modes", "delays", "timing"]


def offramp(*arguments: object) -> bytes:
    command = os.environ.get("OFFRAMP_COMMAND")
    if not command:
        pytest.skip("OFFRAMP_COMMAND names no command")
    return subprocess.run([command, *map(str, arguments)], check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with its tables as Parquet."""
    folder = tmp_path_factory.mktemp("parquet")
    scenario = folder / "swept.ron"
    scenario.write_text(SCENARIO)
    offramp("run", scenario, "--out", folder / "run")
    offramp("report", folder / "run", "--parquet", folder / "run")
    return folder / "run"


def from_csv(source) -> pl.DataFrame:
    return pl.read_csv(source, infer_schema_length=None)


@pytest.mark.parametrize("table", ["runs", *TABLES])
def test_all_readers_agree(folder, table):
    path = folder / f"{table}.parquet"
    frame = pl.read_parquet(path)
    assert frame.height > 0
    assert frame.equals(duckdb.sql(f"select * from '{path}'").pl())
    assert frame.equals(pl.from_pandas(pd.read_parquet(path), schema_overrides=frame.schema))
    assert frame.schema["seed"] == pl.UInt64
    assert set(frame["seed"]) == {18446744073709551615}
    assert frame.schema["system.devices"] == pl.Int64
    assert frame.schema["tasks.arrival_probability"] == pl.Float64
    assert frame["sweep.energy"].unique().sort().to_list() == ["Physical", "Published"]


@pytest.mark.parametrize("table", TABLES)
def test_tables_are_those_of_the_csv_files(folder, table):
    frame = pl.read_parquet(folder / f"{table}.parquet")
    csv = from_csv(folder / f"{table}.csv")
    if table == "delays":
        assert frame.schema["done_by_delay"] == pl.List(pl.Int64)
        counts = csv["done_by_delay"].fill_null("").to_list()
        assert frame["done_by_delay"].to_list() == [list(map(int, text.split())) for text in counts]
        csv = csv.drop("done_by_delay")
    assert frame.select(csv.columns).equals(csv)


@pytest.mark.parametrize("more", [[], ["--power-modes"]])
def test_printed_parquet_is_csv_with_types(folder, more):
    report = ["report", folder, *more, "--format"]
    frame = pl.read_parquet(io.BytesIO(offramp(*report, "parquet")))
    csv = from_csv(io.BytesIO(offramp(*report, "csv")))
    assert frame.columns == csv.columns
    assert frame.schema["error"] == pl.String
    numbers = [name for name, kind in frame.schema.items() if kind == pl.Float64]
    # CSV spells 4.0 as 4.
    assert frame.select(numbers).equals(csv.select(numbers).cast(pl.Float64))
    assert frame.drop(*numbers, "error").equals(csv.drop(*numbers, "error"))


def test_a_notebook_begins_with_a_mean(folder):
    path = folder / "episodes.parquet"
    frame = pl.scan_parquet(path).group_by("policy").agg(pl.col("qoe").mean()).collect()
    query = f"select policy, avg(qoe) from '{path}' group by policy"
    assert dict(duckdb.sql(query).fetchall()) == pytest.approx(dict(frame.iter_rows()))
    means = pd.read_parquet(path).groupby("policy")["qoe"].mean().to_dict()
    assert means == pytest.approx(dict(frame.iter_rows()))


@pytest.mark.parametrize("table", ["episodes", "power-modes", "timing"])
def test_csv_files_are_read_with_the_same_types(folder, table):
    path = folder / f"{table}.csv"
    frame = from_csv(path)
    assert frame.equals(duckdb.sql(f"select * from '{path}'").pl())
    rows = pd.read_csv(path)
    texts = {name for name in rows.columns if not pd.api.types.is_numeric_dtype(rows[name])}
    assert texts == {name for name, kind in frame.schema.items() if kind == pl.String}
    assert texts == {"scenario", "policy", "sweep"}


def test_a_terminal_is_not_filled_with_bytes(folder):
    pty = pytest.importorskip("pty")
    command = os.environ["OFFRAMP_COMMAND"]
    ours, theirs = pty.openpty()
    report = [command, "report", folder, "--format", "parquet"]
    ran = subprocess.run(report, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    os.close(ours)
    assert ran.returncode == 2
    assert b"a terminal can't show it; send it to a file: add > NAME.parquet" in ran.stderr
