"""Sa2VA: a multimodal LLM whose `[SEG]` tokens prompt SAM-2 for masks (Sa2VA, section 3.2)."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import torch
from PIL import Image as Pillow
from torch import Tensor

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.model.checkpoints.architecture import Architecture
from refsav.model.checkpoints.checkpoint import Assets, load_weights, read_sam2, save_weights
from refsav.model.checkpoints.device_map import Placement, choose_attention, empty
from refsav.model.checkpoints.key_names import has_two_decoders
from refsav.model.checkpoints.tokenizer_files import read_tokenizer
from refsav.model.checkpoints.weights import StoredTensors
from refsav.model.families.seg_tokens import SegTokens
from refsav.model.inference_settings import InferenceSettings
from refsav.model.input_errors import InputError
from refsav.model.language.generate import answer as answer_prompts
from refsav.model.media.clip import Clip, as_clip
from refsav.model.prediction import Masks, Prediction, Segment, TextAnswer, combine, phrases_of
from refsav.model.sa2va_modules import Sa2VAModules
from refsav.model.sam.grounding import Sam2, resized_logits
from refsav.model.sam.key_frames import key_frames
from refsav.model.sam.point_prompts import MarkedObject, track_marked
from refsav.model.sam.propagation import FrameLogits, segment

Frames = Clip | Sequence[Image | Pillow.Image]
"""A clip, or RGB images in memory, uint8 [h, w, 3] each: one is an image, several are a video."""


class Sa2VA(Sa2VAModules):
    """Sa2VA of any family and size. `from_pretrained` loads a checkpoint; `predict` answers a prompt with masks."""

    @classmethod
    def from_pretrained(
        cls,
        directory: str | Path,
        *,
        device: str | torch.device | None = None,
        dtype: torch.dtype | str | None = None,
        device_map: Mapping[str, str | int] | Literal["auto"] | None = None,
        attention: str = "sdpa",
        original_sam2: str | Path | None = None,
        allow_pickle: bool = False,
    ) -> Self:
        """Load a checkpoint: an official Hugging Face directory, whose code is not run, or one that RefSAV wrote.

        Args:
            directory: Directory with config.json, tokenizer files and safetensors.
            device: None for "cuda" if available, else "cpu".
            dtype: None for bfloat16 on a GPU and float32 on a CPU; "stored" keeps the type of each tensor in the files.
            device_map: Device of each part of the model, for models that do not fit on one GPU; "auto" lets accelerate
                distribute the model over all GPUs.
            attention: Implementation for the language model, as transformers names it: "sdpa", or "flash_attention_2"
                if installed.
            original_sam2: Meta's SAM-2 checkpoint, whose mask decoder `consistent` propagation uses.
            allow_pickle: Whether `original_sam2` may be a .pt file; only tensors are loaded from it.

        Raises:
            RecordError: If a file is missing or damaged, or its weights do not fit the model; the error names the keys.
        """
        directory = Path(directory)
        placement = Placement.of(device, dtype, device_map)
        architecture = Architecture.read(directory)
        tokenizer = read_tokenizer(directory)
        stored = StoredTensors.find(directory)
        decoder = read_sam2(Path(original_sam2), allow_pickle=allow_pickle) if original_sam2 else None
        both = has_two_decoders(stored.names)
        model = empty(lambda: cls(architecture, original_decoder=both or decoder is not None))
        placement = placement.spread(model)
        choose_attention(model.mllm, attention)
        model.attach_tokenizer(tokenizer, Assets.read(directory))  # before the weights, to report errors early
        load_weights(model, stored, architecture, placement, original_decoder=decoder)
        model.to_devices(placement)
        return model

    def save_pretrained(
        self,
        directory: str | Path,
        *,
        dtype: torch.dtype | None = None,
        state: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Write a checkpoint that this class and the official code can load: weights, configuration, tokenizer.

        Args:
            directory: Created if it does not exist.
            dtype: Type of the stored weights; None keeps their types.
            state: Weights by parameter name, instead of the model's own.

        Raises:
            DiskError: If it cannot be written.
        """
        self.assets.write(Path(directory))
        save_weights(state or self.state_dict(), Path(directory), self.architecture, dtype)

    def predict(
        self,
        frames: Frames,
        prompt: str,
        *,
        regions: Sequence[Mask] = (),
        settings: InferenceSettings | None = None,
    ) -> Prediction:
        """Answer a prompt about an image or a video, with masks for every `[SEG]` of the answer.

        Args:
            frames: One image, or the frames of a video: a clip, or RGB images uint8 [h, w, 3].
            prompt: With or without `<image>`; language/inference_prompts.py has the prompts of the training data.
            regions: Visual prompts, bool [h, w] at the image's size (InternVL only).
            settings: Settings of inference; None for the defaults.

        Returns:
            The answer, with one segment for each `[SEG]`.

        Raises:
            InputError: If the frames, the prompt or the settings are not valid.
        """
        return self.predict_all(frames, [prompt], regions=regions, settings=settings)[0]

    def predict_all(
        self,
        frames: Frames,
        prompts: Sequence[str],
        *,
        answers: Sequence[str] | None = None,
        regions: Sequence[Mask] = (),
        settings: InferenceSettings | None = None,
    ) -> list[Prediction]:
        """Answer several prompts about the same frames; the frames are encoded once, and all objects tracked together.

        Args:
            frames: One image, or the frames of a video: a clip, or RGB images uint8 [h, w, 3].
            prompts: The prompts.
            answers: One answer for each prompt, used instead of a generated one (teacher forcing).
            regions: Visual prompts, bool [h, w] at the image's size (InternVL only).
            settings: Settings of inference; None for the defaults.

        Raises:
            InputError: If the frames, a prompt or the settings are not valid.
        """
        clip, used = as_clip(frames), self.resolve_settings(settings)
        texts = self.generate_text(clip, prompts, answers=answers, regions=regions, settings=used)
        return self._with_masks(clip, texts, used)

    def ground(
        self, frames: Frames, prompt: str, answer: str, *, settings: InferenceSettings | None = None
    ) -> list[Segment]:
        """Return one segment for each `[SEG]` of a given answer (teacher forcing); see `predict` for the arguments."""
        return list(self.predict_all(frames, [prompt], answers=[answer], settings=settings)[0].segments)

    @torch.inference_mode()
    def generate_text(
        self,
        frames: Frames,
        prompts: Sequence[str],
        *,
        answers: Sequence[str] | None = None,
        regions: Sequence[Mask] = (),
        settings: InferenceSettings | None = None,
    ) -> list[TextAnswer]:
        """Run the language model: answers about the key frames, and the embedding of each `[SEG]`.

        The arguments are those of `predict_all`.
        """
        clip, used = as_clip(frames), self.resolve_settings(settings)
        shown = [frame for _, frame in clip.frames(key_frames(used.key_frames, clip.count))]
        sight = self.adapter.encode_frames(shown, regions)
        tokens = SegTokens(self.architecture.fixed.seg_token)
        ids = [self.adapter.write(prompt, sight) for prompt in prompts]
        spoken = [tokens.spread(text, len(shown)) for text in answers] if answers is not None else []
        given = [self.adapter.answer_ids(text) for text in spoken] if answers is not None else None
        texts: list[TextAnswer] = []
        for start in range(0, len(ids), used.prompts_at_once):
            part = slice(start, start + used.prompts_at_once)
            replies = answer_prompts(
                self.adapter, sight, ids[part], given=given[part] if given else None, new_tokens=used.new_tokens
            )
            for prompt, reply in zip(prompts[part], replies, strict=True):
                text = tokens.collapse(self.adapter.text_of(reply.ids), len(shown))
                states = tokens.by_object(reply.seg_states, len(shown))
                projected = self.text_hidden_fcs(states.to(next(self.text_hidden_fcs.parameters())))
                phrases = phrases_of(text, prompt, len(projected))
                texts.append(TextAnswer(prompt, text, reply.complete, phrases, states.float(), projected.float()))
        return texts

    def segment(
        self, frames: Frames, language: Tensor, *, settings: InferenceSettings | None = None
    ) -> Iterator[FrameLogits]:
        """Run SAM-2: masks of the objects of `[SEG]` embeddings, frame by frame, in bounded memory.

        Args:
            frames: One image, or the frames of a video.
            language: Projected embeddings [B, C], or [B, key frames, C] if each key frame has a `[SEG]` of its own.
            settings: Settings of inference; None for the defaults.

        Yields:
            The mask logits [B, S/4, S/4] of each frame, in order.

        Raises:
            InputError: If `consistent` propagation is chosen without the original decoder.
        """
        clip, used = as_clip(frames), self.resolve_settings(settings)
        propagation = used.resolved_propagation
        original = self._original_sam2()
        if propagation == "consistent" and original is None:
            raise InputError(
                "consistent propagation needs SAM-2's original mask decoder, which this checkpoint does not contain",
                "give sam2_hiera_large.pt with --original-sam2 (original_sam2=), or choose official propagation",
            )
        weight: Tensor = self.sam2.no_mem_embed
        with self._autocast():
            yield from segment(
                self.sam2,
                clip,
                language.to(weight.device, weight.dtype),
                key_frames(used.key_frames, clip.count),
                propagation,
                untouched=original,
                objects_at_once=used.objects_at_once,
            )

    def track(
        self, frames: Frames, objects: Sequence[MarkedObject], *, settings: InferenceSettings | None = None
    ) -> Iterator[FrameLogits]:
        """Track objects that a person has marked with points or boxes, with SAM-2 alone.

        The original mask decoder is used if the checkpoint contains it.

        Args:
            frames: One image, or the frames of a video.
            objects: The marks of each object.
            settings: Settings of inference; None for the defaults.

        Yields:
            The mask logits [B, S/4, S/4] of each frame, in order.

        Raises:
            InputError: If a mark is outside the clip or its frame.
        """
        used = self.resolve_settings(settings)
        with self._autocast():
            yield from track_marked(
                self._original_sam2() or self.sam2, as_clip(frames), objects, objects_at_once=used.objects_at_once
            )

    def full_size(self, logits: Tensor, height: int, width: int) -> Masks:
        """Convert mask logits into masks, resized to S × S first and then to the frame, as in the released code.

        Args:
            logits: [B, S/4, S/4] of one frame.
            height: Height of the masks in pixels.
            width: Width of the masks in pixels.

        Returns:
            bool [B, height, width].
        """
        side = self.sam2.image_size
        return (
            torch.cat([resized_logits(one[None], [(side, side), (height, width)]) > 0 for one in logits.float()])
            .cpu()
            .numpy()
        )

    def _original_sam2(self) -> Sam2 | None:
        return self.sam2.with_decoder(self.original_decoder) if self.original_decoder is not None else None

    def _autocast(self) -> torch.autocast:
        """SAM-2 computes in the language model's type, and in float32 where needed, as in the released code."""
        weight: Tensor = self.sam2.no_mem_embed
        dtype = next(self.mllm.parameters()).dtype
        return torch.autocast(weight.device.type, dtype, enabled=dtype != torch.float32)

    def resolve_settings(self, settings: InferenceSettings | None = None) -> InferenceSettings:
        """Return the settings without `auto`, resolved for this checkpoint."""
        return (settings or InferenceSettings()).resolved(original_decoder=self.original_decoder is not None)

    def _with_masks(self, clip: Clip, answers: Sequence[TextAnswer], used: InferenceSettings) -> list[Prediction]:
        language = torch.cat([one.seg_projected for one in answers])
        logits: list[list[Tensor]] = [[] for _ in language]
        masks: list[list[Masks]] = [[] for _ in language]
        for frame in self.segment(clip, language, settings=used) if len(language) else ():
            full = self.full_size(frame.logits, clip.height, clip.width)
            for number, one in enumerate(frame.logits.float().cpu()):
                logits[number].append(one)
                masks[number].append(full[number])
        return list(combine(answers, logits, masks, used.model_dump()))
