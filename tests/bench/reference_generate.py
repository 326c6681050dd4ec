"""Generates with transformers what `bitsweep-engine bench generate` generates, and compares their tokens.

  python3 reference_generate.py time BATCH PROMPT NEW [REPEATS] [static]   seconds and tokens/s of model.generate, greedy
  python3 reference_generate.py study TOKENS.json BATCH BATCHES [static]   the same work as TOKENS.json (bench generate
                                                                  --tokens) in batches of one size; the first BATCHES of them
  python3 reference_generate.py check TOKENS.json                 TOKENS.json: bench generate --temperature 0 --tokens
  python3 reference_generate.py demo ENGINE MODEL_DIR IDS.safetensors NEW   `ENGINE logits --greedy` beside generate

`static`: transformers' static cache, with which it compiles the decoding step; else its defaults.
The random model is CodeLlama-7B's shape in f16, its weights drawn as the bench draws them (same generator, same order, seed 0).
"""

import json
import subprocess
import sys
import time

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, StoppingCriteria, StoppingCriteriaList

LAYERS, HIDDEN, HEADS, INTERMEDIATE, VOCAB = 32, 4096, 32, 11008, 32016


@torch.no_grad()
def random_model(positions, seed=0):
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=INTERMEDIATE, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=HEADS, max_position_embeddings=max(positions, 512),
        rms_norm_eps=1e-5, tie_word_embeddings=False, eos_token_id=None, pad_token_id=0, bos_token_id=1)
    torch.set_default_dtype(torch.float16)
    with torch.device("cuda"):
        model = LlamaForCausalLM(config)
    model.eval()
    torch.manual_seed(seed)

    def draw(*parts):
        rows = sum(part.weight.shape[0] for part in parts)
        values = torch.randn(rows, parts[0].weight.shape[1], dtype=torch.float16, device="cuda").mul_(0.02)
        begin = 0
        for part in parts:
            part.weight.copy_(values[begin:begin + part.weight.shape[0]])
            begin += part.weight.shape[0]

    draw(model.model.embed_tokens)
    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        draw(attention.q_proj, attention.k_proj, attention.v_proj)
        draw(attention.o_proj)
        draw(mlp.gate_proj, mlp.up_proj)
        draw(mlp.down_proj)
        layer.input_layernorm.weight.fill_(1)
        layer.post_attention_layernorm.weight.fill_(1)
    model.model.norm.weight.fill_(1)
    draw(model.lm_head)
    return model


@torch.no_grad()
def greedy(model, ids, new, **options):
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new, do_sample=False,
                         use_cache=True, pad_token_id=0, **options)
    torch.cuda.synchronize()
    return out


def measure(batch, prompt, new, repeats, **options):
    model = random_model(prompt + new)
    ids = torch.randint(3, VOCAB, (batch, prompt), device="cuda")
    greedy(model, ids, 8, **options)
    for _ in range(repeats):
        begin = time.perf_counter()
        greedy(model, ids, new, **options)
        seconds = time.perf_counter() - begin
        print(f"transformers: batch {batch}, {prompt} + {new}: {seconds:.2f} s, {batch * new / seconds:.0f} tokens/s, "
              f"peak {torch.cuda.max_memory_allocated() / 1e9:.1f} GB", flush=True)


class Ended(StoppingCriteria):
    """Each sequence ends after its own number of tokens, as one that draws its end-of-text id then."""

    def __init__(self, prompt, lengths):
        self.prompt = prompt
        self.lengths = lengths

    def __call__(self, input_ids, scores, **kwargs):
        return self.lengths <= input_ids.shape[1] - self.prompt


