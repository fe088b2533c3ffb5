"""Settings and warehouse are found from anywhere below them, unless a stranger could have put them there."""

import os
from pathlib import Path

import pytest

from minidw.errors import SettingsError
from minidw.settings import Settings
from minidw.upwards import find_upwards

STRANGER = 65533
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Given a working directory three levels down."""
    directory = tmp_path / "a" / "b" / "c"
    directory.mkdir(parents=True)
    monkeypatch.chdir(directory)
    return directory


def test_the_nearest_is_found(below: Path, tmp_path: Path) -> None:
    (tmp_path / "thing").mkdir()
    assert find_upwards("thing") == tmp_path / "thing"
    (tmp_path / "a" / "thing").touch()
    assert find_upwards("thing") == tmp_path / "a" / "thing"
    assert find_upwards("no such thing") is None


def test_a_link_that_leads_nowhere_is_there(below: Path, tmp_path: Path) -> None:
    (tmp_path / "thing").symlink_to("a disk that is not mounted")
    assert find_upwards("thing") == tmp_path / "thing"


def test_where_the_working_directory_is_gone_nothing_is_found(below: Path, tmp_path: Path) -> None:
    (tmp_path / "thing").touch()
    below.rmdir()
    assert find_upwards("thing") is None
    assert Settings.from_env() == Settings()


@only_root
@pytest.mark.parametrize(
    ("owner", "mode", "trusted"),
    [
        (0, 0o1777, True),
        (STRANGER, 0o1777, False),
        (STRANGER, 0o755, False),
        (STRANGER, 0o775, False),
    ],
)
def test_a_file_of_a_stranger_is_not_used(
    below: Path, tmp_path: Path, owner: int, mode: int, trusted: bool
) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://ada@stranger/shop\n")
    os.chown(tmp_path / ".env", owner, owner)
    tmp_path.chmod(mode)
    if trusted:
        assert Settings.from_env().url is not None
    else:
        with pytest.raises(SettingsError, match=rf"/\.env belongs to user {owner}.*it is not used"):
            Settings.from_env()


@only_root
def test_in_a_directory_of_somebody_else_the_owner_decides(below: Path, tmp_path: Path) -> None:
    env = below.parent / ".env"
    env.write_text("DATABASE_URL=postgresql://ada@theirs/shop\n")
    for path in (below, below.parent, env):
        os.chown(path, STRANGER, STRANGER)
    assert str(Settings.from_env().url) == "postgresql+psycopg2://ada@theirs/shop"
    # But not where everybody may write, nor over somebody who works in a directory of their own.
    below.parent.chmod(0o777)
    with pytest.raises(SettingsError, match="it is not used"):
        Settings.from_env()
    below.parent.chmod(0o755)
    os.chown(below, 0, 0)
    with pytest.raises(SettingsError, match="it is not used"):
        Settings.from_env()


@only_root
def test_a_link_belongs_to_who_made_it(below: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("DATABASE_URL=postgresql://ada@mine/shop\n")
    (tmp_path / ".env").symlink_to("mine")
    os.lchown(tmp_path / ".env", STRANGER, STRANGER)
    with pytest.raises(SettingsError, match="it is not used"):
        Settings.from_env()
