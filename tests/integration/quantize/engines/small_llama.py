"""Trains a Llama small enough for a test, on real text: a model that every engine knows, with a quality to lose.

Usage: ``python small_llama.py OUTPUT TOKENIZER TEXT...``: an empty folder, the folder of a tokenizer, text files. Runs
in an environment with transformers 5. The tokenizer becomes one of the same kind whose tokens are its own marks and the
texts' characters: the logits of 262,144 would take nearly all of the time. The same on every run on one machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

HIDDEN, LAYERS = 256, 4
STEPS, BATCH, WINDOW = 100, 8, 96
RATE = 3e-3


def main(output: Path, tokenizer_folder: Path, texts: list[Path]) -> None:
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    words = [text.read_text(encoding="utf-8") for text in texts]
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder).train_new_from_iterator(
        [paragraph for text in words for paragraph in text.split("\n\n")], vocab_size=1
    )
    ids = torch.tensor(
        [token for text in words for token in tokenizer(text, add_special_tokens=False)["input_ids"]]
    )
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=HIDDEN,
            intermediate_size=3 * HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 500000.0,
            },  # not the usual one: must not be lost
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    for step in range(STEPS):
        starts = torch.randint(len(ids) - WINDOW, (BATCH,))
        windows = torch.stack([ids[start : start + WINDOW] for start in starts])
        windows[:, 0] = tokenizer.bos_token_id
        loss = model(input_ids=windows, labels=windows).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 20 == 0 or step == STEPS - 1:
            print(step, round(loss.item(), 3), flush=True)  # noqa: T201
    model.to(torch.bfloat16).save_pretrained(output)
    tokenizer.save_pretrained(output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(text) for text in sys.argv[3:]])
