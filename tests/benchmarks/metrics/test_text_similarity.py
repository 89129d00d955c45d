"""Similarity of phrases is the cosine of a BERT's mean states."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from refsav.benchmarks.metrics.text_similarity import BertSimilarity
from refsav.errors import RecordError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "blue", "dog", "cat", "##s"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with random weights, small, in the published layout."""
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def test_it_is_the_cosine_of_mean_last_states(bert: Path) -> None:
    similarity = BertSimilarity.from_folder(bert)
    model = BertModel.from_pretrained(bert).eval()

    def mean_state(*ids: int) -> np.ndarray:
        with torch.no_grad():
            return model(torch.tensor([[2, *ids, 3]])).last_hidden_state[0].mean(dim=0).numpy()

    one, other = mean_state(5, 6, 8), mean_state(9, 10)
    expected = float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    assert similarity("A red dog", "cats") == pytest.approx(expected, abs=1e-6)
    assert similarity("cats", "A red dog") == pytest.approx(expected, abs=1e-6)
    assert similarity("a dog", "a dog") == pytest.approx(1, abs=1e-6)
    assert similarity("", "a dog") < 1


def test_a_long_text_is_cut(bert: Path) -> None:
    similarity = BertSimilarity.from_folder(bert)
    assert similarity("dog " * 600, "dog " * 700) == pytest.approx(1, abs=1e-6)


def test_a_folder_without_a_bert_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="has no BERT that can be read") as error:
        BertSimilarity.from_folder(tmp_path)
    assert error.value.path == tmp_path and "the official one is bert-base-uncased" in error.value.fix
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RecordError, match="has no BERT"):
        BertSimilarity.from_folder(tmp_path)
