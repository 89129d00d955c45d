"""Estimate of a build before it starts: requests, tokens, GPU-hours."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from refsav.annotators.bundles.bundle_task import AnnotationConfig
from refsav.annotators.bundles.token_usage import stage_use
from refsav.annotators.engines.engine import STAGE_OF_TASK, Task
from refsav.annotators.serving.profile import Figures, ServeProfile
from refsav.annotators.stages.prompt_files import Prompt
from refsav.annotators.stages.views import ViewsConfig, fitted_size, sampled_rows
from refsav.datasets.masks import box
from refsav.datasets.records import STAGES, ObjectTrack, Stage, Unreadable, VideoFile
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import SourceConfig, discover, read_video
from refsav.errors import RecordError

TOKENS_PER_WORD = 1.35
"""For English, with the tokenizers of current models."""

REPLY_WORDS: Mapping[Task, float] = {
    "object-crop": 50,
    "object-masked": 50,
    "judge": 1,
    "judge-reason": 15,
    "scene": 75,
    "video": 84,
}
"""Words of a reply if nothing has been measured; for the video stage the mean of Sa2VA, Table 4: 83.6."""

KEPT_SHARE = 0.8
"""Share of objects that the judge keeps if nothing has been measured; the paper does not state it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceSample:
    """Some videos of a source, read to estimate the rest."""

    videos: int
    """Videos of the source."""
    read: int
    """Videos that were read."""
    tracks: tuple[ObjectTrack, ...]
    """Objects of these videos that enter the stages."""
    unreadable: int = 0
    """Objects that the annotations of these videos list, but that cannot be read."""

    @property
    def videos_to_describe(self) -> int:
        """Videos among those read that have an object to describe."""
        return len({track.video_id for track in self.tracks})

    @property
    def scale(self) -> float:
        """Videos of the source for each video that was read."""
        return self.videos / self.read if self.read else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class StageEstimate:
    """What one stage is expected to use."""

    stage: Stage
    requests: float
    images: float
    prompt_tokens: float
    reply_tokens: float
    device_hours: float


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredRequest:
    """Means of the requests of a stage in an earlier run."""

    prompt_tokens: float
    device_seconds: float
    """Seconds of one device; 0 if the run does not record how many its servers have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Experience:
    """What is expected of the models: measured in an earlier run, or assumed."""

    kept_share: float
    reply_tokens: Mapping[Task, float]
    origin: str
    measured: Mapping[Stage, MeasuredRequest] = field(default_factory=dict)
    """Means for each stage, if the same models were used; they replace computed values."""

    @classmethod
    def assumed(cls) -> "Experience":
        """Assumptions for a build without an earlier run."""
        tokens = {task: words * TOKENS_PER_WORD for task, words in REPLY_WORDS.items()}
        return cls(kept_share=KEPT_SHARE, reply_tokens=tokens, origin="assumed lengths of replies")

    @classmethod
    def of_run(cls, run: RunDirectory, gpus_per_request: Mapping[Stage, float] | None = None) -> "Experience":
        """Measurements of an earlier run.

        Args:
            run: The run.
            gpus_per_request: GPUs of a server over its requests at a time, for each stage. Given if the run used the
                models of the estimate, which then uses its prompt lengths and seconds too.

        Raises:
            RecordError: If it has no replies, or a journal is damaged.
        """
        used = {use.stage: use for use in stage_use(run)}
        if not used["video"].requests:
            raise RecordError(run.journal, "", "holds no replies", "name a run that was built, or omit --like")
        mean = {stage: use.completion_tokens / max(1, use.requests) for stage, use in used.items()}
        kept = used["scene"].requests / max(1, used["object"].requests / 2)
        measured = {
            stage: MeasuredRequest(
                prompt_tokens=use.prompt_tokens / max(1, use.requests),
                device_seconds=use.seconds / max(1, use.requests) * gpus_per_request[stage],
            )
            for stage, use in used.items()
            if gpus_per_request is not None
        }
        return cls(
            kept_share=min(1.0, kept),
            reply_tokens={task: mean[stage] for task, stage in STAGE_OF_TASK.items()},
            origin=f"{_shown(measured)} in {run.root}",
            measured=measured,
        )


def _shown(measured: Mapping[Stage, MeasuredRequest]) -> str:
    if not measured:
        return "replies"
    timed = any(request.device_seconds for request in measured.values())
    return "replies, prompts and seconds" if timed else "replies and prompts"


def sample_source(source: Path, config: SourceConfig, most_videos: int) -> SourceSample:
    """List all videos, and read at most `most_videos` of them, spread evenly over the list.

    Raises:
        RecordError: If the source cannot be listed, or holds no video.
    """
    videos = [entry for entry in discover(source, config) if not isinstance(entry, Unreadable)]
    if not videos:
        raise RecordError(source, "", "holds no videos with annotations", "give the folder that holds them")
    chosen = _spread(videos, most_videos)
    tracks: list[ObjectTrack] = []
    unreadable = 0
    for video in chosen:
        objects = read_video(video, config)
        tracks += objects.tracks
        unreadable += len(objects.failed)
    return SourceSample(videos=len(videos), read=len(chosen), tracks=tuple(tracks), unreadable=unreadable)


def estimate(
    sample: SourceSample, config: AnnotationConfig, profile: ServeProfile, experience: Experience
) -> tuple[StageEstimate, ...]:
    """Add up the requests of the objects of a sample, scaled to the source.

    Args:
        sample: Videos of the source.
        config: What is shown and asked.
        profile: How fast the models are.
        experience: Lengths of replies and the share of kept objects, measured or assumed.
    """
    totals = {stage: [0.0] * 5 for stage in STAGES}
    prompts = config.stages.load_prompts()
    for track in sample.tracks:
        for task, share, sizes in _requests(track, config.views, experience.kept_share):
            stage = STAGE_OF_TASK[task]
            figures = (profile.judge if stage == "judge" else profile.vlm).figures
            seen = experience.measured.get(stage)
            prompt = seen.prompt_tokens if seen else _prompt_tokens(task, prompts[task], sizes, figures, experience)
            reply = experience.reply_tokens[task]
            seconds = (seen and seen.device_seconds) or figures.device_seconds(prompt, reply)
            for column, value in enumerate((1, len(sizes), prompt, reply, seconds / 3600)):
                totals[stage][column] += share * value * sample.scale
    return tuple(
        StageEstimate(
            stage=stage,
            requests=sums[0],
            images=sums[1],
            prompt_tokens=sums[2],
            reply_tokens=sums[3],
            device_hours=sums[4],
        )
        for stage, sums in totals.items()
    )


def _requests(
    track: ObjectTrack, views: ViewsConfig, kept_share: float
) -> Iterable[tuple[Task, float, Sequence[tuple[int, int]]]]:
    """Yield (task, requests for each object, sizes of its images as (height, width))."""
    frame = fitted_size(track.size, views.longest_side_px)
    count = len(sampled_rows(len(track.masks), views.frames))
    yield "object-crop", 1.0, [_crop_size(track, frame, views)]
    yield "object-masked", 1.0, [frame]
    yield "judge", 1.0, []
    yield "judge-reason", 1.0 - kept_share, []
    yield "scene", kept_share, [frame]
    yield "video", kept_share, [frame] * count


def _prompt_tokens(
    task: Task, prompt: Prompt, sizes: Sequence[tuple[int, int]], figures: Figures, experience: Experience
) -> float:
    words = len(f"{prompt.system} {prompt.user}".split())
    earlier_texts: Mapping[Task, Sequence[Task]] = {
        "judge": ("object-crop", "object-masked"),
        "judge-reason": ("object-crop", "object-masked"),
        "scene": ("object-crop", "object-masked"),
        "video": ("scene",),
    }
    earlier = sum(experience.reply_tokens[before] for before in earlier_texts.get(task, ()))
    return words * TOKENS_PER_WORD + earlier + sum(figures.image_tokens(height, width) for height, width in sizes)


def _crop_size(track: ObjectTrack, frame: tuple[int, int], views: ViewsConfig) -> tuple[int, int]:
    rle = track.masks[track.largest_row]
    if rle is None:
        return 0, 0
    x0, y0, x1, y1 = box(rle)
    room = 2 * views.crop_margin * max(y1 - y0, x1 - x0)
    scale = frame[0] / track.size[0]
    return min(frame[0], round((y1 - y0 + room) * scale)), min(frame[1], round((x1 - x0 + room) * scale))


def _spread(videos: Sequence[VideoFile], most: int) -> Sequence[VideoFile]:
    step = max(1.0, len(videos) / most)
    return [videos[int(index * step)] for index in range(min(most, len(videos)))]
