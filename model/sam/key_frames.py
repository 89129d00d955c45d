"""Key frames: the frames that the language model sees and whose masks come from `[SEG]` (Sa2VA, Table 20)."""

import re

from refsav.model.input_errors import InputError

DEFAULT_COUNT = 5


def key_frames(rule: str, frame_count: int) -> list[int]:
    """Return the indices of key frames, in increasing order.

    Args:
        rule: "first-K", "uniform-K" (evenly spaced from the first to the last frame, truncated to integers), "all", or
            indices such as "0,8,16".
        frame_count: Number of frames of the clip, at least 1.

    Raises:
        InputError: If the rule is unknown, or an index lies outside the clip.
    """
    if rule == "all":
        return list(range(frame_count))
    if found := re.fullmatch(r"(first|uniform)-([1-9]\d*)", rule):
        count = min(int(found[2]), frame_count)
        if found[1] == "first" or count == 1:
            return list(range(count))
        return sorted({int(number * (frame_count - 1) / (count - 1)) for number in range(count)})
    if re.fullmatch(r"\d+(,\d+)*", rule):
        given = sorted({int(index) for index in rule.split(",")})
        if given[-1] >= frame_count:
            raise InputError(
                f"key frame {given[-1]} is not in a clip of {frame_count} frames",
                f"give indices from 0 to {frame_count - 1}",
            )
        return given
    raise InputError(f"{rule!r} is no rule for key frames", "write first-5, uniform-5, all, or indices such as 0,8,16")
