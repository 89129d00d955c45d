"""The commands about a finished or stopped build: its statistics, its gallery."""

from rich.markup import escape

from refsav.cli.app import out
from refsav.cli.arguments import BuiltRun


def report(run: BuiltRun, /) -> None:
    """Redraw the gallery of a run, with the settings under [report] in its run.toml."""
    from refsav.commands import run_flows

    run_flows.redraw_gallery(run)


def stats(run: BuiltRun, /) -> None:
    """Count and measure a run, and compare its size and properties with the published figures."""
    from refsav.annotators.bundles.plan import remaining
    from refsav.commands.summary import print_remaining, print_statistics
    from refsav.datasets.run.run_directory import RunDirectory
    from refsav.flows.config.build import read_settings
    from refsav.flows.statistics_task import write_statistics

    directory = RunDirectory(run)
    source, config = read_settings(directory)
    print_statistics(out, write_statistics(directory, config))
    print_remaining(out, remaining(directory, source))
    out.print(f"statistics: {escape(str(directory.stats))}")
