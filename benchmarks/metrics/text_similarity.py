"""How near two phrases are in meaning, by a BERT's mean states: what the official GCG recall asks for."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import BertModel, BertTokenizer

from refsav.errors import RecordError

MOST_TOKENS = 512
FIX = "give the folder of a BERT with config.json, tokenizer and safetensors; official is bert-base-uncased"


class BertSimilarity:
    """Cosine of two phrases' embeddings: means of a BERT's last states over all tokens, [CLS] and [SEP] included.

    Source: groundingLMM, eval/gcg/evaluate.py. Official figures are by `bert-base-uncased`.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:  # noqa: ANN401 - transformers' models have no common type
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._embedding = lru_cache(maxsize=65_536)(self._embed)  # phrases come again and again

    @classmethod
    def from_folder(cls, folder: Path) -> "BertSimilarity":
        """Read a BERT from a folder; nothing is fetched, and no code or pickle of it is run.

        Raises:
            RecordError: If the folder does not hold one.
        """
        try:
            model = BertModel.from_pretrained(
                str(folder), local_files_only=True, use_safetensors=True, add_pooling_layer=False
            )
            tokenizer = BertTokenizer.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError) as error:
            raise RecordError(folder, "", f"holds no BERT that can be read: {error}", FIX) from error
        return cls(model, tokenizer)

    def __call__(self, one: str, other: str) -> float:
        """Cosine similarity, from -1 to 1."""
        return float(torch.nn.functional.cosine_similarity(self._embedding(one), self._embedding(other), dim=0))

    @torch.inference_mode()
    def _embed(self, text: str) -> Tensor:
        tokens = self._tokenizer(text, return_tensors="pt", max_length=MOST_TOKENS, truncation=True)
        states: Tensor = self._model(**tokens).last_hidden_state
        return states[0].mean(dim=0)
