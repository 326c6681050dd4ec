#!/usr/bin/env python3
"""Holds a checkpoint that bitsweep wrote against Hugging Face transformers: same tokens in, same logits out.

  bitsweep-engine logits CHECKPOINT --input IN.safetensors --output OUT.safetensors     (IN has `input_ids` [T] i32)
  python3 tests/interchange/check_transformers.py CHECKPOINT IN.safetensors OUT.safetensors [--loader aqlm|dequantize] [--device cuda]

`aqlm` lets transformers load the checkpoint by itself, through the `aqlm` package. `dequantize` expands the codes with numpy by the
format's definition, W[o, 8j:8j+8] = scale[o] * sum_m codebooks[m, codes[o, j, m]], and gives transformers a plain Llama.
Prints the largest difference of the logits and of their probabilities, and whether every greedy token agrees; exit code 1 above the bound.
Needs torch, transformers, safetensors, numpy (and aqlm); none of them is needed by bitsweep itself, so no other test runs this.
"""
import argparse
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.numpy import load_file


def read_tensors(folder):
    tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors.update(load_file(file))
    return tensors


def dequantize(tensors, bits):
    """Replaces .codes, .codebooks, .scales by .weight, f16 as an expanded checkpoint would hold it."""
    for name in [n for n in tensors if n.endswith(".codes")]:
        stem = name.removesuffix(".codes")
        codes = tensors.pop(name).astype(np.int64) % (1 << bits)  # [O, I, M]; stored as two's complement
        codebooks = tensors.pop(stem + ".codebooks").astype(np.float32)  # [M, K, 1, g]
        scales = tensors.pop(stem + ".scales").astype(np.float32).reshape(-1, 1)  # [O, 1]
        groups = sum(codebooks[m, codes[:, :, m], 0] for m in range(codes.shape[2]))  # [O, I, g]
        tensors[stem + ".weight"] = (groups.reshape(codes.shape[0], -1) * scales).astype(np.float16)
    return tensors


def load_model(folder, loader, device):
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    if loader == "aqlm":
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float16, device_map=device)
        return model.eval()
    config = json.loads((folder / "config.json").read_text())
    quantization = config.pop("quantization_config")
    tensors = dequantize(read_tensors(folder), quantization["nbits_per_codebook"])
    model = LlamaForCausalLM(LlamaConfig(**config))
    missing, unexpected = model.load_state_dict(
        {name: torch.from_numpy(value).float() for name, value in tensors.items()}, strict=False)
    if unexpected or any("rotary" not in name for name in missing):
        sys.exit(f"tensors do not fit the model: missing {missing}, unexpected {unexpected}")
    return model.float().to(device).eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("input", type=pathlib.Path)
    parser.add_argument("logits", type=pathlib.Path)
    parser.add_argument("--loader", choices=["aqlm", "dequantize"], default="dequantize")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    ids = torch.from_numpy(load_file(arguments.input)["input_ids"].astype(np.int64)).reshape(1, -1)
    ours = torch.from_numpy(load_file(arguments.logits)["logits"]).double()
    model = load_model(arguments.checkpoint, arguments.loader, arguments.device)
    with torch.no_grad():
        theirs = model(ids.to(arguments.device)).logits[0].double().cpu()
    difference = (ours - theirs).abs().max().item()
    probability = (ours.softmax(-1) - theirs.softmax(-1)).abs().max().item()
    agree = (ours.argmax(-1) == theirs.argmax(-1)).sum().item()
    # The aqlm package computes in f16; the expanded model in f32, like ours.
    bound = 1e-3 if arguments.loader == "dequantize" else 0.1
    print(json.dumps({"loader": arguments.loader, "tokens": ids.shape[1], "largest_logit": ours.abs().max().item(),
                      "difference": difference, "probability_difference": probability, "bound": bound,
                      "greedy_tokens_equal": agree}))
    return 0 if difference <= bound else 1


if __name__ == "__main__":
    sys.exit(main())
