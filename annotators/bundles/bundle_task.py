"""One task of a build: from a bundle's videos to its parts on disk, on any machine."""

import asyncio
import math
from collections.abc import Collection
from pathlib import Path

from pydantic import Field

from refsav.annotators.bundles.bundle_work import BundleOutcome, BundleWork, Progress
from refsav.annotators.bundles.plan import read_bundle
from refsav.annotators.engines.config import EngineConfig
from refsav.annotators.engines.journal import Journal
from refsav.annotators.engines.make_engine import make_engine, resolve_model
from refsav.annotators.stages.describe import Annotator
from refsav.annotators.stages.prompt_files import prompts_digest
from refsav.annotators.stages.stages import RequestMaker, StagesConfig
from refsav.annotators.stages.views import ViewsConfig
from refsav.config import Config
from refsav.datasets.records import ObjectKey, Provenance
from refsav.datasets.run.part_schemas import DROPPED, EXPRESSIONS, FAILED, UNREADABLE
from refsav.datasets.run.parts import is_done, read_part, write_part, write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import SourceConfig
from refsav.datasets.statistics.properties import MeasureConfig, write_measures
from refsav.disk.files import flush_to_disk
from refsav.logs import LOGGER
from refsav.processes.cancellation import LateError, until_stopped

OBJECTS_PER_REQUEST = 2
"""Objects in memory for each request that the engine takes: half of them wait for replies, the others are drawn."""


class AnnotationConfig(Config):
    """Everything that determines the texts of a dataset."""

    source: SourceConfig = Field(SourceConfig(), description="Which videos and objects.")
    views: ViewsConfig = Field(ViewsConfig(), description="The images that models are shown.")
    stages: StagesConfig = Field(StagesConfig(), description="Prompts, sampling, and which replies are accepted.")
    vlm: EngineConfig = Field(EngineConfig(), description="The engine of the object, scene and video stages.")
    judge: EngineConfig = Field(EngineConfig(), description="The engine that judges whether two descriptions agree.")
    measures: MeasureConfig = Field(MeasureConfig(), description="Thresholds of the properties of Table 3.")

    @property
    def provenance(self) -> Provenance:
        """The origin that every record states."""
        return Provenance(
            vlm=f"{self.vlm.kind}:{self.vlm.model}",
            judge=f"{self.judge.kind}:{self.judge.model}",
            prompts=prompts_digest(self.stages.load_prompts()),
        )


async def settle_engines(vlm: EngineConfig, judge: EngineConfig) -> tuple[EngineConfig, EngineConfig]:
    """Check that both engines can work, and fill in their models' names.

    Raises:
        ServersDownError: If a server does not answer.
        ConfigError: If a model is not served.
    """
    return await resolve_model(vlm), await resolve_model(judge)


def annotate_to_parts(
    run: RunDirectory,
    source: Path,
    bundle: str,
    config: AnnotationConfig,
    progress: Progress,
    within_s: float = math.inf,
) -> None:
    """Describe a bundle's objects and write its parts; does nothing for a bundle that is done.

    Args:
        run: The run, with the bundle in its plan.
        source: Folder with the videos.
        bundle: Name of the bundle.
        config: What to show and ask, and which engines answer.
        progress: Receives what has been done.
        within_s: Time limit in seconds.

    Raises:
        LateError: If it takes longer than `within_s`; all replies are in the journal.
        ServersDownError: If no server answers; the next call resumes from the journal.
        RecordError: If the plan, the journal or a prompt cannot be used.
        DiskError: If something cannot be written.
        StoppedError: If the process is to end; all replies are in the journal.
    """
    retried = _retry_mark(run, bundle)
    if is_done(run, bundle):
        retried.unlink(missing_ok=True)
        return
    replies = run.journal / f"{bundle}.jsonl"
    journal = Journal(replies)
    try:
        outcome = asyncio.run(until_stopped(_annotate(run, source, bundle, config, progress, journal), within_s))
    except LateError as error:
        fix = "check the servers and disks, or raise runner.bundle_timeout_s, then run the same command again"
        raise LateError(str(error), fix=fix, path=bundle) from None
    finally:
        journal.close()
        flush_to_disk(replies)
    write_measures(run, bundle, outcome.measures)
    write_parts(
        run,
        bundle,
        expressions=outcome.expressions,
        dropped=outcome.dropped,
        failed=outcome.failed,
        unreadable=outcome.unreadable,
    )
    retried.unlink(missing_ok=True)
    _log(run, bundle, outcome)


