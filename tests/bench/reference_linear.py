"""Quantizes linears with the AQLM reference quantizer, on the files that `bitsweep-engine bench quantize --input` takes.

  python3 reference_linear.py make SEED[,SEED...] DIR          writes DIR/linear-SEED.safetensors (4096x4096, synthetic)
  python3 reference_linear.py run CHECKOUT FILE CONFIG[,...] [SEED,...]
                                                               CONFIG as 1x15: codebooks x bits; prints seconds and loss

A small linear goes first, so that no call pays for the start of libraries. CHECKOUT is a checkout of github.com/Vahe1994/AQLM; its own defaults are used, with a relative tolerance of 0.01.
"""

import contextlib
import io
import random
import sys
import time
from argparse import Namespace

import torch
from safetensors.torch import load_file, save_file

OUT_FEATURES = IN_FEATURES = 4096
SAMPLES = 16384


def make(seed, folder):
    """W ~ N(0, 0.02^2); X = (Z i^-0.4) Q + 0.05 N with Q a random rotation; H = X^T X / samples."""
    generator = torch.Generator("cuda").manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, device="cuda", generator=generator)

    weight = normal(OUT_FEATURES, IN_FEATURES) * 0.02
    rotation = torch.linalg.qr(normal(IN_FEATURES, IN_FEATURES))[0]
    spectrum = torch.arange(1, IN_FEATURES + 1, device="cuda").float().pow(-0.4)
    inputs = ((normal(SAMPLES, IN_FEATURES) * spectrum) @ rotation + 0.05 * normal(SAMPLES, IN_FEATURES)).double()
    xtx = inputs.T @ inputs / SAMPLES
    tensors = {"weight": weight.cpu(), "xtx": ((xtx + xtx.T) / 2).float().cpu()}
    save_file(tensors, f"{folder}/linear-{seed}.safetensors")


def run(file, config, seed, size=IN_FEATURES):
    """Quantizes the first `size` rows and columns."""
    from aq_engine import AQEngine

    codebooks, bits = map(int, config.split("x"))
    tensors = {name: tensor[:size, :size].contiguous() for name, tensor in load_file(file).items()}
    torch.manual_seed(seed)
    random.seed(seed)
    weight = tensors["weight"].cuda()
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="cuda")
    layer.weight.data = weight
    engine = AQEngine(layer)
    engine.device = torch.device("cuda:0")
    engine.XTX = tensors["xtx"].cuda().double()
    engine.nsamples = 1
    arguments = Namespace(
        devices=[engine.device], out_group_size=1, in_group_size=8, num_codebooks=codebooks, nbits_per_codebook=bits,
        codebook_value_nbits=16, codebook_value_num_groups=1, scale_nbits=0, init_max_iter=100,
        init_max_points_per_centroid=None, lr=1e-4, max_epochs=1000, relative_mse_tolerance=0.01, steps_per_epoch=100,
        beam_size=1, print_frequency=10)
    torch.cuda.synchronize()
    start = time.time()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        quantized = engine.quantize(args=arguments, verbose=False)
    torch.cuda.synchronize()
    seconds = time.time() - start
    with torch.no_grad():
        gap = (quantized() - weight).double()
        loss = ((gap @ engine.XTX) * gap).sum() / ((weight.double() @ engine.XTX) * weight.double()).sum()
    print(f"{file} {config}, {size}x{size}, seed {seed}: {seconds:.2f} s, relative loss {loss.item():.5f}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "make":
        for one_seed in sys.argv[2].split(","):
            make(int(one_seed), sys.argv[3])
    elif len(sys.argv) in (5, 6) and sys.argv[1] == "run":
        sys.path.insert(0, sys.argv[2])
        run(sys.argv[3], "1x8", 0, size=256)
        for one_config in sys.argv[4].split(","):
            for one_seed in (sys.argv[5] if len(sys.argv) == 6 else "0").split(","):
                run(sys.argv[3], one_config, int(one_seed))
    else:
        sys.exit(__doc__)
