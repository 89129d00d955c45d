"""What a review can be told; kept in the run, so that later commands agree with earlier ones."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import tomli_w
from pydantic import Field, field_validator

from refsav.config import Config
from refsav.datasets.review.decisions import Rule
from refsav.datasets.run.run_directory import RunDirectory
from refsav.disk.files import write_text


class ReviewConfig(Config):
    """How people check the validation set."""

    long_objects: int = Field(
        0, ge=0, description="Validation objects whose long expression is asked about; 0 asks about all."
    )
    short_objects: int = Field(
        0, ge=0, description="Validation objects that a short expression is asked for; 0 asks for all."
    )
    seed: int = Field(0, ge=0, description="Another number draws other objects.")
    annotators: int = Field(1, ge=1, description="How many annotators each object is given to.")
    rule: Rule = Field(
        "majority", description="What holds if they differ: what most say (a tie stays open), or the latest answer."
    )
    longest_side_px: int = Field(640, ge=64, description="Size of the films; the strip's pictures are half as large.")
    film_seconds: float = Field(40.0, gt=0, description="Films are cut after so many seconds.")
    frames: int = Field(8, ge=1, description="Pictures in the strip, spread over the video.")
    address: str = Field("http://127.0.0.1:8080", description="Label Studio. Its token: LABEL_STUDIO_API_KEY.")
    batch_tasks: int = Field(100, ge=1, description="Tasks in one request to Label Studio.")
    document_root: str = Field(
        "",
        description="Folder that Label Studio serves local files from (LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT); "
        "empty: the folder that holds the run.",
    )
    media_url: str = Field(
        "", description="Address under which the run's review folder is served, in place of local files."
    )

    @field_validator("address", "media_url")
    @classmethod
    def _is_web_address(cls, address: str) -> str:
        parts = urlsplit(address)
        if address and (parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc):
            raise ValueError("give it as http://HOST:PORT, without a password")
        return address.rstrip("/")


def read_review_config(run: RunDirectory, overrides: Mapping[str, Any] | None = None) -> ReviewConfig:
    """Read what a run's review has been told, and what it is told now. Raises ConfigError."""
    if run.review_settings.exists():
        return ReviewConfig.from_toml(run.review_settings, overrides)
    return ReviewConfig.from_mapping(dict(overrides or {}), "command line")


def keep_review_config(run: RunDirectory, config: ReviewConfig) -> None:
    """Write what a run's review is told. Raises DiskError."""
    write_text(run.review_settings, tomli_w.dumps(config.model_dump(mode="json")))
