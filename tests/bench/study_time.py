"""How long a study takes on GPUs, from measured times of its parts (README.md beside this, "A whole study").

  bitsweep plan --offline deploy/studies/arxiv-2503.07103.yaml --output json > plan.json
  python3 tests/bench/study_time.py plan.json [--gpus 1,8] [--tokens 156] [--products f32]

Measured on one H200: every number in MEASURED. Other sizes follow from these by the work they are. Grading is not in it: it runs
on CPUs beside, and its rate is in README.md.
"""

import argparse
import heapq
import json
import math

# Hidden, intermediate, layers, width of keys and values, vocabulary: the models' config.json.
SHAPES = {
    "CodeLlama-7b-hf": (4096, 11008, 32, 4096, 32016),
    "CodeLlama-13b-hf": (5120, 13824, 40, 5120, 32016),
    "CodeLlama-34b-hf": (8192, 22016, 48, 1024, 32000),
    "deepseek-coder-1.3b-base": (2048, 5504, 24, 2048, 32256),
    "deepseek-coder-6.7b-base": (4096, 11008, 32, 4096, 32256),
    "deepseek-coder-33b-base": (7168, 19200, 62, 1024, 32256),
}
CODES = {"2-bit": "1x15", "3-bit": "2x12", "4-bit": "2x15", "8-bit": "4x15"}
MEASURED = {
    # bench quantize: seconds of 4096x4096, 11008x4096, 4096x11008 (out x in).
    "linear": {"1x15": (0.510, 1.449, 2.583), "2x12": (0.387, 0.972, 2.066), "2x15": (0.827, 2.406, 3.361),
               "4x15": (1.452, 3.974, 5.309)},
    # A block of 7B, 1,024 sequences of 4,096 tokens: H, and two forward passes (two thirds of 25.2 s for two H and three passes).
    "block_passes": 16.8,
    # The rest of that run, two blocks: start, tokens, embedding, writing.
    "quantize_rest": 4.6,
    # Two blocks of 7B, a sequence of 4,096 tokens, end-to-end fine-tuning with such products: a step once the teacher's states are
    # kept, and what it takes longer in the first epoch, with the teacher's pass. Its head of 2,048 is neglected.
    "finetune_step": {"bf16": 0.060, "f32": 0.330},
    "teacher_pass": {"bf16": 0.070, "f32": 0.120},
    # Products of the head, which stay in f32.
    "f32_flop_a_second": 51e12,
    # bench generate, 7B in f16, 161 x 20, at most 800 new tokens, 156 in the mean.
    "tokens_a_second": 14818,
}
# Not measured: what a process needs before its first token, for 7B (reading 13.5 GB, expanding codes).
START = 20.0
# All 5 epochs of 896 sequences. Not measured: 128 validation sequences before and after each, at 0.4 of a step.
FINETUNE_STEPS = 5 * 896 + 0.4 * 6 * 128
TEACHER_PASSES = 896 + 128
CALIBRATION_TOKENS = 1024 * 4096
# 161 + 158 + 42 + 53 problems, 20 samples.
COMPLETIONS = [161 * 20, 158 * 20, 42 * 20, 53 * 20]


def linears(shape):
    hidden, inner, _, kv, _ = shape
    return [(hidden, hidden), (kv, hidden), (kv, hidden), (hidden, hidden), (inner, hidden), (inner, hidden), (hidden, inner)]


def parameters(shape):
    return shape[2] * sum(o * i for o, i in linears(shape)) + 2 * shape[4] * shape[0]


def linear_seconds(codes, out, inputs):
    """A power law in rows and columns through the three measured shapes."""
    base, tall, wide = MEASURED["linear"][codes]
    ratio = math.log(11008 / 4096)
    return base * (out / 4096) ** (math.log(tall / base) / ratio) * (inputs / 4096) ** (math.log(wide / base) / ratio)


def pass_flop(shape):
    """Of one block: two forward passes, and the four products X^T X."""
    hidden, inner = shape[:2]
    return CALIBRATION_TOKENS * (2 * 2 * sum(o * i for o, i in linears(shape)) + 2 * (3 * hidden**2 + inner**2))


RATE = pass_flop(SHAPES["CodeLlama-7b-hf"]) / MEASURED["block_passes"]


def quantize_seconds(model, codes):
    shape = SHAPES[model]
    block = sum(linear_seconds(codes, o, i) for o, i in linears(shape)) + pass_flop(shape) / RATE
    return shape[2] * block + MEASURED["quantize_rest"] * shape[2] / 2


