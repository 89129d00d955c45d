"""Reader of questions and answers about videos, in Video-ChatGPT's layout and in that of Sa2VA's training data."""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from refsav.datasets.external.checked_json import Published, checked, path_below
from refsav.datasets.frames import decode, probe
from refsav.datasets.training_examples.conversation import Message, turns_of
from refsav.datasets.training_examples.example import TrainingExample, Turn, estimate_tokens, located_errors
from refsav.datasets.training_examples.json_list import JsonItems
from refsav.datasets.training_examples.sampling import spread_frames
from refsav.datasets.training_examples.weighted_source import TrainingSourceConfig, WeightedSource, required_folder
from refsav.errors import RecordError

ENDINGS = (".mp4", ".mkv", ".webm", ".avi", ".mov")
"""Endings to try for a list that names ActivityNet's videos by id."""


class VideoQaConfig(TrainingSourceConfig):
    """Questions about videos."""

    kind: Literal["video-qa"] = "video-qa"
    path: str = Field(
        description="JSON list of {video, conversations}, as in video_chat.json, or {video_id, q, a}, Video-ChatGPT's."
    )
    videos: str = Field(description="Folder of the videos.")
    frames: int = Field(
        5,
        ge=1,
        description="Frames per example: the video is cut into so many equal segments, one frame is drawn from each.",
    )

    def open(self) -> WeightedSource:
        return WeightedSource(VideoQa(self), self.repeats)


class _Conversation(Published):
    video: str
    conversations: tuple[Message, ...]


class _Question(Published):
    video_id: str
    q: str
    a: str


class VideoQa:
    """Reads some frames of a video and a conversation about it per example."""

    def __init__(self, config: VideoQaConfig) -> None:
        """Open the list. Raises RecordError."""
        self.config = config
        self._videos = required_folder(config.videos, "the videos of the list")
        self._items = JsonItems(Path(config.path))

    @property
    def name(self) -> str:
        return self.config.name or self.config.kind

    @property
    def files(self) -> tuple[Path, ...]:
        return (self._items.path,)

    def __len__(self) -> int:
        return len(self._items)

    def length_of(self, index: int) -> int:
        return estimate_tokens(self.config.frames, self._items.characters(index))

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:
        path, where = self._items.path, self._items.place(index)
        video, turns = self._conversation(index, path, where)
        media = self._find_file(video, path, where)
        indexes = spread_frames(probe(media).frame_count, self.config.frames, random)
        with located_errors(path, where):
            return TrainingExample(
                name=f"{self.name} {video}",
                frames=tuple(image for _, image in decode(media, indexes)),
                turns=turns,
                masks=(),
            )

    def _conversation(self, index: int, path: Path, where: str) -> tuple[str, tuple[Turn, ...]]:
        item = self._items[index]
        if "q" in item:
            question = checked(_Question, item, path, where)
            return question.video_id, (Turn(question.q.strip(), question.a.strip()),)
        conversation = checked(_Conversation, item, path, where)
        return conversation.video, turns_of(conversation.conversations, path, where)

    def _find_file(self, video: str, path: Path, where: str) -> Path:
        """Find a video by its name or id; a re-encoded one may have another ending."""
        named = path_below(self._videos, video, path, where)
        candidates = [named, *(named.with_name(named.name + ending) for ending in ENDINGS)]
        candidates += [named.with_suffix(ending) for ending in ENDINGS if named.suffix in ENDINGS]
        for candidate in candidates:
            if candidate.exists():
                return candidate
        raise RecordError(named, "", "the video is missing", "unpack all videos of the dataset")
