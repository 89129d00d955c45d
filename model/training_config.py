"""The configuration of a training run; reading it needs no torch."""

from typing import Literal

from pydantic import Field

from refsav.config import Config
from refsav.datasets.training_sources.config import DataConfig
from refsav.model.families.seg_tokens import SegDesign

TrainMode = Literal["full", "frozen"]


class InitialModelConfig(Config):
    """The model to train."""

    origin: str = Field(
        "configs/models/pocket.toml",
        description="Sa2VA to start from: a checkpoint directory, or a TOML file of sizes for random weights.",
    )
    seed: int = Field(0, ge=0, description="Seed of the random weights.")
    attention: str = Field("sdpa", description="Attention of the language model, by its name in transformers.")
    keep_original_decoder: bool = Field(
        True,
        description="Keep a copy of SAM-2's mask decoder from before the training, for consistent propagation; not for "
        "random weights.",
    )


class SegConfig(Config):
    """The tokens for an object of a video in an answer (Sa2VA, Table 12)."""

    design: SegDesign = Field(
        "single",
        description="single: one [SEG] for all frames; repetitive: one [SEG] per frame; unique: [SEG 1], [SEG 2] …",
    )
    frames: int = Field(5, ge=1, description="Most frames per example; unique has as many tokens.")


class LearnsConfig(Config):
    """How each part is trained. The defaults are the paper's. SAM-2's memory gets no gradient and is always frozen."""

    language_model: Literal["lora", "full", "frozen"] = Field("lora", description="Decoder layers of the LLM.")
    embeddings: TrainMode = Field("full", description="The LLM's token embeddings and its output head.")
    vision_tower: TrainMode = Field("frozen", description="The vision tower of the multimodal LLM.")
    vision_projection: TrainMode = Field("frozen", description="The projection of its features into the LLM.")
    seg_projection: TrainMode = Field("full", description="The MLP that projects the hidden states of [SEG].")
    image_encoder: TrainMode = Field("frozen", description="SAM-2's image encoder.")
    prompt_encoder: TrainMode = Field("frozen", description="SAM-2's prompt encoder.")
    mask_decoder: TrainMode = Field("full", description="SAM-2's mask decoder.")


class LoraConfig(Config):
    """LoRA on every linear layer of the LLM's decoder, if learns.language_model is lora."""

    rank: int = Field(256, ge=1, description="Rank of the adapters.")
    alpha: int = Field(512, ge=1, description="Scale: the adapter's output is multiplied by alpha / rank.")
    dropout: float = Field(0.05, ge=0, lt=1, description="Dropout on an adapter's input, 0-1.")


class LossConfig(Config):
    """Weights of the loss terms. The defaults are those of the released code."""

    text: float = Field(1.0, ge=0, description="Weight of the answers' cross-entropy.")
    pixels: float = Field(2.0, ge=0, description="Weight of the masks' pixel-wise cross-entropy.")
    dice: float = Field(0.5, ge=0, description="Weight of the masks' Dice loss.")
    points: int = Field(
        12544,
        ge=0,
        description="Points sampled per mask for the mask losses, most of them where the prediction is uncertain; "
        "0: all pixels.",
    )


class LearningConfig(Config):
    """Batches, steps and the optimizer."""

    batch: int = Field(64, ge=1, description="Examples per step, over all devices.")
    at_once: int = Field(1, ge=1, description="Examples per forward pass on a device; gradients are accumulated.")
    by_length: bool = Field(True, description="Group examples of similar length into steps, to reduce padding.")
    epochs: float = Field(1.0, gt=0, description="Passes over the data.")
    steps: int = Field(0, ge=0, description="Number of steps, instead of epochs; 0: as many as the epochs have.")
    rate: float = Field(4e-5, gt=0, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(0.05, ge=0, description="Weight decay of AdamW.")
    betas: tuple[float, float] = Field((0.9, 0.999), description="Betas of AdamW, each 0-1.")
    warm_up: float = Field(0.05, ge=0, lt=1, description="Share of the steps with linear warm-up, before cosine decay.")
    clip: float = Field(1.0, ge=0, description="Largest gradient norm; larger ones are scaled down; 0: no limit.")
    turns: Literal["together", "apart"] = Field(
        "together",
        description="together: the turns of an example are one conversation, as in the paper. apart: each turn is a "
        "conversation of its own about the same frames, which is easier to learn for a model with random weights.",
    )
    most_tokens: int = Field(
        8192, ge=64, description="Longest conversation, with its images, in tokens; longer examples are skipped."
    )
    explodes_above: float = Field(
        100.0, ge=0, description="The training ends if an example's loss is NaN or exceeds this; 0: no limit."
    )
    gradient_checkpointing: bool = Field(
        False, description="Recompute the LLM's layers in the backward pass: a third slower, much less memory."
    )
    seed: int = Field(0, ge=0, description="Seed of dropout and sampled points; data.seed is that of the data.")
    threads: int = Field(
        0, ge=0, description="CPU threads of torch; 0: torch's default. One is best for a small model."
    )
    workers: int = Field(1, ge=0, description="Data loader processes per device; 0: load in the training process.")


class CheckpointsConfig(Config):
    """Checkpoints to resume from, in RUN/checkpoints."""

    every: int = Field(500, ge=0, description="Steps between two checkpoints; 0: only one, after the last step.")
    keep: int = Field(2, ge=1, description="Number of latest checkpoints to keep.")


class MetricsConfig(Config):
    """The metrics of a training, in RUN/metrics.jsonl and experiment trackers."""

    every: int = Field(1, ge=1, description="Steps between two lines of metrics; each line is a mean over these steps.")
    trackers: Literal["auto", "none", "tensorboard", "wandb"] = Field(
        "auto", description="Experiment trackers that also get the metrics; auto: tensorboard and wandb, if installed."
    )


class TrainingConfig(Config):
    """The configuration of a training without its data."""

    model: InitialModelConfig = Field(InitialModelConfig(), description="The model to train.")
    seg: SegConfig = Field(SegConfig(), description="Segmentation tokens.")
    learns: LearnsConfig = Field(LearnsConfig(), description="How each part is trained.")
    lora: LoraConfig = Field(LoraConfig(), description="LoRA adapters.")
    loss: LossConfig = Field(LossConfig(), description="Weights of the loss terms.")
    learning: LearningConfig = Field(LearningConfig(), description="Batches, steps and the optimizer.")
    checkpoints: CheckpointsConfig = Field(CheckpointsConfig(), description="Checkpoints.")
    watching: MetricsConfig = Field(MetricsConfig(), description="Metrics.")


class ValidationConfig(Config):
    """Validation on held-out examples during the training."""

    every: int = Field(0, ge=0, description="Steps between two validations; there is one after the last step. 0: none.")
    examples: int = Field(64, ge=1, description="Number of examples; always the same ones.")
    data: DataConfig = Field(DataConfig(), description="Sources of the examples.")


class TrainConfig(TrainingConfig):
    """The configuration of a training run. Every key has a default; TOML files and the command line override it."""

    data: DataConfig = Field(DataConfig(), description="Training data.")
    validation: ValidationConfig = Field(ValidationConfig(), description="Held-out examples.")