def _log(run: RunDirectory, bundle: str, outcome: BundleOutcome) -> None:
    """Log the outcome of a bundle: one line for each loss, and one for the bundle."""
    about = {"run": run.root.name, "bundle": bundle}
    for file in outcome.unreadable:
        LOGGER.warning("unreadable: %s", file.error, extra={**about, "video": Path(file.path).name})
    for failed in outcome.failed:
        LOGGER.warning("failed at %s: %s", failed.stage, failed.error, extra={**about, **_named(failed.key)})
    for dropped in outcome.dropped:
        LOGGER.info("dropped at %s: %s", dropped.stage, dropped.reason, extra={**about, **_named(dropped.track.key)})
    counts = (len(outcome.expressions), len(outcome.dropped), len(outcome.failed))
    LOGGER.info("done: %d expressions, %d dropped, %d failed", *counts, extra=about)


def _named(key: ObjectKey) -> dict[str, str]:
    return {"video": key.video_id, "object": f"{key.source} {key.masklet_id}"}


def mark_for_retry(run: RunDirectory) -> int:
    """Reopen every bundle that has failed objects or unreadable files; return the number of failed objects.

    Described objects stay. `annotate_to_parts` then retries the others: requests that never got a reply are sent again,
    and unusable replies are followed by further attempts with new seeds.
    """
    for part in sorted(run.failed.glob("*.parquet")):
        mark = _retry_mark(run, part.stem)
        if any(True for _ in read_part(part, FAILED)) or any(
            True for _ in read_part(run.unreadable / part.name, UNREADABLE)
        ):
            part.replace(mark)
        else:
            mark.unlink(missing_ok=True)
    return sum(1 for mark in run.failed.glob("*.retry") for _ in read_part(mark, FAILED))


def needs_work(run: RunDirectory, bundle: str) -> bool:
    """Return whether a bundle is not done, or still has the mark of an earlier round."""
    return not is_done(run, bundle) or _retry_mark(run, bundle).exists()


def set_aside(run: RunDirectory, bundle: str, videos: Collection[str]) -> None:
    """Reopen a bundle and remove the results of some of its videos from its parts.

    Failed objects of its other videos are then retried too, as with `mark_for_retry`. After a kill, call it again.

    Raises:
        RecordError: If a part cannot be read.
        DiskError: If a part cannot be written.
    """
    name = f"{bundle}.parquet"
    done, mark = run.failed / name, _retry_mark(run, bundle)
    last = done if done.is_file() else mark
    if not last.is_file():
        return  # it was never done: nothing has been described yet
    write_part(mark, FAILED, [one for one in read_part(last, FAILED) if one.key.video_id not in videos])
    done.unlink(missing_ok=True)
    expressions, dropped = run.expressions / name, run.dropped / name
    kept = [one for one in read_part(expressions, EXPRESSIONS) if one.track.video_id not in videos]
    write_part(expressions, EXPRESSIONS, kept)
    write_part(dropped, DROPPED, [one for one in read_part(dropped, DROPPED) if one.track.video_id not in videos])


def _retry_mark(run: RunDirectory, bundle: str) -> Path:
    """The failed part of an earlier round, under another name while the bundle is processed again."""
    return run.failed / f"{bundle}.retry"


async def _annotate(
    run: RunDirectory, source: Path, name: str, config: AnnotationConfig, progress: Progress, journal: Journal
) -> BundleOutcome:
    bundle = read_bundle(run.bundles / f"{name}.json", source)
    earlier = _earlier(run, name)
    vlm, judge = make_engine(config.vlm), make_engine(config.judge)
    annotator = Annotator(
        maker=RequestMaker(
            config=config.stages,
            prompts=config.stages.load_prompts(),
            vlm_model=config.vlm.model,
            judge_model=config.judge.model,
        ),
        vlm=vlm,
        judge=judge,
        journal=journal,
        provenance=config.provenance,
        on_stage=progress.stage_done,
    )
    work = BundleWork(
        annotator=annotator,
        source=config.source,
        views=config.views,
        measures=config.measures,
        objects_at_once=OBJECTS_PER_REQUEST * vlm.requests_at_once,
        progress=progress,
    )
    tracks = [one.track for one in earlier.expressions] + [one.track for one in earlier.dropped]
    finished = {track.key: track.column for track in tracks}
    rounds = {failed.key: failed.round + 1 for failed in earlier.failed}
    try:
        outcome = await work.annotate(bundle.videos, finished=finished, rounds=rounds)
    finally:
        await vlm.close()
        await judge.close()
    outcome.expressions += earlier.expressions
    outcome.dropped += earlier.dropped
    return outcome


def _earlier(run: RunDirectory, bundle: str) -> BundleOutcome:
    """The results of earlier rounds of a bundle that is retried; empty for other bundles."""
    mark = _retry_mark(run, bundle)
    if not mark.is_file():
        return BundleOutcome()
    part = f"{bundle}.parquet"
    return BundleOutcome(
        expressions=list(read_part(run.expressions / part, EXPRESSIONS)),
        dropped=list(read_part(run.dropped / part, DROPPED)),
        failed=list(read_part(mark, FAILED)),
    )
