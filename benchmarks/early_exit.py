"""The forward pass that ends at the value facet of block 31 of 40, against the bare forward pass of the whole model.

Random weights are as fast as learned ones. The floor is what the matrix products of the blocks allow: 40 blocks against 31 and
one projection.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import compare
from cvgl.backbones.device import apply_precision
from cvgl.backbones.transformer import FacetPooling
from cvgl.config import Facet, Pooling, Precision

BLOCKS, BLOCK = 40, 31
BOUND = 1.2  # whole / ours
GIANT = "vit_giant_patch14_dinov2"


@dataclass(frozen=True, slots=True)
class EarlyExit:
    """One model on one device.

    Attributes:
        name: the model, its input and its precision.
        device: what it ran on, in words.
        whole_s: median seconds of the bare forward pass of the whole model.
        ours_s: median seconds of ours, pooling included.
        ratio: median of whole / ours, taken pair by pair.
        low: smallest ratio of a pair.
        high: largest.
        flops_ratio: operations of the whole model / operations of ours: the ratio at equal speed.
        images_per_second: of ours.
        share_of_peak: operations a second of ours over those of one large matrix product in the same precision.
    """

    name: str
    device: str
    whole_s: float
    ours_s: float
    ratio: float
    low: float
    high: float
    flops_ratio: float
    images_per_second: float
    share_of_peak: float


def small_on_the_cpu() -> EarlyExit:
    """A ViT-Ti of 40 blocks in float32: 4 images of 224 x 224."""
    arguments = {"depth": BLOCKS}
    return measure("vit_tiny_patch16_224", arguments, 224, 4, torch.device("cpu"), Precision.FLOAT32, matrix=2048, rounds=11)


def giant_on_the_gpu() -> EarlyExit | None:
    """ViT-g/14 of DINOv2, the paper's model, in bfloat16: 64 images of 252 x 252. None without a CUDA device."""
    if not torch.cuda.is_available():
        return None
    arguments = {"img_size": 252}
    return measure(GIANT, arguments, 252, 64, torch.device("cuda"), Precision.BFLOAT16, matrix=8192, rounds=9)


def measure(
    name: str,
    arguments: dict[str, Any],
    size: int,
    batch: int,
    device: torch.device,
    precision: Precision,
    matrix: int,
    rounds: int,
) -> EarlyExit:
    whole, model = (build_model(name, arguments, device) for _ in range(2))
    ours = FacetPooling(model, (BLOCK,), Facet.VALUE, Pooling.GEM, 3.0).eval().to(device)
    images = torch.randn(batch, 3, size, size, device=device)

    def run(network: torch.nn.Module) -> Callable[[], None]:
        def forward() -> None:
            with torch.inference_mode(), apply_precision(device, precision):
                network(images)
            _wait(device)

        return forward

    times = compare(name, "", run(whole), run(ours), rounds)
    operations = count_operations(ours, images[:1]) * batch
    return EarlyExit(
        name=f"{name}, {BLOCKS} blocks, {batch} x {size} x {size}, {precision}",
        device=torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} thread(s)",
        whole_s=times.ours_s,
        ours_s=times.floor_s,
        ratio=times.ratio,
        low=times.low,
        high=times.high,
        flops_ratio=count_operations(whole, images[:1]) * batch / operations,
        images_per_second=batch / times.floor_s,
        share_of_peak=operations / times.floor_s / _matrix_peak(device, precision, matrix),
    )


def build_model(name: str, arguments: dict[str, Any], device: torch.device) -> Any:
    import timm

    with device:
        model = timm.create_model(name, pretrained=False, num_classes=0, **arguments).eval().requires_grad_(False)
    assert len(model.blocks) == BLOCKS
    return model


def count_operations(network: torch.nn.Module, images: torch.Tensor) -> int:
    """Operations of all matrix products of one pass, attention included (a product and a sum are two)."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))  # fused attention is not counted everywhere
        counter = stack.enter_context(FlopCounterMode(display=False))
        network(images)
    total: int = counter.get_total_flops()
    return total


def _matrix_peak(device: torch.device, precision: Precision, size: int) -> float:
    """Operations a second of the product of two square matrices, the best of several: what the machine can do."""
    dtype = torch.bfloat16 if precision is Precision.BFLOAT16 else torch.float32
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        _wait(device)
        start = time.perf_counter()
        left @ right
        _wait(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def table(rows: list[EarlyExit]) -> list[str]:
    """Lines of Markdown."""
    cells = [
        f"| {row.name} | {row.device} | {row.whole_s:.3f} | {row.ours_s:.3f} "
        f"| **{row.ratio:.2f}** | {row.low:.2f}-{row.high:.2f} | {row.flops_ratio:.2f} "
        f"| {row.images_per_second:.1f} | {100 * row.share_of_peak:.0f} % |"
        for row in rows
    ]
    return [
        "## Early exit",
        "",
        f"The value facet of block {BLOCK} of {BLOCKS} with GeM pooling (ours) against the bare forward pass of the whole",
        f"model, in turn, in one process, with random weights. The ratio is whole / ours and must be at least {BOUND};",
        "'operations' is what it would be at equal speed, 'of peak' our operations a second over those of one large matrix",
        "product in the same precision.",
        *(_NO_GPU if all(row.device.startswith("CPU") for row in rows) else []),
        "",
        "| model | device | whole, s | ours, s | whole / ours | smallest-largest | operations | images/s | of peak |",
        "|---|---|---|---|---|---|---|---|---|",
        *cells,
    ]


_NO_GPU = ["No CUDA device was found; with one, a row for ViT-g/14 itself follows."]


if __name__ == "__main__":
    print("\n".join(table([row for row in (small_on_the_cpu(), giant_on_the_gpu()) if row is not None])))
