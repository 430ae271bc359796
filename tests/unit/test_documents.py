"""What the documents promise must be there: files they link to, commands and options they name, registry keys."""

import json
import re
from pathlib import Path

import pytest
import typer.main

from cartsim import cli
from cartsim.evidence.registry import load_registry
from cartsim.scenario.schema import scenario_schema

PAGES = ("odd.md", "credibility.md", "limits.md", "model.md", "README.md")


def page(repository: Path, name: str) -> str:
    return (repository / "docs" / name).read_text("utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(repository: Path, name: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page(repository, name))
    assert targets
    broken = [target for target in targets if not (repository / "docs" / target).exists()]
    assert broken == []


@pytest.mark.parametrize("name", PAGES)
def test_commands_and_options_exist(repository: Path, name: str) -> None:
    root = typer.main.get_command(cli.app)
    commands = getattr(root, "commands", {})
    unknown = []
    for line in re.findall(r"`cartsim ([^`]+)`", page(repository, name)):
        command, *words = line.split()
        if command not in commands:
            unknown.append(command)
            continue
        known = {option for parameter in commands[command].params for option in parameter.opts}
        unknown += [f"{command} {word}" for word in words if word.startswith("--") and word not in known]
    assert unknown == []


@pytest.mark.parametrize("name", PAGES)
def test_paths_of_the_repository_exist(repository: Path, name: str) -> None:
    named = re.findall(r"`((?:src|tests|docs|scenarios)/[^`*<> ]+)`", page(repository, name))
    assert [path for path in named if not (repository / path).exists()] == []


@pytest.mark.parametrize("name", PAGES)
def test_registry_keys_exist(repository: Path, name: str) -> None:
    """`head.rest` names a number, several (with a star or as a beginning), or a key of the scenario file."""
    registry = load_registry()
    heads = {key.partition(".")[0] for key in registry}
    scenario = json.dumps(scenario_schema())
    missing = []
    for head, rest in re.findall(r"`([a-z_]+)\.([a-z0-9_.*]+)`", page(repository, name)):
        pattern = re.escape(f"{head}.{rest}").replace(r"\*", ".*")
        known = any(re.match(pattern, key) for key in registry)
        known |= f'"{rest.split(".")[0]}": {{' in scenario and f'"{head}": {{' in scenario
        if head in heads and not rest.endswith("yaml") and not known:
            missing.append(f"{head}.{rest}")
    assert missing == []
