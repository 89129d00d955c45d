"""The configuration of a review; saved in the run, so that later commands use the same values as earlier ones."""

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
    """How reviewers check the validation set."""

    long_objects: int = Field(
        0, ge=0, description="Number of validation objects whose long expression is reviewed; 0: all."
    )
    short_objects: int = Field(
        0, ge=0, description="Number of validation objects that reviewers write a short expression for; 0: all."
    )
    seed: int = Field(0, ge=0, description="Seed of the random choice of objects.")
    annotators: int = Field(1, ge=1, description="Number of annotators who review each object.")
    rule: Rule = Field(
        "majority",
        description="Which answer counts if annotators differ: the majority (a tie stays open) or the latest.",
    )
    longest_side_px: int = Field(
        640, ge=64, description="Longest side of preview videos; images of the strip are half as large."
    )
    film_seconds: float = Field(40.0, gt=0, description="Preview videos are cut after this many seconds.")
    frames: int = Field(8, ge=1, description="Images in the strip, spread over the video.")
    address: str = Field("http://127.0.0.1:8080", description="Address of Label Studio; token: LABEL_STUDIO_API_KEY.")
    batch_tasks: int = Field(100, ge=1, description="Tasks in one request to Label Studio.")
    document_root: str = Field(
        "",
        description="Folder that Label Studio serves local files from (LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT); "
        "empty: the folder that contains the run.",
    )
    media_url: str = Field("", description="URL at which the run's review folder is served, instead of local files.")

    @field_validator("address", "media_url")
    @classmethod
    def _is_web_address(cls, address: str) -> str:
        parts = urlsplit(address)
        if address and (parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc):
            raise ValueError("write it as http://HOST:PORT, without a password")
        return address.rstrip("/")


def read_review_config(run: RunDirectory, overrides: Mapping[str, Any] | None = None) -> ReviewConfig:
    """Read the saved configuration of a run's review, with `overrides` from the command line. Raises ConfigError."""
    if run.review_settings.exists():
        return ReviewConfig.from_toml(run.review_settings, overrides)
    return ReviewConfig.from_mapping(dict(overrides or {}), "command line")


def write_review_config(run: RunDirectory, config: ReviewConfig) -> None:
    """Save the configuration of a run's review. Raises DiskError."""
    write_text(run.review_settings, tomli_w.dumps(config.model_dump(mode="json")))
