"""What a build will ask for, before anything is asked: requests, tokens, GPU-hours."""

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
"""English, in the vocabularies of today's models."""

REPLY_WORDS: Mapping[Task, float] = {
    "object-crop": 50,
    "object-masked": 50,
    "judge": 1,
    "judge-reason": 15,
    "scene": 75,
    "video": 84,
}
"""Words of a reply where nothing is measured; the video stage's is Table 4's mean of 83.6."""

KEPT_SHARE = 0.8
"""Objects that the judge lets through where nothing is measured; the paper does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Some videos of a source, read to know the rest."""

    videos: int
    """Videos that the source holds."""
    read: int
    """Videos that were read."""
    tracks: tuple[ObjectTrack, ...]
    """Objects of those that go through the stages."""
    unreadable: int = 0
    """Objects of those that their annotations list, but that cannot be read."""

    @property
    def videos_to_describe(self) -> int:
        """Videos among those read that have an object to describe."""
        return len({track.video_id for track in self.tracks})

    @property
    def scale(self) -> float:
        """How many videos each one that was read stands for."""
        return self.videos / self.read if self.read else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class StageEstimate:
    """What one stage will use."""

    stage: Stage
    requests: float
    images: float
    prompt_tokens: float
    reply_tokens: float
    device_hours: float


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredRequest:
    """What a request of a stage took on average in an earlier run."""

    prompt_tokens: float
    device_seconds: float
    """Seconds of one device; 0 if the run does not know how many its servers have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Experience:
    """What is expected of the models: measured in an earlier run, or assumed."""

    kept_share: float
    reply_tokens: Mapping[Task, float]
    origin: str
    measured: Mapping[Stage, MeasuredRequest] = field(default_factory=dict)
    """Means of a stage's requests, where the same models were asked; they win over what is computed."""

    @classmethod
    def assumed(cls) -> "Experience":
        """What to expect when nothing has been measured."""
        tokens = {task: words * TOKENS_PER_WORD for task, words in REPLY_WORDS.items()}
        return cls(kept_share=KEPT_SHARE, reply_tokens=tokens, origin="assumed lengths of replies")

    @classmethod
    def of_run(cls, run: RunDirectory, gpus_per_request: Mapping[Stage, float] | None = None) -> "Experience":
        """What an earlier run has shown.

        Args:
            run: The run.
            gpus_per_request: GPUs of a server over requests that it works on at a time, for each stage; to be given if
                the run's models are those of the estimate, which then takes its prompts and seconds too.

        Raises:
            RecordError: If it has no replies, or a journal is damaged.
        """
        used = {use.stage: use for use in stage_use(run)}
        if not used["video"].requests:
            raise RecordError(run.journal, "", "holds no replies", "name a run that was built, or leave --like out")
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


def sample_source(source: Path, config: SourceConfig, most_videos: int) -> Sample:
    """List all videos, read at most `most_videos` of them, spread evenly over the list.

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
    return Sample(videos=len(videos), read=len(chosen), tracks=tuple(tracks), unreadable=unreadable)


def estimate(
    sample: Sample, config: AnnotationConfig, profile: ServeProfile, experience: Experience
) -> tuple[StageEstimate, ...]:
    """Add up what the objects of a sample will ask for, scaled to the whole source."""
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
            for place, value in enumerate((1, len(sizes), prompt, reply, seconds / 3600)):
                totals[stage][place] += share * value * sample.scale
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
    """Yield (task, how often it is asked, sizes of its images as (height, width))."""
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
    taken_up: Mapping[Task, Sequence[Task]] = {
        "judge": ("object-crop", "object-masked"),
        "judge-reason": ("object-crop", "object-masked"),
        "scene": ("object-crop", "object-masked"),
        "video": ("scene",),
    }
    earlier = sum(experience.reply_tokens[before] for before in taken_up.get(task, ()))
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
    return [videos[int(place * step)] for place in range(min(most, len(videos)))]
