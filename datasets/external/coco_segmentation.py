"""COCO's `segmentation` field: polygons, uncompressed RLE and compressed RLE are all converted to `Rle`."""

from collections.abc import Mapping, Sequence

from pycocotools import mask as coco

from refsav.datasets.masks import checked_area_px, union
from refsav.datasets.records import Rle

TRIANGLE = 6
"""Coordinates of the smallest polygon; pycocotools reads four numbers as a box, and crashes on fewer."""


def read_segmentation(value: object, size: tuple[int, int]) -> Rle:
    """Convert the value of a `segmentation` field to one mask.

    Overlapping polygons are merged, as they may be pieces of one object. Polygons with fewer than three points, which
    some annotations have for tiny objects, cover no pixels.

    Args:
        value: A list of polygons, each [x0, y0, x1, y1, …] in pixels; an RLE {"size", "counts"} with counts as a list
            (uncompressed) or text (compressed); or a list of RLEs.
        size: (height, width) of the image, in pixels.

    Raises:
        ValueError: If the value has another form, or another size.
    """
    if isinstance(value, Mapping):
        return _run_lengths(value, size)
    if not isinstance(value, list | tuple):
        raise ValueError(f"is neither polygons nor RLE: {str(value)[:40]!r}")
    if value and all(isinstance(piece, Mapping) for piece in value):
        return union([_run_lengths(piece, size) for piece in value])
    polygons = [_polygon(piece, size) for piece in value]
    areas = [polygon for polygon in polygons if len(polygon) >= TRIANGLE]
    return union([_as_rle(encoded, size) for encoded in coco.frPyObjects(areas, *size)]) if areas else empty(size)


def read_sized(value: object) -> Rle:
    """Convert an RLE that states its own size. Raises ValueError if it does not, or is not an RLE."""
    size = value.get("size") if isinstance(value, Mapping) else None
    if isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size):
        return read_segmentation(value, (size[0], size[1]))
    raise ValueError(f"is not a mask with a size: {str(value)[:40]!r}")


def empty(size: tuple[int, int]) -> Rle:
    """Return a mask that covers no pixel; `size` is (height, width) in pixels."""
    height, width = size
    return _as_rle(coco.frPyObjects({"size": [height, width], "counts": [height * width]}, height, width), size)


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
    return _as_rle(coco.frPyObjects({"size": [height, width], "counts": runs}, height, width), size)


def _polygon(value: object, size: tuple[int, int]) -> list[float]:
    if not isinstance(value, list | tuple) or not all(isinstance(number, int | float) for number in value):
        raise ValueError(f"contains a value that is not a polygon: {str(value)[:40]!r}")
    longest = max(size)
    if len(value) % 2 or not all(-longest <= number <= 2 * longest for number in value):
        raise ValueError(f"contains a polygon that does not fit an image of {size[0]}x{size[1]} (height x width)")
    return list(value)


def _as_rle(encoded: Mapping[str, bytes], size: tuple[int, int]) -> Rle:
    return Rle(size, encoded["counts"].decode("ascii"))
