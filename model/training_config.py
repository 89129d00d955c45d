"""Everything that a training run can be told; torch is not needed to read it."""

from typing import Literal

from pydantic import Field

from refsav.config import Config
from refsav.datasets.training_sources.config import DataConfig
from refsav.model.families.seg_tokens import SegDesign

Learns = Literal["full", "frozen"]


class InitialModelConfig(Config):
    """The model that is trained."""

    origin: str = Field(
        "configs/models/pocket.toml",
        description="Sa2VA to begin with: a checkpoint's directory, or a TOML file of sizes for one from nothing.",
    )
    seed: int = Field(0, ge=0, description="Of random weights, for a model from nothing.")
    attention: str = Field("sdpa", description="Attention of the language model, as transformers names it.")
    keep_original_decoder: bool = Field(
        True,
        description="Keep SAM-2's mask decoder aside as it was before training, for consistent propagation; a model "
        "from nothing has none worth keeping.",
    )


class SegConfig(Config):
    """What stands for an object of a video in an answer (paper, Table 12)."""

    design: SegDesign = Field(
        "single", description="single: [SEG] for all frames; repetitive: [SEG] for each; unique: [SEG 1], [SEG 2] …"
    )
    frames: int = Field(5, ge=1, description="Most frames of an example: so many tokens unique has.")


class LearnsConfig(Config):
    """Which parts learn. The defaults are the paper's; SAM-2's memory never learns, no loss reaches it."""

    language_model: Literal["lora", "full", "frozen"] = Field("lora", description="Decoder layers of the LLM.")
    embeddings: Learns = Field("full", description="Its embeddings of tokens, and its head.")
    vision_tower: Learns = Field("frozen", description="The vision tower of the multimodal LLM.")
    vision_projection: Learns = Field("frozen", description="What brings its features to the LLM.")
    seg_projection: Learns = Field("full", description="The MLP behind [SEG].")
    image_encoder: Learns = Field("frozen", description="SAM-2's image encoder.")
    prompt_encoder: Learns = Field("frozen", description="SAM-2's prompt encoder.")
    mask_decoder: Learns = Field("full", description="SAM-2's mask decoder.")


class LoraConfig(Config):
    """Low-rank adapters on every linear layer of the LLM's decoder, where language_model is lora."""

    rank: int = Field(256, ge=1, description="Rank of the adapters.")
    alpha: int = Field(512, ge=1, description="Scale: alpha / rank times the adapter is added.")
    dropout: float = Field(0.05, ge=0, lt=1, description="Share of an adapter's inputs that are dropped.")


class LossConfig(Config):
    """Weights of the loss parts; the defaults are the released ones."""

    text: float = Field(1.0, ge=0, description="Of the answers' cross-entropy.")
    pixels: float = Field(2.0, ge=0, description="Of the masks' pixel cross-entropy.")
    dice: float = Field(0.5, ge=0, description="Of the masks' dice loss.")
    points: int = Field(
        12544, ge=0, description="Points at which a mask is compared, most where it is unsure; 0 for all its pixels."
    )


class LearningConfig(Config):
    """How it learns."""

    batch: int = Field(64, ge=1, description="Examples of a step, over all devices.")
    at_once: int = Field(1, ge=1, description="Examples that a device takes at once; the rest of a step follows.")
    by_length: bool = Field(
        True, description="Give a step examples of about one length, so that little of it is padding."
    )
    epochs: float = Field(1.0, gt=0, description="Times that the data is gone through.")
    steps: int = Field(0, ge=0, description="Steps in place of epochs; 0 for as many as the epochs have.")
    rate: float = Field(4e-5, gt=0, description="AdamW's highest learning rate.")
    weight_decay: float = Field(0.05, ge=0, description="AdamW's weight decay.")
    betas: tuple[float, float] = Field((0.9, 0.999), description="AdamW's decay of its two means, fraction 0-1.")
    warm_up: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which the rate rises; then a cosine.")
    clip: float = Field(1.0, ge=0, description="Longest gradient; a longer one is cut to it; 0 for no limit.")
    turns: Literal["together", "apart"] = Field(
        "together",
        description="An example's turns are one conversation, as the paper has it, or apart, each one of its own about "
        "the same frames: easier to learn from nothing.",
    )
    most_tokens: int = Field(
        8192, ge=64, description="Longest conversation with its images, in tokens; examples with more are left out."
    )
    explodes_above: float = Field(
        100.0, ge=0, description="Loss of one example that ends the training, as NaN does; 0 for no limit."
    )
    gradient_checkpointing: bool = Field(
        False, description="Compute the LLM's layers again on the way back: a third slower, far less memory."
    )
    seed: int = Field(0, ge=0, description="Of dropout and sampled points; the data has one of its own.")
    threads: int = Field(
        0, ge=0, description="Threads that a CPU computes with; 0: as torch chooses. One suits a small model."
    )
    workers: int = Field(1, ge=0, description="Processes that read examples for a device; 0: the training itself.")


class CheckpointsConfig(Config):
    """Checkpoints to go on from, in RUN/checkpoints."""

    every: int = Field(500, ge=0, description="Steps between two; the last step has one too. 0: only that.")
    keep: int = Field(2, ge=1, description="The last ones that are kept.")


class MetricsConfig(Config):
    """What is told of a training while it runs, beside RUN/metrics.jsonl."""

    every: int = Field(1, ge=1, description="Steps between two lines of metrics, each a mean over the steps between.")
    trackers: Literal["auto", "none", "tensorboard", "wandb"] = Field(
        "auto", description="Where curves go too; auto: to those of the two that are installed."
    )


class TrainingConfig(Config):
    """A training but for its data: a TOML file or the command line sets each key."""

    model: InitialModelConfig = Field(InitialModelConfig(), description="The model.")
    seg: SegConfig = Field(SegConfig(), description="What stands for an object in an answer.")
    learns: LearnsConfig = Field(LearnsConfig(), description="What learns.")
    lora: LoraConfig = Field(LoraConfig(), description="Adapters.")
    loss: LossConfig = Field(LossConfig(), description="The loss.")
    learning: LearningConfig = Field(LearningConfig(), description="Steps and rates.")
    checkpoints: CheckpointsConfig = Field(CheckpointsConfig(), description="Checkpoints.")
    watching: MetricsConfig = Field(MetricsConfig(), description="Metrics.")


class ValidationConfig(Config):
    """How well it does on examples that it does not learn from, while it learns."""

    every: int = Field(0, ge=0, description="Steps between two looks, and one at the end; 0 for none.")
    examples: int = Field(64, ge=1, description="Examples that are looked at, always the same.")
    data: DataConfig = Field(DataConfig(), description="Where they come from.")


class TrainConfig(TrainingConfig):
    """Everything that a training can be told. Each key has a default; a TOML file or the command line sets it."""

    data: DataConfig = Field(DataConfig(), description="What it learns from.")
    validation: ValidationConfig = Field(ValidationConfig(), description="Held-out examples.")