def study(path, batch, batches, **options):
    """All samples of a prompt follow each other, as num_return_sequences lays them out, and batches are cut from that row:
    prompts are padded on the left, and a batch runs until its last sequence has ended. Only tokens of sequences that have not
    ended count. A static cache is as long as any batch needs, so that it is compiled for once."""
    with open(path) as file:
        work = json.load(file)
    sequences = [(prompt, len(sample)) for prompt, samples in zip(work["prompts"], work["completions"]) for sample in samples]
    longest = max(len(prompt) for prompt, _ in sequences)
    new = max(length for _, length in sequences)
    model = random_model(longest + new)
    useful = 0
    seconds = 0.0
    for number in range(-1, min(batches, len(sequences) // batch)):
        part = sequences[max(number, 0) * batch:(max(number, 0) + 1) * batch]
        width = longest if options else max(len(prompt) for prompt, _ in part)
        # The first round warms up: libraries, and the allocator with the batch's first steps.
        lengths = [length if number >= 0 else 8 for _, length in part]
        ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt, _ in part], device="cuda")
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt, _ in part], device="cuda")
        ends = Ended(width, torch.tensor(lengths, device="cuda"))
        torch.cuda.synchronize()
        begin = time.perf_counter()
        with torch.no_grad():
            out = model.generate(ids, attention_mask=mask, max_new_tokens=new if options else max(lengths), do_sample=True,
                                 temperature=0.2, top_p=0.95, top_k=0, use_cache=True, pad_token_id=0,
                                 stopping_criteria=StoppingCriteriaList([ends]), **options)
        torch.cuda.synchronize()
        taken = time.perf_counter() - begin
        assert out.shape[1] - width == max(lengths)
        if number >= 0:
            useful += sum(lengths)
            seconds += taken
            print(f"transformers: batch {number} of {len(sequences) / batch:.1f}, {batch} sequences, prompts padded to {width}, "
                  f"{max(lengths)} steps, {sum(lengths)} useful tokens: {taken:.2f} s, {sum(lengths) / taken:.0f} tokens/s, "
                  f"{batch * max(lengths) / taken:.0f} with those after the ends, "
                  f"peak {torch.cuda.max_memory_allocated() / 1e9:.1f} GB", flush=True)
    print(f"transformers, study-shaped, batch {batch}: {useful} useful tokens, {seconds:.2f} s, {useful / seconds:.0f} tokens/s "
          f"({model.config._attn_implementation} attention)", flush=True)


@torch.no_grad()
def gaps(model, whole, prompt):
    """For each token after the prompt: how far its logit lies below the greatest, given all before it (one pass, no cache)."""
    out = []
    for row in whole.split(16):
        logits = model(row[:, :-1]).logits[:, prompt - 1:].float()
        chosen = logits.gather(2, row[:, prompt:].unsqueeze(2)).squeeze(2)
        out.append(logits.max(2).values - chosen)
    return torch.cat(out)


def report(name, gap):
    ties = (gap > 0).sum().item()
    print(f"{name}: {gap.numel() - ties} of {gap.numel()} tokens are the argmax; "
          f"the others lie at most {gap.max().item():.4f} below it (mean {gap[gap > 0].mean().item() if ties else 0:.4f})", flush=True)


def compare(model, prompts, ours, new):
    theirs = greedy(model, prompts, new)[:, prompts.shape[1]:]
    same = theirs == ours
    first = torch.where(same.all(1), torch.full_like(same[:, 0], new, dtype=torch.long), (~same).long().argmax(1))
    print(f"tokens before the first difference from model.generate: {first.tolist()} of {new}")
    with torch.no_grad():
        spread = model(prompts[:1]).logits.float().std().item()
    print(f"standard deviation of the logits: {spread:.3f}")
    for name in ("f16", "f32"):
        print(f"transformers' pass without a cache in {name}, given the tokens before:")
        report("  ours", gaps(model, torch.cat([prompts, ours], 1), prompts.shape[1]))
        report("  model.generate's own", gaps(model, torch.cat([prompts, theirs], 1), prompts.shape[1]))
        model.float()


def check(path):
    with open(path) as file:
        tokens = json.load(file)
    prompts = torch.tensor(tokens["prompts"], device="cuda")
    ours = torch.tensor([samples[0] for samples in tokens["completions"]], device="cuda")
    compare(random_model(prompts.shape[1] + ours.shape[1]), prompts, ours, ours.shape[1])


def demo(engine, model_dir, ids_path, new):
    from safetensors.torch import load_file, save_file
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float16).cuda().eval()
    model.generation_config.eos_token_id = None
    prompt = load_file(ids_path)["input_ids"]
    save_file({"input_ids": prompt}, "/tmp/demo-ids.safetensors")
    # The engine's verb ends at an end-of-text id; compare as far as it goes.
    subprocess.run([engine, "logits", model_dir, "--input", "/tmp/demo-ids.safetensors", "--output", "/tmp/demo-out.safetensors",
                    "--greedy", str(new), "--device", "cuda", "--dtype", "f16"], check=True)
    whole = load_file("/tmp/demo-out.safetensors")["greedy"].long().cuda().unsqueeze(0)
    prompt = prompt.long().cuda().unsqueeze(0)
    ours = whole[:, prompt.shape[1]:]
    compare(model, prompt, ours, ours.shape[1])


if __name__ == "__main__":
    cache = {}
    if sys.argv[-1] == "static":
        sys.argv.pop()
        cache = {"cache_implementation": "static"}
    if sys.argv[1] == "time":
        numbers = [int(value) for value in sys.argv[2:]]
        measure(*numbers[:3], repeats=numbers[3] if len(numbers) > 3 else 1, **cache)
    elif sys.argv[1] == "study":
        study(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), **cache)
    elif sys.argv[1] == "check":
        check(sys.argv[2])
    elif sys.argv[1] == "demo":
        demo(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
    else:
        sys.exit(__doc__)
