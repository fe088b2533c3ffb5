"""What doctor says of a machine, and what a shell completes."""

import json
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

import minidw
from minidw.reports import doctor
from tests.support.feeds import write_feed
from tests.support.terminal import Cli


def test_where_all_is_well_it_says_what_is_there(cli: Cli) -> None:
    outcome = cli("doctor")
    assert (outcome.code, outcome.err) == (0, "")
    found = dict(line[2:].split(maxsplit=1) for line in outcome.out.splitlines())
    assert found["server"].startswith("PostgreSQL 1")
    assert found["tables"].startswith("at revision 0")
    assert "embedded" in found["extras"]
    findings = json.loads(cli("doctor", "--json").out)["findings"]
    assert {finding["state"] for finding in findings} <= {"fine", "note"}


def test_what_is_in_the_way_is_a_fault_and_says_what_to_do(
    cli: Cli, warehouse: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given settings that say otherwise than the warehouse, and a batch that waits
    minidw.load_raw(write_feed(tmp_path / "feed.csv", "order_id\n1"), warehouse)
    minidw.build_staging(warehouse)
    monkeypatch.setenv("SEGMENT_VIP", "20000")
    outcome = cli("doctor")
    assert outcome.code == 2
    assert "✗ rules" in outcome.out
    assert "→ leave it out, or minidw rules --set SEGMENT_VIP=20000" in outcome.out
    assert "batches that are not in them yet: 1 → minidw stage, then minidw build" in outcome.out
    # And tables of another minidw
    with warehouse.begin() as conn:
        conn.execute(text("UPDATE raw.minidw_version SET version_num = '0001'"))
    outcome = cli("doctor")
    assert outcome.code == 2
    assert "the warehouse is at revision 0001, this minidw needs" in outcome.out
    # And no server at all
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:canary5f3a9c@127.0.0.1:1/shop")
    outcome = cli("doctor")
    assert outcome.code == 2
    assert "✗ warehouse" in outcome.out


def test_without_a_warehouse_it_says_so_and_makes_none(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    outcome = cli("doctor")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"no warehouse in {tmp_path}/.minidw yet → minidw run FILE makes it" in outcome.out
    assert not (tmp_path / ".minidw").exists()
    monkeypatch.setenv("MINIDW_HOME", "/etc/passwd")
    assert cli("doctor").code == 2


def test_an_extra_that_is_missing_says_what_it_is_for(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.EXTRAS, "xlsx", ("no_such_module", "export to workbooks"))
    assert "· extras" in (shown := cli("doctor").out)
    assert "xlsx is not there: export to workbooks → pip install 'minidw[xlsx]'" in shown


def completed(script: Path, *words: str) -> set[str]:
    """What bash offers at the end of the words."""
    line = f"source {script}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1};"
    done = subprocess.run(
        ["bash", "-c", f"{line} _shtab_minidw; printf '%s\\n' \"${{COMPREPLY[@]}}\""],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_bash_completes_commands_options_and_choices(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "minidw.bash").write_text(cli("completion", "bash").out)
    assert completed(tmp_path / "minidw.bash", "minidw", "re") == {"report", "rejects"}
    assert completed(tmp_path / "minidw.bash", "minidw", "run", "--acc") == {"--accept-rules"}
    assert completed(tmp_path / "minidw.bash", "minidw", "export", "--format", "p") == {"parquet"}
    for shell in ("zsh", "tcsh"):
        assert "minidw" in cli("completion", shell).out
