"""Makes what the block figures of README.md beside this quantize: blocks of a 7B Llama's shape with random weights, and enough text.

  python3 tests/bench/block_model.py DIR [--blocks 2] [--tokens 4500000]

DIR gets the model (vocabulary and tokenizer of the demo's sparrow-1m) and calibration.jsonl: the demo's code texts in new orders,
again and again, for `tokens` tokens at 3.5 bytes each (they have 3). Needs PyTorch and safetensors.
"""

import argparse
import json
import pathlib
import random
import shutil

import torch
from safetensors.torch import save_file

DEMO = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "demo"
HIDDEN, INNER, HEADS = 4096, 11008, 32


def weights(blocks, vocab):
    generator = torch.Generator().manual_seed(0)

    def matrix(rows, columns):
        return (torch.randn(rows, columns, generator=generator) * 0.02).to(torch.float16)

    tensors = {"model.embed_tokens.weight": matrix(vocab, HIDDEN), "lm_head.weight": matrix(vocab, HIDDEN),
               "model.norm.weight": torch.ones(HIDDEN, dtype=torch.float16)}
    for i in range(blocks):
        prefix = f"model.layers.{i}."
        for name in ("q", "k", "v", "o"):
            tensors[f"{prefix}self_attn.{name}_proj.weight"] = matrix(HIDDEN, HIDDEN)
        for name in ("gate", "up"):
            tensors[f"{prefix}mlp.{name}_proj.weight"] = matrix(INNER, HIDDEN)
        tensors[f"{prefix}mlp.down_proj.weight"] = matrix(HIDDEN, INNER)
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{name}.weight"] = torch.ones(HIDDEN, dtype=torch.float16)
    return tensors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=4_500_000)
    options = parser.parse_args()
    source = DEMO / "models" / "sparrow-1m"
    options.dir.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, options.dir / name)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config.update(hidden_size=HIDDEN, intermediate_size=INNER, num_attention_heads=HEADS, num_key_value_heads=HEADS,
                  num_hidden_layers=options.blocks, max_position_embeddings=16384)
    config.pop("head_dim", None)
    (options.dir / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    save_file(weights(options.blocks, config["vocab_size"]), options.dir / "model.safetensors")
    lines = (DEMO / "calibration" / "code.jsonl").read_text(encoding="utf-8").splitlines()
    size = sum(len(json.loads(line)["text"].encode()) for line in lines)
    shuffle = random.Random(0).shuffle
    with open(options.dir / "calibration.jsonl", "w", encoding="utf-8") as out:
        for _ in range(-(-7 * options.tokens // (2 * size))):
            shuffle(lines)
            out.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
