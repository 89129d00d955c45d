"""Generated pages of the documentation site: commands, configuration, the API, and the README as its first page.

mkdocs loads this file as a hook (mkdocs.yml). Nothing is fetched, and nothing is written into docs/.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
GROUPS = ("review",)
"""Commands that only hold other commands."""

CONFIGURATIONS = (
    ("refsav build", "refsav.flows.config.build", "BuildConfig"),
    ("refsav train", "refsav.model.training_config", "TrainConfig"),
    ("refsav end-to-end, refsav demo-full", "refsav.flows.config.end_to_end", "EndToEndConfig"),
    ("nightly (prefect.yaml)", "refsav.flows.config.nightly", "NightlyConfig"),
    ("refsav predict, refsav ui, refsav bench", "refsav.model.inference_settings", "InferenceSettings"),
    ("refsav review", "refsav.datasets.review.config", "ReviewConfig"),
    ("refsav synth", "refsav.datasets.synthetic.scene", "SynthConfig"),
)

DOCUMENTED = {
    "refsav.open_run": "api.run.open_run",
    "refsav.Run": "api.run.Run",
    "RunExpression": "api.run.RunExpression",
    "VideoObject": "api.video_object.VideoObject",
    "refsav.read_sav": "api.sav.read_sav",
    "SavVideo": "api.sav.SavVideo",
    "refsav.read_shards": "api.shards.read_shards",
    "ShardVideo": "api.shards.ShardVideo",
    "ShardObject": "api.shards.ShardObject",
    "refsav.build": "api.build.build",
    "refsav.open_training_data": "api.training_data.open_training_data",
    "refsav.score_j_and_f": "api.benchmark.score_j_and_f",
    "refsav.score_captions": "api.benchmark.score_captions",
    "refsav.run_benchmark": "api.benchmark.run_benchmark",
    "refsav.register_with_vlmevalkit": "api.benchmark.register_with_vlmevalkit",
    "refsav.open_clip": "model.media.clip.open_clip",
    "refsav.Sa2VA": "model.sa2va.Sa2VA",
}
"""Public names and what they return, with their definitions from src/refsav: rooms have no __init__.py, so mkdocstrings
finds them only from there."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and the style sheet to the files in docs/."""
    pages = {
        "index.md": root_page("README.md"),
        "contributing.md": root_page("CONTRIBUTING.md"),
        "changelog.md": root_page("CHANGELOG.md"),
        "reference/commands.md": commands_page(),
        "reference/configuration.md": configuration_page(),
        "reference/python.md": python_page(),
        "site.css": (ROOT / "docs/site/site.css").read_text(encoding="utf-8"),
    }
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def root_page(name: str) -> str:
    """A Markdown file of the repository's root, with links that work within the site."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return text.replace("](docs/", "](").replace("](CONTRIBUTING.md", "](contributing.md")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leave only the text of links to files of the repository that are not part of the site."""
    folder = Path(page.file.src_uri).parent

    def kept(match: re.Match[str]) -> str:
        target = match[2].partition("#")[0]
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        known = files.get_file_from_path(os.path.normpath(folder / target).replace("README.md", "index.md"))
        return match[0] if known else match[1]

    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", kept, markdown)


def commands_page() -> str:
    """The `--help` of every command, as the command line prints it."""
    commands = list(command_names())
    with ThreadPoolExecutor(2) as pool:
        shown = list(pool.map(help_of, commands))
    parts = [
        f"## refsav {' '.join(command)}\n\n```text\n{text}\n```" for command, text in zip(commands, shown, strict=True)
    ]
    return "\n\n".join(["# Commands", "What `refsav COMMAND --help` prints.", *parts])


def python_page() -> str:
    """Signatures and docstrings of the public names, for mkdocstrings."""
    parts = [f"## {name}\n\n::: {defined}" for name, defined in DOCUMENTED.items()]
    return "\n\n".join(["# Python API in detail", "[Python API](../python-api.md) has examples.", *parts])


def command_names() -> Iterator[tuple[str, ...]]:
    """Names of all commands, from the help of the command that holds them."""
    for name in listed_in(help_of(())):
        if name in GROUPS:
            yield from ((name, inner) for inner in listed_in(help_of((name,))))
        else:
            yield (name,)


def listed_in(text: str) -> list[str]:
    """Names of the commands that a help text lists: the first word of the lines of its boxes of commands."""
    box = re.compile(r"^│ ([a-z][a-z-]*) {2,}\S", re.MULTILINE)
    return list(dict.fromkeys(box.findall(text)))


def help_of(command: tuple[str, ...]) -> str:
    """What one command prints about itself."""
    program = "from refsav.cli.main import main; main()"
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", program, *command, "--help"], env=environment, capture_output=True, text=True, check=True
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def configuration_page() -> str:
    """A table for every configuration: key, type, default, meaning."""
    sys.path.insert(0, str(ROOT / "src"))
    from refsav.config import leaves

    parts = [
        "# Configuration",
        "Every key of the TOML files. On the command line, `--views.frames 12` sets `views.frames`.",
    ]
    for heading, module, name in CONFIGURATIONS:
        model = getattr(import_module(module), name)
        rows = [
            f"| `{key}` | {as_code(type_of(field.annotation))} | {as_code(default_of(field))} "
            f"| {escaped(field.description)} |"
            for key, field in leaves(model)
        ]
        parts.append(f"## {heading}\n\n| key | type | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts)


def type_of(annotation: Any) -> str:  # noqa: ANN401 - an annotation can be anything
    """A type as a reader of TOML knows it."""
    text = (
        annotation.__name__ if isinstance(annotation, type) and not hasattr(annotation, "__args__") else str(annotation)
    )
    return re.sub(r"\b(?:typing|pathlib|annotated_types|refsav)\.(?:\w+\.)*", "", text)[:120]


def default_of(field: Any) -> str:  # noqa: ANN401 - pydantic's FieldInfo
    """The default of a key, "" if it has none."""
    if field.is_required():
        return ""
    return str(field.get_default(call_default_factory=True))[:80]


def as_code(text: str) -> str:
    """Text of a table's cell in code style; nothing for an empty one."""
    return f"`{escaped(text)}`" if text else ""


def escaped(text: str | None) -> str:
    """Text that does not end a table's cell."""
    return (text or "").replace("|", "\\|").replace("\n", " ")
