"""Settings: file under environment under flags, and one sentence for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from explainer.settings import Intervention, Settings
from server.config import Config, ConfigError, load_config

ROOT = Path(__file__).resolve().parent.parent.parent


def written(folder: Path, text: str) -> Path:
    file = folder / "becausal.toml"
    file.write_text(text)
    return file


def test_defaults_need_no_file() -> None:
    assert load_config().model_dump() == Config().model_dump()
    assert load_config().explain.settings() == Settings()


def test_flags_win_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, 'drain_seconds = 3\naddress = "file:1"\nbundle = "file"\n[limits]\nhistory = 7\n')
    monkeypatch.setenv("BECAUSAL_ADDRESS", "environment:1")
    monkeypatch.setenv("BECAUSAL_BUNDLE", "environment")

    config = load_config(file, {"bundle": Path("flag"), "database_url": None})

    assert (config.drain_seconds, config.address, config.bundle) == (3, "environment:1", Path("flag"))
    assert (config.limits.history, config.limits.recommended) == (7, 100)


def test_a_nested_variable_changes_one_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BECAUSAL_EXPLAIN__INTERVENTION", "DELETE")

    assert load_config().explain.intervention is Intervention.DELETE
    assert load_config().explain.max_size == 3


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("colour = 1", "colour"),
        ("[limits]\nhistory = 0", "limits.history"),
        ("[explain]\nalpha = 2", "explain.alpha"),
        ("[explain]\nintervention = 'REPLACE'", "explain.intervention"),
        ("verb = ", "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load_config(written(tmp_path, text))


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration file"):
        load_config(tmp_path / "none.toml")
