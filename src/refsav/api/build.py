"""A build started from Python."""

from pathlib import Path

from refsav.api.run import Run, open_run
from refsav.flows.config.build import BuildConfig


def build(source: str | Path, run: str | Path, config: BuildConfig | None = None, *, retry_failed: bool = False) -> Run:
    """Build Ref-SAV from a folder of SA-V videos, or resume an unfinished build, as `refsav build` does.

    Starts a Prefect server for the time of the build, unless PREFECT_API_URL or a Prefect profile names one.

    Args:
        source: Folder of videos and masklets in one of SA-V's layouts.
        run: Run directory; created if it does not exist, completed if it does.
        config: All settings; by default the embedded annotator, which needs no model.
        retry_failed: Try failed objects of an earlier build again.

    Raises:
        RefSavError: If the build cannot start or finish. Objects that fail do not raise: see `Run.failed`.
    """
    from refsav.commands.run_flows import quiet_prefect

    quiet_prefect()
    from refsav.flows.build import build_ref_sav
    from refsav.flows.build_checks import check_build
    from refsav.flows.running.prefect_server import prefect_server

    videos, folder, used = Path(source).resolve(), Path(run).resolve(), config or BuildConfig()
    check_build(videos, folder, used)
    with prefect_server():
        build_ref_sav(videos, folder, used, retry_failed=retry_failed)
    return open_run(run)
