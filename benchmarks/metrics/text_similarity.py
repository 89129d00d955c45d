"""Semantic similarity of two phrases by the mean states of a BERT, as the official GCG recall requires."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import BertModel, BertTokenizer

from refsav.errors import RecordError

MOST_TOKENS = 512
FIX = "give the folder of a BERT with config.json, tokenizer and safetensors; the official one is bert-base-uncased"


class BertSimilarity:
    """Cosine of two embeddings: means of a BERT's last states over all tokens, including [CLS] and [SEP].

    Source: groundingLMM, eval/gcg/evaluate.py. Official scores use `bert-base-uncased`.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:  # noqa: ANN401 - transformers' models have no common type
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._embedding = lru_cache(maxsize=65_536)(self._embed)  # phrases repeat often

    @classmethod
    def from_folder(cls, folder: Path) -> "BertSimilarity":
        """Load a BERT from a folder; nothing is downloaded, and no code or pickle in it is executed.

        Raises:
            RecordError: If the folder has no BERT.
        """
        try:
            model = BertModel.from_pretrained(
                str(folder), local_files_only=True, use_safetensors=True, add_pooling_layer=False
            )
            tokenizer = BertTokenizer.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError) as error:
            raise RecordError(folder, "", f"has no BERT that can be read: {error}", FIX) from error
        return cls(model, tokenizer)

    def __call__(self, one: str, other: str) -> float:
        """Return the cosine similarity, from -1 to 1."""
        return float(torch.nn.functional.cosine_similarity(self._embedding(one), self._embedding(other), dim=0))

    @torch.inference_mode()
    def _embed(self, text: str) -> Tensor:
        tokens = self._tokenizer(text, return_tensors="pt", max_length=MOST_TOKENS, truncation=True)
        states: Tensor = self._model(**tokens).last_hidden_state
        return states[0].mean(dim=0)
