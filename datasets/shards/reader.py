"""Random access to the samples of a folder of shards: only the bytes that are needed are read from a tar."""

import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from refsav.datasets.shards.index import INDEX, IndexedShard, read_index
from refsav.datasets.shards.samples import NOT_AS_WRITTEN, DescribedVideo, FrameEntry, Sample, described
from refsav.disk.files import sha256_of
from refsav.errors import RecordError

Verify = Literal["size", "sha256"]

COPY_AGAIN = "copy the shard again, or delete it and run the same `refsav build`, which writes it again"


class ShardSamples:
    """The samples of all shards of a folder, numbered from 0 across shards.

    index.json gives their number. Offsets, 32 bytes per sample, are collected when a shard is first read; no file stays
    open. So a folder of thousands of shards opens at once and takes a few megabytes of memory.
    """

    def __init__(self, folder: Path, verify: Verify = "size") -> None:
        """Open a folder.

        Args:
            folder: Folder of the tars and their index.json.
            verify: "size" compares the size of each file with the index, "sha256" also its digest, which reads every
                byte. A shard that is missing or differs is recorded in `errors`: only its samples cannot be read.

        Raises:
            RecordError: If the index cannot be read.
        """
        self.folder = folder
        self.index = folder / INDEX
        """Path of index.json, which lists every shard with its SHA-256."""
        self.shards = [shard for shard in read_index(folder) if shard.samples]
        found = ((number, _error_in(folder / shard.name, shard, verify)) for number, shard in enumerate(self.shards))
        self.errors: dict[int, RecordError] = {number: error for number, error in found if error}
        """What is wrong with a shard, by its position in `shards`."""
        self._ends = np.cumsum([shard.samples for shard in self.shards], dtype=np.int64)
        self._offsets: dict[int, npt.NDArray[np.int64]] = {}

    def __len__(self) -> int:
        """Number of samples in all shards."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def shard_of(self, index: int) -> IndexedShard:
        """Return the shard that holds a sample."""
        return self.shards[self._number(index)]

    def path_of(self, index: int) -> Path:
        """Return the path of the shard that holds a sample."""
        return self.folder / self.shard_of(index).name

    def describe(self, index: int) -> DescribedVideo:
        """Read the description of a video, without its frames. Raises RecordError."""
        path = self.path_of(index)
        if error := self.errors.get(self._number(index)):
            raise RecordError(error.path, f"sample {self._within(index)}", error.problem, error.fix)
        offset, length, _, _ = self._offsets_of(index)
        (content,) = _read(path, [(offset, length)])
        try:
            return described(content)
        except NOT_AS_WRITTEN as problem:
            where = f"sample at byte {offset}"
            raise RecordError(path, where, f"is not a description: {problem!r}", COPY_AGAIN) from problem

    def sample(self, index: int, video: DescribedVideo, rows: Sequence[int]) -> Sample:
        """Read a sample with only some rows of its video; from a Motion-JPEG only the bytes of these frames are read.

        Args:
            index: Position of the sample.
            video: Its description, from `describe`.
            rows: Annotated frames to read, increasing.

        Returns:
            A sample whose frames and masks are those of `rows`.

        Raises:
            RecordError: If the file is too short, or a frame's bytes lie outside the member.
        """
        path = self.path_of(index)
        _, _, start, length = self._offsets_of(index)
        frames = [video.frames[row] for row in rows]
        if video.media_kind == "mp4":
            media = _read(path, [(start, length)])
        else:
            for frame in frames:
                if not 0 <= frame.offset <= frame.offset + frame.length <= length:
                    where = f"{video.video_id}: frame {frame.index}"
                    raise RecordError(path, where, f"lies outside the member's {length} bytes", COPY_AGAIN)
            media = _read(path, [(start + frame.offset, frame.length) for frame in frames])
            ends = np.cumsum([0, *(len(frame) for frame in media)]).tolist()
            frames = [FrameEntry(frame.index, end, frame.length) for frame, end in zip(frames, ends, strict=False)]
        return Sample(
            video_id=video.video_id,
            size=video.size,
            rate_hz=video.rate_hz,
            frames=tuple(frames),
            objects=tuple(replace(each, masks=tuple(map(each.mask_at, rows))) for each in video.objects),
            media_kind=video.media_kind,
            media=b"".join(media),
        )

    def _number(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return int(np.searchsorted(self._ends, index, side="right"))

    def _offsets_of(self, index: int) -> tuple[int, int, int, int]:
        number = self._number(index)
        shard = self.shards[number]
        if number not in self._offsets:
            self._offsets[number] = _read_offsets(self.folder / shard.name, shard.samples)
        offset, length, media_offset, media_length = self._offsets[number][self._within(index)].tolist()
        return offset, length, media_offset, media_length

    def _within(self, index: int) -> int:
        """Position of a sample in its shard, from 0."""
        number = self._number(index)
        return index - int(self._ends[number]) + self.shards[number].samples


def _error_in(path: Path, shard: IndexedShard, verify: Verify) -> RecordError | None:
    """Compare a shard with the index; return None if they agree."""
    try:
        size = path.stat().st_size
        if size != shard.size_bytes:
            problem = f"has {size} bytes, index.json says {shard.size_bytes}: it was truncated or changed"
        elif verify == "sha256" and sha256_of(path) != shard.sha256:
            problem = "does not have the SHA-256 that index.json lists: it was changed"
        else:
            return None
    except OSError as error:
        problem = f"is in index.json and cannot be opened: {error.strerror}"
    return RecordError(path, "", problem, COPY_AGAIN)


def _read_offsets(path: Path, samples: int) -> npt.NDArray[np.int64]:
    """Read member headers: int64 [samples, 4], offset and length in bytes of each description and its media."""
    ranges: list[tuple[int, int]] = []
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                is_description = member.name.endswith(".json")
                if is_description == bool(len(ranges) % 2):
                    raise RecordError(
                        path, member.name, "is out of order: a sample is a description, then its media", COPY_AGAIN
                    )
                ranges.append((member.offset_data, member.size))
    except (OSError, tarfile.TarError) as error:
        raise RecordError(path, "", f"is not a readable shard: {error}", COPY_AGAIN) from error
    if len(ranges) != 2 * samples:
        problem = f"holds {len(ranges)} files, index.json says {samples} samples of 2"
        raise RecordError(path, "", problem, COPY_AGAIN)
    return np.array(ranges, dtype=np.int64).reshape(samples, 4)


def _read(path: Path, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """Read some byte ranges, (offset, length), of a file."""
    try:
        with path.open("rb", buffering=0) as stream:
            contents = []
            for offset, length in ranges:
                stream.seek(offset)
                contents.append(stream.read(length))
    except OSError as error:
        raise RecordError(path, "", f"cannot be read: {error.strerror}", COPY_AGAIN) from error
    for (offset, length), content in zip(ranges, contents, strict=True):
        if len(content) != length:
            raise RecordError(path, f"byte {offset}", f"ends {length - len(content)} bytes early", COPY_AGAIN)
    return contents
