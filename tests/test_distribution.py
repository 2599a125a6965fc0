"""The distribution: its name and version, and that nothing tells a reader to install a package that is not ours."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import autotune as run_command

import autotune
from autotune.distribution import DISTRIBUTION, VERSION, install_command

ROOT = Path(__file__).resolve().parent.parent
PROJECT = (ROOT / "pyproject.toml").read_text()
# What our documents and messages may name beside the dependencies in pyproject.toml, each with where it is named.
OTHERS = {
    *("syne-tune", "autograd", "ujson", "dill", "statsmodels", "patsy"),  # scripts/benchmark_search.py
    "moto",  # tests/conftest.py
}
_READ = {"", ".md", ".py", ".sh", ".toml", ".yaml"}
_ARGUMENT = r"""(?:"[^"]*"|'[^']*'|[^\s"'`|;,)#\\]+)"""
_COMMAND = re.compile(rf"\bpip3? (?:install|download)((?: +{_ARGUMENT})+)")


def documents() -> list[Path]:
    """List all files in which a reader may find a command: pages, scripts, the package, tests."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    mine = Path(__file__).relative_to(ROOT).as_posix()
    return [ROOT / name for name in names if name != mine and Path(name).suffix in _READ and (ROOT / name).is_file()]


def known() -> set[str]:
    """List the packages that pyproject.toml asks for."""
    return {_canonical(name) for name in re.findall(r'^ +"([\w.-]+)[^"]*",', PROJECT, re.MULTILINE)} | OTHERS


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def foreign(text: str) -> list[str]:
    """List what commands in `text` install that is neither a file, nor ours by URL, nor a known package."""
    text = re.sub(r"\bpip\n(?:#\s*)?", "pip ", text)  # a page breaks its lines anywhere
    text = re.sub(r"\binstall\n(?:#\s*)?", "install ", text).replace('\\"', '"')
    arguments = [argument for command in _COMMAND.findall(text) for argument in re.findall(_ARGUMENT, command)]
    return [one for argument in arguments if _is_foreign(one := argument.strip("\"'"))]


def _is_foreign(argument: str) -> bool:
    if re.match(r"-|[./{]|\w+/|https?:|git\+", argument):  # an option, a file, a placeholder in code, a URL
        return False
    name = re.match(r"[\w.-]*", argument)
    assert name is not None
    if _canonical(name[0]) == DISTRIBUTION:
        return " @ " not in argument  # by its name alone, an index would be asked for it
    return _canonical(name[0]) not in known() - {DISTRIBUTION}


def test_the_check_for_foreign_packages_finds_them() -> None:
    assert foreign("`pip install autotune`, pip install 'autotune[ray]' psycopg>=3") == ["autotune", "autotune[ray]"]
    assert foreign('`pip\ninstall "autotune[s3]"`') == ["autotune[s3]"]
    assert foreign("say('pip install \"autotune[s3]\"')") == ["autotune[s3]"]
    assert foreign("pip install autotune-keras") == ["autotune-keras"]
    assert not foreign('pip install ".[ray]" "autotune-keras[ray] @ git+file:///x" dist/any.whl "psycopg[binary]>=3"')


def test_no_document_script_or_message_names_a_package_that_is_not_ours() -> None:
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8", "replace") for path in documents()}
    assert {"README.md", "docs/quick_start.md", "scripts/environment", "scripts/kubernetes_job.yaml"} <= texts.keys()
    assert sum(len(_COMMAND.findall(text)) for text in texts.values()) > 10
    assert not {path: found for path, text in texts.items() if (found := foreign(text))}
    by_name = re.compile(r"""(?<![\w/.-])autotune\[[a-z]""")  # `"autotune[s3]"`, with no command before it
    assert not [path for path, text in texts.items() if by_name.search(text)]


def test_the_project_has_the_name_and_the_version_that_the_package_says() -> None:
    assert f'\nname = "{DISTRIBUTION}"' in PROJECT
    assert 'version = { attr = "autotune.distribution.VERSION" }' in PROJECT
    assert f'"{DISTRIBUTION}[postgres,' in PROJECT  # the extra dev brings our own other extras, not somebody else's
    assert re.search(rf"^## \[{re.escape(VERSION)}\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_version_is_said_by_the_package_and_by_the_command() -> None:
    assert autotune.__version__ == VERSION
    assert run_command("--version").stdout == f"autotune {VERSION}\n"


def _installed(monkeypatch: pytest.MonkeyPatch, requires: list[str] | None) -> None:
    """Let the distribution be installed with these requirements; None for not installed at all."""

    def answer(name: str) -> list[str] | None:
        assert name == DISTRIBUTION
        if requires is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return requires

    monkeypatch.setattr(importlib.metadata, "requires", answer)


def test_an_extra_is_installed_by_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "numpy>=2.0",
        'psycopg[binary]>=3.2.1; extra == "postgres"',
        "grpcio>=1.68.1 ; extra == 'grpc'",
        'protobuf>=5.28.3; python_version >= "3.10" and extra == "grpc"',
    ]
    _installed(monkeypatch, lines)
    assert install_command("postgres") == 'pip install "psycopg[binary]>=3.2.1"'
    assert install_command("grpc") == 'pip install "grpcio>=1.68.1" "protobuf>=5.28.3"'


def test_without_an_installation_the_checkout_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, None)
    assert install_command("ray") == 'pip install ".[ray]", in the checkout of autotune'


def test_every_extra_that_a_message_names_is_there() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "autotune").rglob("*.py"))
    named = {*re.findall(r'install_command\("(\w+)"\)', code), "postgres", "grpc", "s3", "gcs", "tensorboard", "mlflow"}
    assert "ray" in named
    assert not [extra for extra in named if f"\n{extra} = [\n" not in PROJECT]


def test_importing_autotune_does_not_look_for_distributions() -> None:
    code = "import sys, autotune; autotune.__version__; print('importlib.metadata' in sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
