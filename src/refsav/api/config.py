"""Configurations that public functions take."""

from refsav.flows.config.build import BuildConfig
from refsav.model.inference_settings import InferenceSettings

__all__ = ["BuildConfig", "InferenceSettings"]