def finetune_seconds(model, products):
    hidden, _, layers, _, vocabulary = SHAPES[model]
    weights, measured = (sum(o * i for o, i in linears(shape)) for shape in (SHAPES[model], SHAPES["CodeLlama-7b-hf"]))
    size = layers / 2 * weights / measured
    passes = size * (FINETUNE_STEPS * MEASURED["finetune_step"][products] + TEACHER_PASSES * MEASURED["teacher_pass"][products])
    # Logits of both models, and the gradients of hidden states and head.
    head = 4 * 2 * 4096 * hidden * vocabulary / MEASURED["f32_flop_a_second"]
    return passes + FINETUNE_STEPS * head


def generate_seconds(model, tokens):
    size = parameters(SHAPES[model]) / parameters(SHAPES["CodeLlama-7b-hf"])
    return [size * (START + count * tokens / MEASURED["tokens_a_second"]) for count in COMPLETIONS]


def chains(plan, tokens, products):
    """[(kind, seconds)] in order for each variant; its four generate stages need each other not."""
    out, quantized = [], {}
    for model in {row["model"] for row in plan["checkpoints"]}:
        out.append([[], generate_seconds(model, tokens)])
    for row in plan["checkpoints"]:
        key = (row["model"], row["precision"], row["calibration"])
        if row["finetuned"] == "none":
            quantized[key] = [[("quantize", quantize_seconds(row["model"], CODES[row["precision"]]))],
                              generate_seconds(row["model"], tokens)]
            out.append(quantized[key])
    for row in plan["checkpoints"]:
        if row["finetuned"] != "none":
            base = quantized[(row["model"], row["precision"], row["calibration"])]
            base[0].append(("finetune", finetune_seconds(row["model"], products)))
            base[1] = base[1] + generate_seconds(row["model"], tokens)
    return out


def makespan(work, gpus):
    """The longest chain first; one stage a GPU. Generating begins when its variant's chain has ended."""
    free = [0.0] * gpus
    heapq.heapify(free)
    ready = []
    for head, tails in sorted(work, key=lambda w: -sum(s for _, s in w[0]) - max(w[1])):
        begin = heapq.heappop(free)
        end = begin + sum(seconds for _, seconds in head)
        heapq.heappush(free, end)
        ready += [(end, seconds) for seconds in tails]
    last = max(free)
    for at, seconds in sorted(ready):
        begin = max(heapq.heappop(free), at)
        heapq.heappush(free, begin + seconds)
        last = max(last, begin + seconds)
    return last


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan")
    parser.add_argument("--gpus", default="1,8")
    parser.add_argument("--tokens", type=float, default=156, help="of a completion, in the mean")
    parser.add_argument("--products", choices=["bf16", "f32"], default="bf16", help="of fine-tuning; the study's are f32")
    options = parser.parse_args()
    with open(options.plan, encoding="utf-8") as file:
        plan = json.load(file)
    work = chains(plan, options.tokens, options.products)
    stages = [stage for head, _ in work for stage in head]
    print("| model | block passes, s | quantize 1x15 / 2x12 / 2x15 / 4x15, min | fine-tune, min | four generate stages, min |")
    print("|---|---|---|---|---|")
    for model, shape in SHAPES.items():
        quantize = " / ".join(f"{quantize_seconds(model, codes) / 60:.1f}" for codes in MEASURED["linear"])
        print(f"| {model} | {pass_flop(shape) / RATE:.1f} | {quantize} | {finetune_seconds(model, options.products) / 60:.0f} | "
              f"{sum(generate_seconds(model, options.tokens)) / 60:.1f} |")
    print("\n| stages | number | GPU hours |\n|---|---|---|")
    total = 0.0
    for kind in ("quantize", "finetune"):
        seconds = [s for k, s in stages if k == kind]
        total += sum(seconds)
        print(f"| {kind} | {len(seconds)} | {sum(seconds) / 3600:.1f} |")
    generate = [s for _, tails in work for s in tails]
    total += sum(generate)
    print(f"| generate | {len(generate)} | {sum(generate) / 3600:.1f} |")
    print(f"| all | | {total / 3600:.1f} |\n")
    for gpus in map(int, options.gpus.split(",")):
        without = [[[stage for stage in head if stage[0] != "finetune"], tails] for head, tails in work]
        print(f"{gpus} GPU{'s' if gpus > 1 else ''}: {makespan(work, gpus) / 3600:.1f} h; "
              f"without what fine-tuning takes {makespan(without, gpus) / 3600:.1f} h")


if __name__ == "__main__":
    main()
