#include "steps.h"

#include <algorithm>

namespace equipot {
namespace cuda {
namespace {

constexpr int block = 256;    // threads of the kernels of rows.cu

int64_t blocks(int64_t n) { return (n + block - 1) / block; }

// Edges of a piece, and the most pieces there can be: by the size of the problem alone. Few pieces, since each keeps
// (2 order, n_weights) sums.
int64_t piece_size(const equipot_convolution &p) { return std::max<int64_t>(128, (p.n_edges + 1023) / 1024); }
int64_t most_pieces(const equipot_convolution &p)
{
  return p.n_edges / piece_size(p) + std::min(p.n_edges, p.n_knots);
}

// Hands out parts of the scratch memory; from null it counts bytes.
struct Scratch {
  char *start;
  int64_t used = 0;

  template <class T> T *take(int64_t n, int64_t size = sizeof(T))
  {
    T *found = reinterpret_cast<T *>(start + used);
    used += (n * size + 255) / 256 * 256;
    return found;
  }
  void *numbers(int64_t n, int64_t size) { return take<char>(n, size); }
};

void take_rows(Scratch &scratch, const equipot_convolution &p, Arguments &a)
{
  a.row_of_edge = scratch.take<int>(p.n_edges);
  a.sorted = scratch.take<int>(p.n_edges);
  a.row_start = scratch.take<int>(p.n_knots + 1);
  a.piece_start = scratch.take<int>(p.n_knots + 1);
  a.piece_size = piece_size(p);
  a.piece_sums = scratch.numbers(most_pieces(p) * 2 * p.order * p.n_weights, p.dtype);
}

const Loaded &row_kernels(const equipot_convolution &p, const equipot_cuda &on)
{
  const std::string key =
      "rows " + std::to_string(p.dtype) + " " + std::to_string(p.order) + " " + std::to_string(p.n_weights);
  return load(key, [&p] { return specialise_rows(p); }, on.device);
}

const long long *indices(const int64_t *pointer) { return reinterpret_cast<const long long *>(pointer); }

Arguments arguments_of(const equipot_convolution &p)
{
  static_assert(sizeof(long long) == sizeof(int64_t), "the kernels' integers are int64_t");
  Arguments a{};
  a.n_in = p.n_in, a.n_out = p.n_out, a.n_edges = p.n_edges;
  a.centre = indices(p.centre);
  a.neighbour = indices(p.neighbour);
  a.rowptr = indices(p.rowptr);
  a.transpose_rowptr = indices(p.transpose_rowptr);
  a.transpose_edges = indices(p.transpose_edges);
  a.n_knots = p.n_knots, a.doubled_knot = p.doubled_knot, a.cutoff_per_edge = p.cutoff_per_edge;
  a.table = p.table, a.inverse_cutoff = p.inverse_cutoff;
  a.x = p.x, a.vectors = p.edge_vectors;
  return a;
}

void clear(void *to, int64_t bytes, const equipot_cuda &on)
{
  if (bytes == 0) return;
  const Driver &d = driver();
  d.check(d.fill(reinterpret_cast<DevicePointer>(to), 0, static_cast<std::size_t>(bytes), on.stream), "clearing memory");
}

// dx and dvectors.
void by_neighbour(const equipot_convolution &p, const equipot_cuda &on, Arguments a, bool is_second, Scratch &scratch)
{
  if (!a.dx && !a.dvectors) return;
  const Kernel kernel{Sum::neighbour, is_second, a.dx != nullptr, a.dvectors != nullptr};
  const Loaded &found = load(p, kernel, on.device);
  const int slabs = found.layout.slabs;
  if (a.dx && !found.layout.covers_input) clear(a.dx, p.n_in * p.dim_in * p.dtype, on);
  if (a.dvectors && !found.module) clear(a.dvectors, 3 * p.n_edges * p.dtype, on);
  a.n_slabs = slabs;
  if (a.dvectors && slabs > 1) a.slab_vectors = scratch.numbers(slabs * p.n_edges * 3, p.dtype);
  launch(found, kernel.name(), p.n_in, slabs, 32 * found.layout.warps, on.stream, &a);
  if (a.slab_vectors) launch(row_kernels(p, on), "sum_slabs", blocks(3 * p.n_edges), 1, block, on.stream, &a);
}

// dtable.
void by_row(const equipot_convolution &p, const equipot_cuda &on, Arguments a, bool is_second, Scratch &scratch)
{
  if (!a.dtable) return;
  const Kernel kernel{Sum::row, is_second, false, false};
  const Loaded &found = load(p, kernel, on.device), &rows = row_kernels(p, on);
  take_rows(scratch, p, a);
  launch(rows, "find_rows", blocks(p.n_edges), 1, block, on.stream, &a);
  launch(rows, "count_rows", p.n_knots, 1, block, on.stream, &a);
  launch(rows, "start_rows", 1, 1, 32, on.stream, &a);
  launch(rows, "sort_rows", p.n_knots, 1, block, on.stream, &a);
  // A column that no path reads gets no sums.
  clear(a.piece_sums, most_pieces(p) * 2 * p.order * p.n_weights * p.dtype, on);
  launch(found, kernel.name(), most_pieces(p), found.layout.slabs, 32 * found.layout.warps, on.stream, &a);
  launch(rows, "sum_pieces", blocks(p.order * p.n_weights), p.n_knots, block, on.stream, &a);
}

void by_centre(const equipot_convolution &p, const equipot_cuda &on, const Arguments &a, bool is_second)
{
  const Kernel kernel{Sum::centre, is_second, false, false};
  const Loaded &found = load(p, kernel, on.device);
  launch(found, kernel.name(), p.n_out, found.layout.slabs, 32 * found.layout.warps, on.stream, &a);
}

}    // namespace

void forward(const equipot_convolution &p, const equipot_cuda &on, void *out)
{
  Arguments a = arguments_of(p);
  a.out = out;
  by_centre(p, on, a, false);
}

void backward(const equipot_convolution &p, const equipot_cuda &on, const void *grad, void *dx, void *dvectors,
              void *dtable)
{
  Arguments a = arguments_of(p);
  a.grad = grad;
  a.dx = dx, a.dvectors = dvectors, a.dtable = dtable;
  Scratch scratch{static_cast<char *>(on.workspace)};
  by_neighbour(p, on, a, false, scratch);
  by_row(p, on, a, false, scratch);
}

void second(const equipot_convolution &p, const equipot_cuda &on, const void *grad, const void *ax, const void *av,
            void *dgrad, void *dx, void *dvectors, void *dtable)
{
  Arguments a = arguments_of(p);
  a.grad = grad, a.ax = ax, a.av = av;
  a.out = dgrad;
  a.dx = dx, a.dvectors = dvectors, a.dtable = dtable;
  Scratch scratch{static_cast<char *>(on.workspace)};
  if (dgrad) by_centre(p, on, a, true);
  by_neighbour(p, on, a, true, scratch);
  by_row(p, on, a, true, scratch);
}

int64_t workspace(const equipot_convolution &p, const equipot_cuda &on, bool is_second, bool dx, bool dvectors,
                  bool dtable)
{
  Scratch scratch{nullptr};
  Arguments a{};
  if (dvectors) {
    const Layout &layout = load(p, {Sum::neighbour, is_second, dx, true}, on.device).layout;
    if (layout.slabs > 1) scratch.numbers(layout.slabs * p.n_edges * 3, p.dtype);
  }
  if (dtable) take_rows(scratch, p, a);
  return scratch.used;
}

}    // namespace cuda
}    // namespace equipot
