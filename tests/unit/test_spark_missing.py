"""What is said where Spark, or what it needs, is not there."""

import json

import pytest

from minidw.cli import main
from minidw.engines.spark import session
from minidw.errors import SettingsError


def test_without_the_packages_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "_NEEDED", ("json", "no_such_package_of_spark"))
    assert main(["spark", "status", "--lake", "lake", "--json"]) == 2
    told = capsys.readouterr()
    assert told.err == "minidw: no_such_package_of_spark is not installed: pip install 'minidw[spark]'\n"
    assert json.loads(told.out)["error"]["exit_code"] == 2


def test_without_java_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(SettingsError, match=r"^Spark needs Java 17 or later: "):
        session.require_java()


def test_a_setting_of_spark_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spark", "report", "--lake", "lake", "--conf", "spark.executor.memory"]) == 2
    assert "write it as spark.executor.memory=2g" in capsys.readouterr().err
