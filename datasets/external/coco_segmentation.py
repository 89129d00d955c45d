"""COCO's field `segmentation` in its three forms, polygons, run lengths and compressed run lengths, as one: Rle."""

from collections.abc import Mapping, Sequence

from pycocotools import mask as coco

from refsav.datasets.masks import checked_area_px, union
from refsav.datasets.records import Rle

TRIANGLE = 6
"""Numbers of the smallest polygon; pycocotools takes four for a box, and crashes on fewer."""


def read_segmentation(value: object, size: tuple[int, int]) -> Rle:
    """Read what a published file holds under `segmentation`.

    Polygons that overlap, as parts of one object may, are one mask: a pixel is on the object or it is not. Points and
    lines, which some annotations have for tiny objects, cover nothing.

    Args:
        value: A list of polygons, each [x0, y0, x1, y1, …] in pixels; {"size", "counts"} with counts as a list or text;
            or a list of those.
        size: (height, width) of the image, in pixels.

    Raises:
        ValueError: If it is none of these, or of another size.
    """
    if isinstance(value, Mapping):
        return _run_lengths(value, size)
    if not isinstance(value, list | tuple):
        raise ValueError(f"is neither polygons nor run lengths: {str(value)[:40]!r}")
    if value and all(isinstance(part, Mapping) for part in value):
        return union([_run_lengths(part, size) for part in value])
    polygons = [_polygon(part, size) for part in value]
    drawn = [polygon for polygon in polygons if len(polygon) >= TRIANGLE]
    return union([_made(one, size) for one in coco.frPyObjects(drawn, *size)]) if drawn else empty(size)


def read_sized(value: object) -> Rle:
    """Read run lengths that tell their own size. Raises ValueError if they do not, or are none."""
    size = value.get("size") if isinstance(value, Mapping) else None
    if isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size):
        return read_segmentation(value, (size[0], size[1]))
    raise ValueError(f"is no mask with a size: {str(value)[:40]!r}")


def empty(size: tuple[int, int]) -> Rle:
    """Give the mask without any pixel; `size` is (height, width)."""
    height, width = size
    return _made(coco.frPyObjects({"size": [height, width], "counts": [height * width]}, height, width), size)


def _run_lengths(value: Mapping[str, object], size: tuple[int, int]) -> Rle:
    found, counts = value.get("size"), value.get("counts")
    if not isinstance(found, list | tuple) or tuple(found) != size:
        shown = "x".join(map(str, found)) if isinstance(found, list | tuple) else str(found)[:40]
        raise ValueError(f"mask is {shown}, the image {size[0]}x{size[1]} (height x width)")
    if isinstance(counts, list | tuple):
        return _uncompressed(counts, size)
    if not isinstance(counts, str | bytes):
        raise ValueError("counts are missing")
    rle = Rle(size, counts if isinstance(counts, str) else counts.decode("latin-1"))
    checked_area_px(rle)
    return rle


def _uncompressed(counts: Sequence[object], size: tuple[int, int]) -> Rle:
    height, width = size
    runs = [count for count in counts if isinstance(count, int) and count >= 0]
    if len(runs) != len(counts) or sum(runs) != height * width:
        raise ValueError(f"runs add up to {sum(runs)} pixels, the image has {height}x{width} = {height * width}")
    return _made(coco.frPyObjects({"size": [height, width], "counts": runs}, height, width), size)


def _polygon(value: object, size: tuple[int, int]) -> list[float]:
    if not isinstance(value, list | tuple) or not all(isinstance(number, int | float) for number in value):
        raise ValueError(f"holds something that is no polygon: {str(value)[:40]!r}")
    longest = max(size)
    if len(value) % 2 or not all(-longest <= number <= 2 * longest for number in value):
        raise ValueError(f"holds a polygon that is not one in an image of {size[0]}x{size[1]} (height x width)")
    return list(value)


def _made(encoded: Mapping[str, bytes], size: tuple[int, int]) -> Rle:
    return Rle(size, encoded["counts"].decode("ascii"))
