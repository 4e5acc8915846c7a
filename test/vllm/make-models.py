"""Builds tiny-a and tiny-b: two models of random weights that a real vLLM loads in a moment, without any download.

Both share one small tokenizer, trained here. The seeds differ, so the two give different answers to the same prompt at
temperature 0, and each gives the same answer every time. Their text is gibberish: only who spoke is of interest.

usage: make-models.py FOLDER
"""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SEEDS = {"tiny-a": 1, "tiny-b": 2}
# Room for an answer that takes half a minute.
CONTEXT_TOKENS = 16384

TRAINING_TEXT = """
The quick brown fox jumps over the lazy dog while several models take turns on one machine.
Every request waits until the right model is awake; then the answer comes back, word by word.
A short story, a long poem, a list of numbers: one, two, three, four, five, six, seven, eight, nine, ten.
What is the capital of France? How do I sort a list? Please write a haiku about the sea in winter.
system user assistant: you are a helpful assistant, hello world, thank you, good morning, good night.
"""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer() -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    # The byte alphabet makes any text encodable, whatever the training text lacks.
    trainer = trainers.BpeTrainer(vocab_size=512, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    bpe.train_from_iterator(TRAINING_TEXT.splitlines(), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=CONTEXT_TOKENS,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def make_model(tokenizer: PreTrainedTokenizerFast, seed: int, folder: Path) -> None:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # Wider than the usual 0.02: the most likely token then depends on the prompt instead of being always the same.
        initializer_range=0.2,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    root = Path(sys.argv[1])
    tokenizer = make_tokenizer()
    for name, seed in SEEDS.items():
        make_model(tokenizer, seed, root / name)
        print(root / name)


main()
