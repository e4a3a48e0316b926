"""The native module: kernels, ops and encoders in C++.

Every array is float32 and C-contiguous unless said otherwise; nothing is converted. An array that
does not fit raises TypeError (not an array, or another dtype) or ValueError (shape, layout,
read-only, overlap) with what was expected and what came. Outputs share no memory with inputs
unless said otherwise. `threads` is the most that a call uses (0: all, at most 256); little work
gets fewer. The GIL is released while a call computes.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

_FloatArray: TypeAlias = NDArray[np.float32]
_Uint8Array: TypeAlias = NDArray[np.uint8]
_Int32Array: TypeAlias = NDArray[np.int32]
_Int64Array: TypeAlias = NDArray[np.int64]
_Precision: TypeAlias = Literal["fp32", "bf16", "int8"]

def isa() -> str:
    """The instruction set in use, such as "avx2", "avx512vnni" or "neondot".

    The best available, unless the environment variable REFINE_ITR_ISA named one at first use.

    Raises:
        ValueError: REFINE_ITR_ISA names none of `available_isas()`. So does every function that
            computes.
    """

def available_isas() -> list[str]:
    """The instruction sets compiled in and supported by this CPU, best last."""

def force_isa(name: str) -> None:
    """Uses the instruction set `name` from now on.

    Weights packed before keep the layout, and the kernel, they were packed for.

    Raises:
        ValueError: `name` is none of `available_isas()`.
    """

def max_threads() -> int:
    """The number of threads that `threads=0` stands for."""

@final
class PackedMatrix:
    """The weights of a linear layer, laid out once for the instruction set in use.

    Args:
        weight: (n_out, n_in), as torch.nn.Linear has it; copied.
        bias: (n_out,), or None for zeros; copied.
        precision: of the product: "bf16" rounds the weights to bfloat16, "int8" to 8 bits (7 on
            x86 without VNNI) with a scale for each output, and the other side to 8 with a scale for
            each row (bf16 may leave it as it is). Sums and results are float32.
    """

    def __init__(
        self,
        weight: _FloatArray,
        bias: _FloatArray | None = None,
        precision: _Precision = "fp32",
    ) -> None: ...
    @property
    def n_in(self) -> int: ...
    @property
    def n_out(self) -> int: ...
    @property
    def precision(self) -> _Precision: ...
    @property
    def nbytes(self) -> int: ...

@final
class PackedGates:
    """The hidden-to-hidden weights of a GRU, laid out once for the instruction set in use.

    Args:
        weight: (3D, D), gates r, z, n, as torch.nn.GRU has it; copied.
        bias: (3D,), or None for zeros; copied.
        precision: as PackedMatrix.
    """

    def __init__(
        self,
        weight: _FloatArray,
        bias: _FloatArray | None = None,
        precision: _Precision = "fp32",
    ) -> None: ...
    @property
    def n_in(self) -> int: ...
    @property
    def n_out(self) -> int: ...
    @property
    def precision(self) -> _Precision: ...
    @property
    def nbytes(self) -> int: ...

@final
class Workspace:
    """Memory that calls reuse: it grows to the largest call's need and stays.

    For one call at a time; a call that finds it in use raises RuntimeError.
    """

    def __init__(self) -> None: ...
    @property
    def nbytes(self) -> int: ...

def linear(
    x: _FloatArray,
    weight: PackedMatrix,
    out: _FloatArray,
    workspace: Workspace,
    *,
    residual: _FloatArray | None = None,
    threads: int = 0,
) -> None:
    """A linear layer: out = x W^T + b [+ residual].

    Args:
        x: (m, n_in).
        weight: n_in -> n_out.
        out: (m, n_out).
        workspace: memory to use.
        residual: (m, n_out); may be `out` itself.
        threads: 0 for all.
    """

def l2norm(
    x: _FloatArray, axis: Literal["region", "feature"], out: _FloatArray, *, threads: int = 0
) -> None:
    """Unit vectors: out = x / ||x||, zeros for an all-zero vector.

    Args:
        x: (n, K, D).
        axis: "feature": each region is a vector over its D features; "region": each feature is a
            vector over the K regions (what VSRN's weights expect).
        out: (n, K, D); may be `x` itself.
        threads: 0 for all.
    """

def light_gcn(
    regions: _FloatArray,
    sigma: _FloatArray,
    g: PackedMatrix,
    r: PackedMatrix,
    out: _FloatArray,
    workspace: Workspace,
    *,
    threads: int = 0,
) -> None:
    """One Light-GCN layer (Refine-ITR, equation 3): out = r(sigma (V V^T) g(V)) + V.

    Args:
        regions: V, (b, K, D).
        sigma: (K, K), with the 1/K if the model has it.
        g: D -> D.
        r: D -> D, with the BatchNorm if the model has it.
        out: (b, K, D).
        workspace: memory to use.
        threads: 0 for all.
    """

def light_gcn_folded(
    regions: _FloatArray,
    sigma: _FloatArray,
    f: PackedMatrix,
    f_bias: _FloatArray,
    out: _FloatArray,
    workspace: Workspace,
    *,
    threads: int = 0,
) -> None:
    """`light_gcn` with g and r folded: out = (A V) F^T + (A 1) f_bias^T + o_bias + V.

    Args:
        regions: V, (b, K, D).
        sigma: (K, K); A = sigma (V V^T).
        f: F = W_r W_g, with o_bias = b_r as its bias.
        f_bias: (D,), W_r b_g.
        out: (b, K, D).
        workspace: memory to use.
        threads: 0 for all.
    """

def vsrn_gcn(
    regions: _FloatArray,
    theta: PackedMatrix,
    phi: PackedMatrix,
    g: PackedMatrix,
    r: PackedMatrix,
    scale: float,
    out: _FloatArray,
    workspace: Workspace,
    *,
    threads: int = 0,
) -> None:
    """One graph layer of VSRN: out = r(R g(V)) + V with R = theta(V) phi(V)^T scale.

    Args:
        regions: V, (b, K, D).
        theta: D -> D.
        phi: D -> D.
        g: D -> D.
        r: D -> D, with the BatchNorm.
        scale: 1/K or 1.
        out: (b, K, D).
        workspace: memory to use.
        threads: 0 for all.
    """

def vsrn_gcn_folded(
    regions: _FloatArray,
    m: PackedMatrix,
    u: _FloatArray,
    w: _FloatArray,
    c: float,
    scale: float,
    f: PackedMatrix,
    f_bias: _FloatArray,
    out: _FloatArray,
    workspace: Workspace,
    *,
    threads: int = 0,
) -> None:
    """`vsrn_gcn` with theta and phi, and g and r, folded.

    out = (R V) F^T + (R 1) f_bias^T + o_bias + V with
    R = (V M V^T + (V u) 1^T + 1 (V w)^T + c) scale.

    Args:
        regions: V, (b, K, D).
        m: packed from the array M^T = W_phi^T W_theta, so that linear(V, m) = V M; no bias.
        u: (D,), W_theta^T b_phi.
        w: (D,), W_phi^T b_theta.
        c: b_theta . b_phi.
        scale: 1/K or 1.
        f: F = W_r W_g, with o_bias = b_r as its bias.
        f_bias: (D,), W_r b_g.
        out: (b, K, D).
        workspace: memory to use.
        threads: 0 for all.
    """

def gru(
    gates: _FloatArray,
    offsets: _Int64Array,
    w_hh: PackedGates,
    out: _FloatArray,
    workspace: Workspace,
    *,
    pooling: Literal["last", "mean"] = "last",
    threads: int = 0,
) -> None:
    """A GRU over a batch of sequences of any lengths (torch.nn.GRU; gate order r, z, n).

    Args:
        gates: (total, 3D), W_ih x + b_ih of every step; sequences one after the other.
        offsets: int64 (n + 1,), from 0 to total; sequence i is steps offsets[i] : offsets[i + 1].
        w_hh: D -> 3D, with b_hh.
        out: (n, D): the last hidden state, or the mean of all; zeros for an empty sequence.
        workspace: memory to use.
        pooling: "last" or "mean".
        threads: 0 for all.
    """

def top_k(
    queries: _FloatArray,
    gallery: _FloatArray,
    scores: _FloatArray,
    ids: _Int64Array,
    workspace: Workspace,
    *,
    allowed: _Uint8Array | None = None,
    threads: int = 0,
) -> None:
    """The k best of the gallery by inner product, best first.

    Equal scores come by lower id, NaN after all numbers. The score of a row depends neither on
    the other queries and rows nor on the number of threads.

    Args:
        queries: (q, D).
        gallery: (n, D).
        scores: written, (q, k) with k <= n.
        ids: written, int64 (q, k): rows of the gallery.
        workspace: memory to use.
        allowed: uint8 (ceil(n / 8),): bit i % 8 of byte i // 8 says whether row i may be found, as
            numpy.packbits(mask, bitorder="little") makes it; None allows all. Where fewer than k
            rows are allowed, the rest has the id -1 and the score -inf: the shape of the result
            does not depend on the filter, and -1 is no row.
        threads: 0 for all.
    """

@final
class NarrowGallery:
    """A gallery in a half or a quarter of the memory, for the same result as `top_k`.

    Each row is kept as bfloat16, or as 8-bit integers with a scale, together with how much that
    took from it. A search reads these and scores in float32 only rows which by that bound can be
    among the best: ids and scores are those of `top_k`, bit for bit. (Cauchy-Schwarz; the bound is
    derived in src/cpp/ops/narrow_search.h.)

    Searches may go on in several threads; a change waits until they are done.

    Args:
        gallery: (n, D), D <= 65536; not kept.
        precision: "bf16" or "int8".
    """

    def __init__(self, gallery: _FloatArray, precision: Literal["bf16", "int8"]) -> None: ...
    def __len__(self) -> int: ...
    @property
    def n(self) -> int: ...
    @property
    def dim(self) -> int: ...
    @property
    def nbytes(self) -> int:
        """Bytes held, with the room to grow."""

    @property
    def precision(self) -> Literal["bf16", "int8"]: ...
    def append(self, rows: _FloatArray) -> None:
        """Adds rows; those that are there stay as they are.

        Args:
            rows: (m, D).
        """

    def replace(self, index: int, row: _FloatArray) -> None:
        """Quantises one row anew.

        Args:
            index: 0 .. n - 1.
            row: (D,).

        Raises:
            IndexError: There is no such row.
        """

    def top_k(
        self,
        queries: _FloatArray,
        gallery: _FloatArray,
        scores: _FloatArray,
        ids: _Int64Array,
        workspace: Workspace,
        *,
        allowed: _Uint8Array | None = None,
        threads: int = 0,
    ) -> None:
        """As the function `top_k`.

        Args:
            queries: (q, D).
            gallery: (m, D), m <= n: the first m rows that this was made of, or all; few are read.
            scores: written, (q, k) with k <= m.
            ids: written, int64 (q, k).
            workspace: memory to use.
            allowed: uint8 (ceil(m / 8),) or None.
            threads: 0 for all.
        """

def nms(
    boxes: _FloatArray,
    objectness: _FloatArray,
    groups: _Int64Array,
    k: int,
    *,
    iou_threshold: float = 0.7,
    inclusive: bool = False,
) -> _Int64Array:
    """The candidates of a detector that become proposals: `batched_nms(...)[:k]` of torchvision.

    Greedy non-maximum suppression, for each group by itself; then the k best of all that are
    left. Equal scores come by lower index; NaN takes no part.

    Args:
        boxes: (m, 4): x1, y1, x2, y2.
        objectness: (m,).
        groups: int64 (m,): levels of a feature pyramid; all 0 for one.
        k: at most how many.
        iou_threshold: a box goes if it overlaps a better one of its group by more.
        inclusive: x2 and y2 name the last pixel inside (Caffe), not the border.

    Returns:
        int64 (at most k,): indices of candidates, best first.
    """

def select_regions(
    boxes: _FloatArray,
    class_scores: _FloatArray,
    k: int,
    *,
    least: int | None = None,
    iou_threshold: float = 0.3,
    score_threshold: float = 0.0,
    keep_threshold: float = 0.0,
    inclusive: bool = False,
) -> _Int64Array:
    """The proposals of a detector that become the regions of an image.

    Non-maximum suppression on the proposal boxes, for each class by itself; then the proposals
    with the best surviving class score, in that order. Where fewer survive than are wanted, the
    rest follow by their best score in any class; equal ones by lower index. (As bottom-up
    attention.)

    Args:
        boxes: (p, 4): x1, y1, x2, y2.
        class_scores: (p, c); no background class.
        k: how many, at most.
        least: how many at least; None for k, so that the number is fixed.
        iou_threshold: a box goes if it overlaps a better one by more.
        score_threshold: lower scores, and NaN, take no part in the suppression.
        keep_threshold: beyond `least`, a region needs a surviving score of this.
        inclusive: x2 and y2 name the last pixel inside (Caffe), not the border.

    Returns:
        int64 (min(p, least .. k),): indices of proposals.
    """

class GraphLayer:
    """A graph layer with its folded weights. Made by one of its subclasses."""

@final
class LightGcnLayer(GraphLayer):
    """`light_gcn_folded` and its weights.

    Args:
        sigma: (K, K); copied.
        f: D -> D.
        f_bias: (D,); copied.
    """

    def __init__(self, sigma: _FloatArray, f: PackedMatrix, f_bias: _FloatArray) -> None: ...

@final
class VsrnGcnLayer(GraphLayer):
    """`vsrn_gcn_folded` and its weights.

    Args:
        m: D -> D.
        u: (D,); copied.
        w: (D,); copied.
        c: a number.
        scale: 1/K or 1.
        f: D -> D.
        f_bias: (D,); copied.
    """

    def __init__(
        self,
        m: PackedMatrix,
        u: _FloatArray,
        w: _FloatArray,
        c: float,
        scale: float,
        f: PackedMatrix,
        f_bias: _FloatArray,
    ) -> None: ...

@final
class ImageEncoder:
    """Regions of an image to its embedding.

    fc -> [l2norm] -> layers -> l2norm -> pooling -> [scale, shift] -> l2norm.

    Args:
        fc: C -> D.
        layers: in order; may be empty.
        norm_axis: of the l2norm after the layers; "none" for none.
        normalize_projection: the same l2norm also before the layers.
        pooling: over the regions: the GRU's last hidden state, the mean, or per feature the mean
            of the `pool_top` largest or, for "gpo", the values in descending order times
            `pool_coefficients`, added up.
        pool_top: for "max-of-top".
        pool_coefficients: (K,) for "gpo" (else None); copied. The encoder takes that K alone.
        w_ih: for "gru" (else None): D -> 3D, with b_ih.
        w_hh: for "gru" (else None): D -> 3D, with b_hh.
        embedding_scale: (D,) or None: the embedding's BatchNorm, x * scale + shift; copied.
        embedding_shift: (D,), given exactly when `embedding_scale` is; copied.
    """

    def __init__(
        self,
        fc: PackedMatrix,
        layers: Sequence[GraphLayer],
        *,
        norm_axis: Literal["region", "feature", "none"],
        normalize_projection: bool = False,
        pooling: Literal["gru", "mean", "max-of-top", "gpo"],
        pool_top: int = 1,
        pool_coefficients: _FloatArray | None = None,
        w_ih: PackedMatrix | None = None,
        w_hh: PackedGates | None = None,
        embedding_scale: _FloatArray | None = None,
        embedding_shift: _FloatArray | None = None,
    ) -> None: ...
    @property
    def features(self) -> int: ...
    @property
    def dim(self) -> int: ...
    def encode(
        self, regions: _FloatArray, out: _FloatArray, workspace: Workspace, *, threads: int = 0
    ) -> None:
        """Embeds a batch; a large one in chunks, so that the workspace stays bounded.

        Args:
            regions: (b, K, C).
            out: (b, D), unit norm.
            workspace: memory to use.
            threads: 0 for all.
        """

@final
class TextEncoder:
    """Token ids of a sentence to its embedding: GRU -> pooling -> l2norm.

    Args:
        gate_table: (V, 3D), embedding W_ih^T + b_ih; copied.
        w_hh: D -> 3D, with b_hh.
        pooling: of the hidden states of the words.
    """

    def __init__(
        self, gate_table: _FloatArray, w_hh: PackedGates, pooling: Literal["last", "mean"]
    ) -> None: ...
    @property
    def vocabulary(self) -> int: ...
    @property
    def dim(self) -> int: ...
    def encode(
        self,
        tokens: _Int32Array,
        offsets: _Int64Array,
        out: _FloatArray,
        workspace: Workspace,
        *,
        threads: int = 0,
    ) -> None:
        """Embeds a batch of sentences.

        Args:
            tokens: int32 (total,), the sentences one after the other.
            offsets: int64 (n + 1,), from 0 to total.
            out: (n, D), unit norm; zeros for a sentence without words.
            workspace: memory to use.
            threads: 0 for all.

        Raises:
            ValueError: also for a token outside 0 .. V-1, before anything is written.
        """

def multiply_adds(precision: _Precision, rounds: int, threads: int = 0) -> int:
    """Does `rounds` (1 .. 2^30) thousands of rounds of multiply-adds from registers, a thread each.

    Returns:
        How many multiply-adds they were in all: over the time, the limit of the instruction set.
    """

def read_memory(x: _Int32Array, threads: int = 0) -> int:
    """Reads x, int32 (n,), once, each thread its share: over the time, the limit of the memory.

    Returns:
        The sum of its numbers, modulo 2^32.
    """
