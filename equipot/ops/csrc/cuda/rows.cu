// Edges sorted by the row of the table they read, stable and without atomic additions, and the sums that come last.
// In front of this file: real, ORDER, N_WEIGHTS.

#include "radial.cu"

constexpr int COEFFICIENTS = 2 * ORDER, BLOCK = 256;

// Which of the threads in front of this one in the block are marked, and how many there are in all.
static inline int rank(bool marked, int *total)
{
  SHARED int counts[BLOCK / 32];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const unsigned lanes = __ballot_sync(0xffffffffu, marked);
  if (lane == 0) counts[warp] = __popc(lanes);
  __syncthreads();
  int before = __popc(lanes & ((1u << lane) - 1));
  *total = 0;
  for (int k = 0; k < BLOCK / 32; ++k) {
    if (k < warp) before += counts[k];
    *total += counts[k];
  }
  __syncthreads();
  return before;
}

KERNEL(BLOCK) find_rows(const Arguments a)
{
  const long long edge = (long long)blockIdx.x * BLOCK + threadIdx.x;
  if (edge >= a.n_edges) return;
  real t;
  const real r = length((const real *)a.vectors + 3 * edge);
  a.row_of_edge[edge] = (int)knot_below(r * inverse_cutoff(a, edge), a, &t);
}

// One block per row: how many edges read it.
KERNEL(BLOCK) count_rows(const Arguments a)
{
  SHARED int counts[BLOCK];
  const int row = blockIdx.x;
  int count = 0;
  for (long long edge = threadIdx.x; edge < a.n_edges; edge += BLOCK) count += a.row_of_edge[edge] == row;
  counts[threadIdx.x] = count;
  __syncthreads();
  for (int step = BLOCK / 2; step > 0; step /= 2) {
    if ((int)threadIdx.x < step) counts[threadIdx.x] += counts[threadIdx.x + step];
    __syncthreads();
  }
  if (threadIdx.x == 0) a.row_start[row + 1] = counts[0];
}

// A thread: there are a few hundred rows.
KERNEL(32) start_rows(const Arguments a)
{
  if (threadIdx.x != 0) return;
  a.row_start[0] = a.piece_start[0] = 0;
  for (long long row = 0; row < a.n_knots; ++row) {
    const int count = a.row_start[row + 1];
    a.piece_start[row + 1] = a.piece_start[row] + (int)((count + a.piece_size - 1) / a.piece_size);
    a.row_start[row + 1] = a.row_start[row] + count;
  }
}

// One block per row, which picks its edges in their order.
KERNEL(BLOCK) sort_rows(const Arguments a)
{
  const int row = blockIdx.x;
  int next = a.row_start[row];
  if (next == a.row_start[row + 1]) return;
  for (long long first = 0; first < a.n_edges; first += BLOCK) {
    const long long edge = first + threadIdx.x;
    const bool mine = edge < a.n_edges && a.row_of_edge[edge] == row;
    int total;
    const int before = rank(mine, &total);
    if (mine) a.sorted[next + before] = (int)edge;
    next += total;
  }
}

// dtable: a knot is the one below for the edges of its row, and the one above for those of the row in front.
KERNEL(BLOCK) sum_pieces(const Arguments a)
{
  const long long column = (long long)blockIdx.x * BLOCK + threadIdx.x;
  const int row = blockIdx.y;
  if (column >= ORDER * N_WEIGHTS) return;
  const real *sums = (const real *)a.piece_sums + column;
  real sum = 0;
  for (int side = 0; side < 2 && side <= row; ++side)
    for (long long piece = a.piece_start[row - side]; piece < a.piece_start[row - side + 1]; ++piece)
      sum += sums[(piece * COEFFICIENTS + side * ORDER) * N_WEIGHTS];
  ((real *)a.dtable)[(long long)row * ORDER * N_WEIGHTS + column] = sum;
}

// dvectors, where several slabs of paths contributed.
KERNEL(BLOCK) sum_slabs(const Arguments a)
{
  const long long k = (long long)blockIdx.x * BLOCK + threadIdx.x;
  if (k >= 3 * a.n_edges) return;
  real sum = 0;
  for (int slab = 0; slab < a.n_slabs; ++slab) sum += ((const real *)a.slab_vectors)[slab * 3 * a.n_edges + k];
  ((real *)a.dvectors)[k] = sum;
}
