"""The gallery's thumbnails and previews as tasks, one for each bundle that lacks them."""

from collections.abc import Sequence
from pathlib import Path

from prefect import flow, task

from refsav.annotators.bundles.plan import Bundle, read_bundle, read_plan
from refsav.annotators.gallery import bundle_pages as gallery
from refsav.annotators.gallery import index as gallery_index
from refsav.datasets.run.parts import is_done
from refsav.datasets.run.run_directory import RunDirectory
from refsav.disk.digests import Digests
from refsav.disk.lock import exclusive
from refsav.flows.config.build import BuildConfig, read_settings
from refsav.flows.reporting.progress import task_progress
from refsav.flows.running.fan_out import fan_out
from refsav.flows.running.run_storage import download, locked_in_storage, remote_storage, task_directory, upload
from refsav.flows.running.task_files import gallery_files


def draw_gallery(bundles: Sequence[str], source: Path, run: Path, config: BuildConfig) -> None:
    """Draw the gallery pages that are missing or outdated, several bundles at a time."""
    directory, storage = RunDirectory(run), remote_storage(run, config.runner)
    digests, pictured = Digests(directory.part_digests, run), gallery.pictured_each(directory, config.report)
    shown = (config.views, config.source, config.report, pictured)
    contents = (read_bundle(directory.bundles / f"{bundle}.json", source) for bundle in bundles)
    waiting = [content for content in contents if not gallery.is_drawn(directory, content, *shown, digests.of)]
    digests.keep()
    with task_progress("gallery", f"gallery pages of {run.name} drawn", len(waiting)) as on_progress:
        fan_out(
            lambda content: draw_bundle.submit(content, run, config, pictured, storage),
            waiting,
            at_once=config.runner.bundles_at_once,
            on_progress=on_progress,
        )
    download(run, ("report/",))


@task(task_run_name="draw {bundle.name}")
def draw_bundle(bundle: Bundle, run: Path, config: BuildConfig, pictured: int, storage: str) -> None:
    """Draw the gallery page of one bundle."""
    with task_directory(run, storage, gallery_files(bundle)) as directory:
        gallery.write_bundle(directory, bundle, config.views, config.source, config.report, pictured)


@flow(name="redraw-gallery")
def redraw_gallery(run: Path) -> Path:
    """Redraw the gallery of a run, without the bundles that are not done; returns the page."""
    directory = RunDirectory(run)
    source, config = read_settings(directory)
    with exclusive(run), locked_in_storage(run, config.runner):
        done = [bundle.name for bundle in read_plan(directory, source) if is_done(directory, bundle.name)]
        draw_gallery(done, source, run, config)
        page = gallery_index.write_index(directory, run.name, config.report)
        upload(run)
        return page
