"""The sizes of a Sa2VA with random weights, and their initialization."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from refsav.config import Config
from refsav.model.families import registry
from refsav.model.families.family import Family
from refsav.model.families.sizes import SHOWN_PIXELS, LanguageShape, MllmSizes, VisionShape
from refsav.model.sam.config import Sam2Config


class Initialization(Config):
    """Initialization of random weights. With the defaults, a model can learn from scratch to prompt SAM-2."""

    language_range: float = Field(0.02, gt=0, description="Standard deviation of the language model's weights.")
    vision_range: float = Field(0.02, gt=0, description="Standard deviation of the vision tower's weights.")
    prompt_gain: float = Field(
        6.0,
        gt=0,
        description="Factor on the last weight of the [SEG] projection: SAM-2's own prompts are as large as N(0, 1).",
    )
    mask_gain: float = Field(
        2.45,
        gt=0,
        description="Factor on the weights that turn SAM-2's tokens into masks: with torch's initialization, a prompt "
        "has almost no effect. √6 gives He initialization for layers with ReLU (arXiv 1502.01852).",
    )
    visible_logit: float = Field(
        10.0, description="Initial logit that an object is in the frame: losses on masks do not train it."
    )


class ModelConfig(Config):
    """A Sa2VA with random weights: its family, the sizes of its modules, their initialization."""

    family: str = Field(description="Family of the multimodal LLM.")
    language: LanguageShape
    vision: VisionShape
    sam2: Sam2Config = Sam2Config()
    shown_pixels: tuple[int, int] = Field(
        SHOWN_PIXELS, description="Smallest and largest area of a frame in the vision tower, in pixels (Qwen)."
    )
    tokenizer_size: int = Field(
        1024, ge=300, description="Largest number of tokens of the tokenizer that is trained for it."
    )
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Type of the weights.")
    begin: Initialization = Initialization()

    @property
    def entry(self) -> Family:
        """The family's entry."""
        return registry.FAMILIES[self.family]

    @property
    def mllm(self) -> MllmSizes:
        """The sizes of the multimodal LLM."""
        return MllmSizes(
            language=self.language,
            vision=self.vision,
            language_range=self.begin.language_range,
            vision_range=self.begin.vision_range,
        )

    @field_validator("family")
    @classmethod
    def _is_known(cls, family: str) -> str:
        if family not in registry.FAMILIES:
            raise ValueError(f"{family!r} is not a supported family: use {registry.supported()}")
        return family

    @model_validator(mode="after")
    def _of_one_family(self) -> Self:
        given = [f"{table}.{key}" for table in ("language", "vision") for key in getattr(self, table).model_fields_set]
        for key in sorted([*given, *self.model_fields_set]):
            owners = [family.name for family in registry.FAMILIES.values() if key in family.own_sizes]
            if owners and self.family not in owners:
                raise ValueError(f"{key} is a key of {' and '.join(owners)}, not of {self.family}")
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        self.entry.check_sizes(self.mllm)
        return self
