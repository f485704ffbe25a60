"""What speaks against a kernel: its release, the GPU, the layout of the weights, the shape of a matrix."""

from __future__ import annotations

from collections.abc import Iterator

from shipfit.precision.kernel import Kernel, Layout, Matrix, Place, Release, release


def objections(
    kernel: Kernel, layout: Layout, place: Place, at: Release, matrix: Matrix | None, kind: str
) -> Iterator[tuple[int, str]]:
    """Every reason against a kernel, with a rank: a higher one says that it comes nearer to what is asked for.

    Args:
        kernel: one that serves the precision on the platform.
        layout: how the weights are stored.
        place: where it is to run.
        at: release of vLLM.
        matrix: what is to be multiplied; None for any.
        kind: dense, experts or all.
    """
    what = layout.precision
    if kind != "all" and kernel.matrices not in ("all", kind):
        name = matrix.name if matrix else f"{kind} matrices"
        yield 0, f"vLLM has no kernel for {name} in {what} on {place.name}"
    if kernel.methods and layout.method not in kernel.methods:
        yield 0, f"{kernel.name} does not take checkpoints of {layout.method}"
    if kernel.until and at >= release(kernel.until):
        instead = f"; later it takes {kernel.after}" if kernel.after else ""
        yield 1, f"vLLM serves {what} on {place.name} only before {kernel.until}{instead}"
    if kernel.since and at < release(kernel.since):
        yield 1, f"vLLM serves {what} on {place.name} only from {kernel.since} on"
    if place.capability < kernel.capability:
        needs = f"needs compute capability {kernel.capability} or newer"
        yield 2, f"{what} {needs}; {place.name} has {place.capability}"
    if place.capability >= kernel.below:
        yield (
            3,
            f"{what} is not there from compute capability {kernel.below} on; {place.name} has {place.capability}",
        )
    if kernel.flag and kernel.flag not in place.flags:
        yield 3, f"{what} needs a processor with {kernel.flag}"
    yield from ((4, reason) for reason in _against_layout(kernel, layout))
    if matrix:
        yield from ((5, reason) for reason in _against_shape(kernel, layout, matrix))


def _against_layout(kernel: Kernel, layout: Layout) -> Iterator[str]:
    group = layout.group
    if kernel.groups is not None and group not in kernel.groups:
        sizes = ", ".join(str(size) for size in kernel.groups if size > 0)
        taken = f"groups of {sizes}" if sizes else _said(-1)
        yield f"{kernel.name} takes {taken}, and the weights have {_said(group)}"
    if kernel.even and group > 0 and group % 2:
        yield f"{kernel.name} takes groups of an even size, and the weights have {_said(group)}"
    if kernel.symmetric and not layout.symmetric:
        yield f"{kernel.name} takes no zero points, and the weights have them"
    if layout.act_order and group > 0 and kernel.order == "no":
        yield f"act order with groups of {group} has no kernel in this release; use static act order or none"


def _against_shape(kernel: Kernel, layout: Layout, matrix: Matrix) -> Iterator[str]:
    group, gpus = layout.group, f"{matrix.gpus} GPUs"
    split = matrix.gpus > 1 and matrix.by_columns
    whole = matrix.columns * matrix.gpus if split else matrix.columns
    if kernel.gpus and matrix.gpus > kernel.gpus:
        yield f"{layout.precision} cannot be divided between {gpus}"
    if 0 < group < whole and matrix.columns % group and not kernel.straddle and (split or not kernel.blocks):
        if split:
            shards = f"{gpus} ({matrix.columns} inputs each)"
            yield f"a group of {group} straddles the shards of {matrix.name} on {shards}"
        yield f"a group of {group} does not divide the {matrix.columns} inputs of {matrix.name}"
    if layout.act_order and group > 0 and split and kernel.order == "whole":
        yield f"act order with groups needs all inputs of {matrix.name} on one GPU for {kernel.name}"
    if kernel.blocks and matrix.gpus > 1 and not matrix.by_columns:
        for rows in matrix.rows:
            if rows % layout.block_rows:
                shards = f"{gpus} ({rows} outputs each)"
                yield f"a block of {layout.block_rows} straddles the shards of {matrix.name} on {shards}"
    if matrix.columns % kernel.columns:
        yield f"{kernel.name} needs inputs by {kernel.columns}s, and {matrix.name} has {matrix.columns} on each GPU"
    if sum(matrix.rows) % kernel.rows:
        yield f"{kernel.name} needs outputs by {kernel.rows}s, and {matrix.name} has {sum(matrix.rows)} on each GPU"


def _said(group: int) -> str:
    if group > 0:
        return f"groups of {group}"
    return "a scale a row" if group else "one scale a matrix"
