// Rows of a graph and of its transpose, see equipot_topology. Atomic additions of integers find each neighbour's place;
// the order in which they arrived is then undone, so the result is always the same.
#include "arguments.h"

constexpr int BLOCK = 256, WIDE = 1024;

KERNEL(BLOCK) check_edges(const GraphArguments g)
{
  const long long edge = (long long)blockIdx.x * BLOCK + threadIdx.x;
  if (edge >= g.n_edges) return;
  const long long i = g.centre[edge], j = g.neighbour[edge];
  if (edge > 0 && i < g.centre[edge - 1]) atomicOr(g.fault, 1);
  if (i < 0 || i >= g.n_out) atomicOr(g.fault, 2);
  if (j < 0 || j >= g.n_in) atomicOr(g.fault, 4);
  else atomicAdd(g.count + j, 1);
}

// rowptr[i]: the first edge whose centre is i or more.
KERNEL(BLOCK) find_centres(const GraphArguments g)
{
  const long long i = (long long)blockIdx.x * BLOCK + threadIdx.x;
  if (i > g.n_out) return;
  long long low = 0, high = g.n_edges;
  while (low < high) {
    const long long middle = (low + high) / 2;
    if (g.centre[middle] < i) low = middle + 1;
    else high = middle;
  }
  g.rowptr[i] = low;
}

// transpose_rowptr: sums of the counts, by one block; the counts become the places to fill.
KERNEL(WIDE) start_neighbours(const GraphArguments g)
{
  SHARED long long sums[WIDE];
  const int k = threadIdx.x;
  const long long each = (g.n_in + WIDE - 1) / WIDE, begin = k * each;
  const long long end = begin + each < g.n_in ? begin + each : g.n_in;
  long long sum = 0;
  for (long long j = begin; j < end; ++j) sum += g.count[j];
  sums[k] = sum;
  __syncthreads();
  for (int step = 1; step < WIDE; step *= 2) {
    const long long before = k >= step ? sums[k - step] : 0;
    __syncthreads();
    sums[k] += before;
    __syncthreads();
  }
  long long next = sums[k] - sum;
  if (k == 0) g.transpose_rowptr[g.n_in] = sums[WIDE - 1];
  for (long long j = begin; j < end; ++j) {
    const int count = g.count[j];
    g.transpose_rowptr[j] = next;
    g.count[j] = (int)next;
    next += count;
  }
}

KERNEL(BLOCK) place_edges(const GraphArguments g)
{
  const long long edge = (long long)blockIdx.x * BLOCK + threadIdx.x;
  if (edge < g.n_edges && *g.fault == 0) g.unsorted[atomicAdd(g.count + g.neighbour[edge], 1)] = (int)edge;
}

// One warp per neighbour: an edge's place among those of its neighbour is the number of smaller ones.
KERNEL(BLOCK) order_edges(const GraphArguments g)
{
  const long long j = (long long)blockIdx.x * (BLOCK / 32) + threadIdx.x / 32;
  if (j >= g.n_in || *g.fault != 0) return;
  const long long begin = g.transpose_rowptr[j], end = g.transpose_rowptr[j + 1];
  for (long long k = begin + threadIdx.x % 32; k < end; k += 32) {
    const int edge = g.unsorted[k];
    long long place = begin;
    for (long long other = begin; other < end; ++other) place += g.unsorted[other] < edge;
    g.transpose_edges[place] = edge;
  }
}
