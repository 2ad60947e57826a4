"""The log file of a worker."""

from pathlib import Path

from cloudyard.backends.local_models.worker_log import last_errors, log_path, open_rotated


def test_a_model_name_stays_inside_the_folder(tmp_path: Path) -> None:
    assert log_path(tmp_path, "../org/model:8b") == tmp_path / "worker-.._org_model_8b.log"


def test_rotation_keeps_one_old_log(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "worker.log"
    for text in (b"first", b"second", b"third"):
        with open_rotated(path) as log:
            log.write(text)
    assert path.read_bytes() == b"third"
    assert path.with_name("worker.log.1").read_bytes() == b"second"
    assert len(list(path.parent.iterdir())) == 2


def test_error_lines_are_preferred(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_text("0.00.1 I fine\n0.00.2 E bad magic\n0.00.3 W odd\n0.00.4 E failed to load\n0.00.5 I bye\n")
    assert last_errors(path) == "0.00.2 E bad magic | 0.00.4 E failed to load"


def test_without_error_lines_the_last_ones_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_text("x\n" * 10_000 + "Traceback\n\nImportError: no xllamacpp\n")
    assert last_errors(path) == "x | Traceback | ImportError: no xllamacpp"


def test_an_empty_log_gives_nothing(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_text("")
    assert last_errors(path) == ""
