"""Sa2VA and the frames that it is given; importing this needs the extra `model`."""

from refsav.extras import require

require("model", "torch", "transformers", "sam2")

from refsav.model.media.clip import open_clip  # noqa: E402 - a missing extra is reported first
from refsav.model.sa2va import Sa2VA  # noqa: E402

__all__ = ["Sa2VA", "open_clip"]
