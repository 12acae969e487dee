"""Writes a tiny Llama with random weights, for the tests with a vLLM server (see tests/vllm_server.py).

Its text is noise, but the server treats it like any chat model. Run it in the environment with vLLM, which
brings torch, tokenizers and transformers.
"""

import pydoc_data.topics
import sys

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BEGIN, END = "<s>", "</s>"
"""The first tokens of the vocabulary, with the ids 0 and 1."""

ROLES = ("system", "user", "assistant")
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """Train a tokenizer on Python's own documentation, so that English splits into words of usual length."""
    tokens = Tokenizer(BPE())
    tokens.pre_tokenizer, tokens.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    special = [BEGIN, END, *(f"<|{role}|>" for role in ROLES)]
    trainer = BpeTrainer(
        vocab_size=4096, special_tokens=special, initial_alphabet=ByteLevel.alphabet(), show_progress=False
    )
    tokens.train_from_iterator(pydoc_data.topics.topics.values(), trainer)
    chat = PreTrainedTokenizerFast(tokenizer_object=tokens, bos_token=BEGIN, eos_token=END, pad_token=END)
    chat.chat_template = TEMPLATE
    return chat


def main(folder: str) -> None:
    """Write the tokenizer and the weights, which are the same each time."""
    chat = tokenizer()
    chat.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(chat),
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1])
