"""The first start on a machine compiles, and says so; the next ones find what was kept."""

from paramedic_cli.first_start import first_start
from paramedic_collector.columns.kept import folder, stamp
from paramedic_collector.warm_up import warm_up


def test_a_machine_without_compiled_code_is_told_that_it_takes_a_while(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (sentence,) = first_start()
    assert "once" in sentence
    stamp().parent.mkdir(parents=True)
    stamp().touch()
    assert first_start() == []


def test_after_the_warm_up_the_next_process_compiles_nothing():
    warm_up()
    assert first_start() == []
    assert list(folder().rglob("*.nbi"))


def test_code_with_checks_of_bounds_is_kept_apart_from_code_without(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.delenv("NUMBA_BOUNDSCHECK", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plain = folder()
    monkeypatch.setenv("NUMBA_BOUNDSCHECK", "1")
    assert folder() != plain
