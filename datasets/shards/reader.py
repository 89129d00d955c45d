"""Any sample of a folder of shards, read by its place in the tar: no more of its bytes than are wanted."""

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

COPY_AGAIN = "copy the shard again, or delete it and run the same `refsav build`, which writes it anew"


class ShardSamples:
    """The samples of all shards of a folder, numbered through.

    How many there are is told by index.json. Where they lie, 32 bytes each, is noted when a shard is first read from;
    no file stays open. So a folder of thousands of shards opens at once and takes some megabytes.
    """

    def __init__(self, folder: Path, verify: Verify = "size") -> None:
        """Open a folder.

        Args:
            folder: Holds the tars and their index.json.
            verify: "size" holds each file's size against the index, "sha256" its bytes too, which reads all of them.
                A shard that is missing or another one than it says is kept in `faults`: its samples cannot be read,
                those of others can.

        Raises:
            RecordError: If the index cannot be read.
        """
        self.folder = folder
        self.index = folder / INDEX
        """Names every shard, with its SHA-256."""
        self.shards = [shard for shard in read_index(folder) if shard.samples]
        found = ((number, _fault(folder / shard.name, shard, verify)) for number, shard in enumerate(self.shards))
        self.faults: dict[int, RecordError] = {number: fault for number, fault in found if fault}
        self._ends = np.cumsum([shard.samples for shard in self.shards], dtype=np.int64)
        self._places: dict[int, npt.NDArray[np.int64]] = {}

    def __len__(self) -> int:
        """Count the samples."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def shard_of(self, index: int) -> IndexedShard:
        """Tell which shard holds a sample."""
        return self.shards[self._number(index)]

    def path_of(self, index: int) -> Path:
        """Tell which file holds a sample."""
        return self.folder / self.shard_of(index).name

    def describe(self, index: int) -> DescribedVideo:
        """Read what a shard says of a video; its pictures are not touched. Raises RecordError."""
        path = self.path_of(index)
        if fault := self.faults.get(self._number(index)):
            raise RecordError(fault.path, f"sample {self._within(index)}", fault.problem, fault.fix)
        offset, length, _, _ = self._place(index)
        (content,) = _read(path, [(offset, length)])
        try:
            return described(content)
        except NOT_AS_WRITTEN as error:
            raise RecordError(path, f"sample at byte {offset}", f"is no description: {error!r}", COPY_AGAIN) from error

    def sample(self, index: int, video: DescribedVideo, rows: Sequence[int]) -> Sample:
        """Make a sample that has only some rows of a video; of a Motion-JPEG only the bytes of these are read.

        Args:
            index: Of the sample.
            video: What `describe` gave.
            rows: Annotated frames, increasing.

        Raises:
            RecordError: If the file ends before, or a frame's place is outside the member.
        """
        path = self.path_of(index)
        _, _, start, length = self._place(index)
        frames = [video.frames[row] for row in rows]
        if video.media_kind == "mp4":
            media = _read(path, [(start, length)])
        else:
            for frame in frames:
                if not 0 <= frame.offset <= frame.offset + frame.length <= length:
                    place = f"{video.video_id}: frame {frame.index}"
                    raise RecordError(path, place, f"is said to lie outside its {length} bytes", COPY_AGAIN)
            media = _read(path, [(start + frame.offset, frame.length) for frame in frames])
            ends = np.cumsum([0, *(len(picture) for picture in media)]).tolist()
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

    def _place(self, index: int) -> tuple[int, int, int, int]:
        number = self._number(index)
        shard = self.shards[number]
        if number not in self._places:
            self._places[number] = _places_in(self.folder / shard.name, shard.samples)
        offset, length, media_offset, media_length = self._places[number][self._within(index)].tolist()
        return offset, length, media_offset, media_length

    def _within(self, index: int) -> int:
        """Place of a sample in its shard."""
        number = self._number(index)
        return index - int(self._ends[number]) + self.shards[number].samples


def _fault(path: Path, shard: IndexedShard, verify: Verify) -> RecordError | None:
    """Say what is wrong with a shard, if anything is."""
    try:
        size = path.stat().st_size
        if size != shard.size_bytes:
            problem = f"has {size} bytes, index.json says {shard.size_bytes}: it was cut short or altered"
        elif verify == "sha256" and sha256_of(path) != shard.sha256:
            problem = "has not the SHA-256 that index.json says: it was altered"
        else:
            return None
    except OSError as error:
        problem = f"is in index.json and cannot be opened: {error.strerror}"
    return RecordError(path, "", problem, COPY_AGAIN)


def _places_in(path: Path, samples: int) -> npt.NDArray[np.int64]:
    """Find all members by their headers: int64 [samples, 4], where descriptions and media begin, and their lengths."""
    places: list[tuple[int, int]] = []
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                is_description = member.name.endswith(".json")
                if is_description == bool(len(places) % 2):
                    raise RecordError(path, member.name, "is not where a sample has it", COPY_AGAIN)
                places.append((member.offset_data, member.size))
    except (OSError, tarfile.TarError) as error:
        raise RecordError(path, "", f"is not a readable shard: {error}", COPY_AGAIN) from error
    if len(places) != 2 * samples:
        problem = f"holds {len(places)} files, index.json says {samples} samples of 2"
        raise RecordError(path, "", problem, COPY_AGAIN)
    return np.array(places, dtype=np.int64).reshape(samples, 4)


def _read(path: Path, places: Sequence[tuple[int, int]]) -> list[bytes]:
    """Read some (offset, length) of a file."""
    try:
        with path.open("rb", buffering=0) as stream:
            contents = []
            for offset, length in places:
                stream.seek(offset)
                contents.append(stream.read(length))
    except OSError as error:
        raise RecordError(path, "", f"cannot be read: {error.strerror}", COPY_AGAIN) from error
    for (offset, length), content in zip(places, contents, strict=True):
        if len(content) != length:
            raise RecordError(path, f"byte {offset}", f"ends {length - len(content)} bytes early", COPY_AGAIN)
    return contents
