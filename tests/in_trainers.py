"""`python tests/in_trainers.py TRAINER NAME…`: what a trainer itself loads from exported files.

Runs in the environment of tests/trainers.txt, in the folder of the files, without coevol. Each NAME is that
of a file without its ending. A file is loaded as its data card says: TRL by the card's Python, LLaMA-
Factory by the card's YAML, Axolotl by the configuration next to the file. The trainer's own code loads,
checks and tokenizes it; TRL, whose trainers run without a GPU, also makes one step with a model of a few
thousand weights. Writes `taken.json`: for each name the records as the trainer would train on them, in
order. A record is [the whole text, the parts whose tokens are learned]; a pair is [prompt, chosen,
rejected].
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from importlib.machinery import ModuleSpec
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

# Nothing is downloaded, and nothing reported.
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_CACHE": str(Path("cache").absolute()),
    "AXOLOTL_DO_NOT_TRACK": "1",
    "DO_NOT_TRACK": "1",
    "DISABLE_VERSION_CHECK": "1",
    "TQDM_DISABLE": "1",
}

import transformers
import yaml
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

MODEL = "model"
LONG = 100_000
"""Tokens: more than any record has, since trainers cut or drop longer ones."""

UNLEARNED = -100
"""The label of a token that is not learned."""

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}"
    "{% if message.role == 'assistant' %}"
    "{% generation %}{{ message.content + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message.content + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make_model() -> Any:
    """A tokenizer of single bytes with a chat template, and a tiny model for it, in the folder `MODEL`."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE({letter: number for number, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    ends = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, additional_special_tokens=["<|im_start|>"], chat_template=CHATML, **ends
    )
    fast.save_pretrained(MODEL)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = transformers.LlamaConfig(vocab_size=len(fast), max_position_embeddings=LONG, **sizes)
    transformers.LlamaForCausalLM(config).save_pretrained(MODEL)
    return fast


def card(name: str) -> str:
    """The data card of a file."""
    (found,) = (p for p in Path().glob("*README.md") if f"card of {name}." in p.read_text(encoding="utf-8"))
    return found.read_text(encoding="utf-8")


def block(language: str, text: str) -> str:
    """The one block of code in this language in a card."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(found)


def learned(tokenizer: Any, records: Iterable[Any]) -> list[Any]:
    """The text of each record, and those of its parts that are learned."""
    found = []
    for record in records:
        tokens = zip(record["input_ids"], record["labels"], strict=True)
        runs = groupby(tokens, key=lambda token: token[1] != UNLEARNED)
        parts = [tokenizer.decode([label for _, label in run]) for kept, run in runs if kept]
        found.append([tokenizer.decode(record["input_ids"]), parts])
    return found


def trl(name: str, tokenizer: Any) -> list[Any]:
    """TRL: `SFTTrainer`, learning from the responses alone, or `DPOTrainer`; one step of either."""
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    text, given = card(name), dict[str, Any]()
    exec(block("python", text), given)
    plain = {
        "output_dir": "out", "max_steps": 1, "per_device_train_batch_size": 1, "use_cpu": True,
        "report_to": "none", "save_strategy": "no", "max_length": LONG, "bf16": False,
    }  # fmt: skip
    data = given["train_dataset"]
    if "chosen" in data.column_names:
        pairs = DPOTrainer(MODEL, args=DPOConfig(**plain), train_dataset=data, processing_class=tokenizer)
        pairs.train()
        parts = ("prompt_ids", "chosen_ids", "rejected_ids")
        return [[tokenizer.decode(record[part]) for part in parts] for record in pairs.train_dataset]
    assert "assistant_only_loss=True" in text
    config = SFTConfig(**plain, assistant_only_loss=True)
    trainer = SFTTrainer(MODEL, args=config, train_dataset=data, processing_class=tokenizer)
    trainer.train()
    return learned(tokenizer, trainer.train_dataset)


def llamafactory(name: str, tokenizer: Any) -> list[Any]:
    """LLaMA-Factory: its arguments, and the data set that its training would get."""
    # It imports the means for sound and pictures, whose published builds need CUDA; text never gets there.
    sys.modules["torchaudio"] = ModuleType("torchaudio")
    sys.modules["torchaudio"].__spec__ = ModuleSpec("torchaudio", None)
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args

    model, data, training, finetuning, _ = get_train_args(
        yaml.safe_load(block("yaml", card(name)))
        | {"model_name_or_path": MODEL, "template": "chatml", "do_train": True, "finetuning_type": "full"}
        | {"output_dir": "out", "overwrite_output_dir": True, "use_cpu": True, "cutoff_len": LONG}
    )
    template = get_template_and_fix_tokenizer(tokenizer, data)
    stage = "rm" if finetuning.stage == "dpo" else finetuning.stage  # as its DPO workflow asks for it
    found = get_dataset(template, model, data, training, stage=stage, tokenizer=tokenizer, processor=None)
    if stage == "sft":
        return learned(tokenizer, found["train_dataset"])
    records = []
    for record in found["train_dataset"]:
        asked = sum(label == UNLEARNED for label in record["chosen_labels"])
        ids = record["chosen_input_ids"], record["rejected_input_ids"]
        assert ids[0][:asked] == ids[1][:asked]
        records.append([tokenizer.decode(part) for part in (ids[0][:asked], ids[0][asked:], ids[1][asked:])])
    return records


def axolotl(name: str, tokenizer: Any) -> list[Any]:
    """Axolotl: its check of the configuration, and the data set that its training would get."""
    from axolotl.utils.config import normalize_config, validate_config
    from axolotl.utils.data.sft import prepare_datasets
    from axolotl.utils.dict import DictDefault

    (lines,) = Path().glob(f"{name}.*.axolotl.yaml")
    given = yaml.safe_load(lines.read_text(encoding="utf-8")) | {
        "base_model": MODEL, "sequence_len": LONG, "micro_batch_size": 1, "gradient_accumulation_steps": 1,
        "num_epochs": 1, "learning_rate": 1e-5, "output_dir": "out", "dataset_prepared_path": f"ready-{name}",
        "shuffle_merged_datasets": False, "dataset_num_proc": 1,
    }  # fmt: skip
    cfg = validate_config(DictDefault(given))
    normalize_config(cfg)
    found, _, _, _ = prepare_datasets(cfg, tokenizer)
    return learned(tokenizer, found)


if __name__ == "__main__":
    trainers: dict[str, Callable[[str, Any], list[Any]]] = {
        f.__name__: f for f in (trl, llamafactory, axolotl)
    }
    take = trainers[sys.argv[1]]
    taken = {name: take(name, make_model()) for name in sys.argv[2:]}
    Path("taken.json").write_text(json.dumps(taken), encoding="utf-8")
