"""`python -m kernels.bench.tune`: microseconds of each tile of the attention kernel, on a GPU."""

import argparse
import itertools

import torch
from triton.runtime.errors import OutOfResources

from kernels.attention import local_triton as local_attention_triton
from kernels.bench.local import LIMITS, Shape, inputs, right_result
from kernels.bench.results import relative_error
from kernels.bench.timing import microseconds

TILES = tuple(itertools.product((16, 32, 64, 128), (16, 32, 64), (2, 4, 8), (1, 2)))


def tune(shape: Shape, device: torch.device) -> list[tuple[float, tuple[int, int, int, int]]]:
    """Every tile that fits this GPU and is right, fastest first."""
    q, k, v, grad = inputs(shape, device)
    (expected,) = right_result(q, k, v, grad, shape, training=False)
    results = []
    for tile in TILES:
        out = torch.full_like(q, torch.nan)

        def call(out: torch.Tensor = out, tile: tuple[int, int, int, int] = tile) -> None:
            scale = shape.d**-0.5
            local_attention_triton.launch(out, q, k, v, shape.left, shape.right, None, 0, scale, tile)

        try:
            call()
        except (RuntimeError, OutOfResources):  # more shared memory than there is, or warps than work
            continue
        if relative_error(out, expected) < LIMITS[shape.dtype]:
            results.append((microseconds(call, device), tile))
    return sorted(results)


def main() -> None:
    """Print the five fastest tiles of each shape, and where the launcher's own choice stands."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[64, 512, 4096])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    given = parser.parse_args()
    device = torch.device("cuda")
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    for dtype, batch, frames in itertools.product((torch.float16, torch.float32), given.batch, given.frames):
        shape = Shape(batch, frames, 64, 4, dtype)
        results = tune(shape, device)
        ours = local_attention_triton.choose_tile(frames, batch * shape.heads, shape.d, dtype, processors)
        fastest = ", ".join(f"{tile} {us:.1f}" for us, tile in results[:5])
        chosen = next((f"{us:.1f}" for us, tile in results if tile == ours), "fails")
        print(f"{str(dtype)[6:]} B {batch} T {frames}: {fastest}; chosen {ours} {chosen}", flush=True)


if __name__ == "__main__":
    main()
