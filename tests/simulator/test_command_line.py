"""``python -m airflow_provider_orvideo.simulator`` and what it takes to import it."""

import ast
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

import airflow_provider_orvideo.simulator as package
from airflow_provider_orvideo.simulator.__main__ import main

MODULE = "airflow_provider_orvideo.simulator"
HERE = Path(package.__file__).parent
Launch = Callable[..., tuple["subprocess.Popen[str]", str]]


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Start the command and return it with the first line that it prints."""
    with ExitStack() as stack:

        def start(*arguments: str) -> tuple["subprocess.Popen[str]", str]:
            command = [sys.executable, "-m", MODULE, "--port", "0", *arguments]
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 - own module
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            return process, process.stdout.readline()

        yield start


def test_it_announces_itself_takes_settings_and_a_script_and_ends_cleanly(
    launch: Launch, tmp_path: Path, order: Callable[..., dict[str, Any]]
) -> None:
    ready, log, script = tmp_path / "ready.json", tmp_path / "log.jsonl", tmp_path / "faults.json"
    script.write_text(json.dumps({"faults": [{"match": {"operation": "getKey"}, "respond": {"status": 418}}]}))
    process, line = launch(
        *("--ready-file", str(ready), "--log", str(log), "--script", str(script)),
        *("--set", "job_seconds=inf", "--set", "accepted_keys=sk-or-test-a,sk-or-test-b"),
    )
    addresses = json.loads(ready.read_text())
    assert line == f"orvideo simulator on {addresses['base_url']}\n"
    assert addresses["base_url"] == f"http://127.0.0.1:{addresses['port']}/api/v1"
    assert addresses["control_url"] == f"http://127.0.0.1:{addresses['port']}/_sim"
    assert addresses["pid"] == process.pid
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []
    with httpx.Client(base_url=addresses["base_url"], headers={"Authorization": "Bearer sk-or-test-b"}) as client:
        assert client.get("/key").status_code == 418
        job_id = client.post("/videos", json=order()).json()["id"]
        assert client.get(f"/videos/{job_id}").json()["status"] == "pending"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")
    assert [json.loads(line)["operation"] for line in log.read_text().splitlines()] == [
        "getKey",
        "createVideos",
        "getVideos",
    ]


def test_an_interrupt_ends_it_cleanly_too(launch: Launch) -> None:
    process, _ = launch()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--set", "job_second=1"], "job_second"),
        (["--set", "job_seconds"], "expected NAME=VALUE"),
        (["--script", "missing.json"], "missing.json"),
    ],
)
def test_what_it_cannot_use_is_said_and_ends_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    assert main(["--port", "0", *arguments]) == 2
    assert text in capsys.readouterr().err


def test_a_wrong_rule_in_a_script_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "faults.json"
    script.write_text('[{"dorp": {}}]')
    assert main(["--port", "0", "--script", str(script)]) == 2
    assert "dorp" in capsys.readouterr().err


def test_the_settings_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--settings"]) == 0
    out = capsys.readouterr().out
    assert "job_seconds = 2.0\n" in out
    assert "signed_urls = False\n" in out


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout  # noqa: S603 - own code


def test_importing_the_package_loads_no_extra() -> None:
    heavy = ("av", "PIL", "fastapi", "starlette", "uvicorn", "pydantic", "airflow")
    code = f"import sys, {MODULE}; print([name for name in {heavy} if name in sys.modules])"
    assert run(code) == "[]\n"


@pytest.mark.parametrize("missing", ["av", "PIL", "fastapi", "uvicorn"])
def test_a_missing_extra_is_explained(missing: str) -> None:
    code = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
try:
    from {MODULE} import Simulator
except ImportError as error:
    print(error)
"""
    assert run(code).endswith("Run: pip install 'airflow-provider-orvideo[simulator]'\n")
    assert repr(missing) in run(code)


def test_a_missing_extra_is_told_in_one_line_on_the_command_line() -> None:
    code = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "PIL":
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
sys.stderr = sys.stdout
from {MODULE}.__main__ import main
print(main(["--port", "0"]))
"""
    line, status = run(code).splitlines()
    assert line.startswith("orvideo simulator: The simulator needs 'PIL'")
    assert status == "2"


def test_unknown_names_are_unknown() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing
    assert set(package.__all__) <= set(dir(package))


def test_it_knows_neither_airflow_nor_the_rest_of_the_package() -> None:
    """A judge that shares code with the judged proves nothing."""
    for path in HERE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, path.name
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] != "airflow", path.name
                assert not name.startswith("airflow_provider_orvideo") or name.startswith(MODULE), path.name
