// All kernels for one instruction set and one type of number: compiled several times, with EQUIPOT_ISA_NAME,
// EQUIPOT_REAL, EQUIPOT_KERNELS (the name of the table at the end) and the compiler's options for the instruction set.
#include "kernels.h"

#include "gate.h"
#include "linear.h"
#include "second.h"

#include <exception>
#include <vector>

namespace equipot {
namespace EQUIPOT_ISA_NAME {
namespace {

using T = EQUIPOT_REAL;

// Kernels are compiled for every (l_in, l_out), and once more for paths whose P is diagonal.
constexpr int n_l = EQUIPOT_L_MAX + 1;
constexpr bool is_diagonal(std::size_t k) { return k >= n_l * n_l; }
constexpr int dim_in(std::size_t k) { return 2 * static_cast<int>(is_diagonal(k) ? k - n_l * n_l : k / n_l) + 1; }
constexpr int dim_out(std::size_t k) { return 2 * static_cast<int>(is_diagonal(k) ? k - n_l * n_l : k % n_l) + 1; }

template <class Kernel, class... Args, std::size_t... K>
void choose(std::size_t k, std::index_sequence<K...>, Args... args)
{
  using Function = void (*)(Args...);
  static const Function all[] = {&Kernel::template run<dim_in(K), dim_out(K), is_diagonal(K)>...};
  all[k](args...);
}

template <class Kernel, class... Args> void run_path(const Path &path, Args... args)
{
  const std::size_t k = path.diagonal ? n_l * n_l + path.l_in : path.l_in * n_l + path.l_out;
  choose<Kernel, Args...>(k, std::make_index_sequence<n_l * n_l + n_l>(), args...);
}

struct Forward {
  template <int D1, int D3, bool Diagonal> static void run(const Work<T> *work) { forward_path<T, D1, D3, Diagonal>(*work); }
};
struct BackwardVectors {
  template <int D1, int D3, bool Diagonal> static void run(const Work<T> *work, T *scaled)
  {
    backward_vectors_path<T, D1, D3, Diagonal>(*work, scaled);
  }
};
struct BackwardTable {
  template <int D1, int D3, bool Diagonal> static void run(const Work<T> *work)
  {
    backward_table_path<T, D1, D3, Diagonal>(*work);
  }
};
struct SecondGrad {
  template <int D1, int D3, bool Diagonal> static void run(const SecondWork<T> *work)
  {
    second_grad_path<T, D1, D3, Diagonal>(*work);
  }
};
struct SecondFeatures {
  template <int D1, int D3, bool Diagonal> static void run(const SecondWork<T> *work)
  {
    second_features_path<T, D1, D3, Diagonal>(*work);
  }
};

struct Range {
  int64_t first, last;
};

// Consecutive atoms with about `edges` edges together, one atom at least; at most 4096 atoms.
void split(const int64_t *rowptr, Range atoms, int64_t edges, std::vector<Range> &ranges)
{
  ranges.clear();
  for (int64_t first = atoms.first; first < atoms.last;) {
    int64_t last = first + 1;
    while (last < atoms.last && last - first < 4096 && rowptr[last + 1] - rowptr[first] <= edges) ++last;
    ranges.push_back({first, last});
    first = last;
  }
}

// body(k) for k < n on all threads; the first exception is thrown again on the calling one.
template <class Body> void parallel(int64_t wanted, int64_t n, Body &&body)
{
  const int threads = static_cast<int>(std::min<int64_t>(wanted, n));
  if (threads <= 1) {
    for (int64_t k = 0; k < n; ++k) body(k);
    return;
  }
  std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t k = 0; k < n; ++k) {
    try {
      body(k);
    } catch (...) {
#pragma omp critical(equipot_failure)
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

// body(chunk) for all edges in chunks; a chunk's memory stays with its thread.
template <class Body> void over_chunks(const Problem &problem, Side side, Range atoms, Body &&body)
{
  const int64_t *rowptr = side == Side::centre ? problem.given.rowptr : problem.given.transpose_rowptr;
  static thread_local std::vector<Range> of_caller;
  std::vector<Range> &ranges = of_caller;    // inside the lambda, the name above would be that of another thread
  split(rowptr, atoms, chunk_edges, ranges);
  parallel(problem.given.threads, static_cast<int64_t>(ranges.size()), [&](int64_t k) {
    static thread_local Chunk<T> chunk;
    chunk.place(problem, side, ranges[k].first, ranges[k].last);
    body(chunk);
  });
}

// The same by neighbour with a table to add to. Sums over all edges are made in parts that depend on the graph alone.
template <class Body> void over_parts(const Problem &problem, T *dtable, Body &&body)
{
  const equipot_convolution &g = problem.given;
  if (!dtable) {
    over_chunks(problem, Side::neighbour, {0, g.n_in}, [&](Chunk<T> &chunk) { body(chunk, static_cast<T *>(nullptr)); });
    return;
  }
  const int64_t size = g.n_knots * g.order * g.n_weights;
  const int64_t wanted = std::min<int64_t>(16, std::max<int64_t>(1, g.n_edges / 2048));
  std::vector<Range> parts;
  for (int64_t first = 0, p = 0; p < wanted; ++p) {
    int64_t last = first;
    while (last < g.n_in && (p + 1 == wanted || g.transpose_rowptr[last] < g.n_edges * (p + 1) / wanted)) ++last;
    parts.push_back({first, last});
    first = last;
  }
  std::vector<T> others(size * (wanted - 1));
  std::fill(dtable, dtable + size, T(0));
  parallel(problem.given.threads, wanted, [&](int64_t p) {
    static thread_local Chunk<T> chunk;
    T *table = p == 0 ? dtable : others.data() + (p - 1) * size;
    static thread_local std::vector<Range> ranges;
    split(g.transpose_rowptr, parts[p], chunk_edges, ranges);
    for (const Range &range : ranges) {
      chunk.place(problem, Side::neighbour, range.first, range.last);
      body(chunk, table);
    }
  });
  const int64_t block = 4096, n_blocks = (size + block - 1) / block;
  parallel(problem.given.threads, wanted > 1 ? n_blocks : 0, [&](int64_t b) {
    const int64_t last = std::min(size, (b + 1) * block);
    for (int64_t p = 0; p + 1 < wanted; ++p)
      for (int64_t k = b * block; k < last; ++k) dtable[k] += others[p * size + k];
  });
}

void clear_rows(const Chunk<T> &chunk, T *rows, int64_t columns)
{
  if (rows) std::fill(rows + chunk.first_atom * columns, rows + chunk.last_atom * columns, T(0));
}

void forward(const Problem &problem, void *out)
{
  const T *x = static_cast<const T *>(problem.given.x);
  over_chunks(problem, Side::centre, {0, problem.given.n_out}, [&](Chunk<T> &chunk) {
    for (const Path &path : problem.paths) {
      Work<T> work{chunk, path, x};
      work.out = static_cast<T *>(out);
      run_path<Forward>(path, static_cast<const Work<T> *>(&work));
    }
  });
}

void backward_vectors(const Problem &problem, const T *grad, T *dx, T *dvectors)
{
  const equipot_convolution &g = problem.given;
  over_chunks(problem, Side::neighbour, {0, g.n_in}, [&](Chunk<T> &chunk) {
    static thread_local Scratch<T> buffer;
    T *scaled = buffer.reserve((2 * EQUIPOT_L_MAX + 1) * static_cast<std::size_t>(problem.widest));
    clear_rows(chunk, dx, g.dim_in);
    chunk.begin_gradient();
    for (const Path &path : problem.paths) {
      Work<T> work{chunk, path, static_cast<const T *>(g.x), grad};
      work.dx = dx;
      work.need_x = dx != nullptr;
      run_path<BackwardVectors>(path, static_cast<const Work<T> *>(&work), scaled);
    }
    chunk.end_gradient(dvectors);
  });
}

void backward_table(const Problem &problem, const T *grad, T *dx, T *dtable)
{
  const equipot_convolution &g = problem.given;
  over_parts(problem, dtable, [&](Chunk<T> &chunk, T *table) {
    clear_rows(chunk, dx, g.dim_in);
    for (const Path &path : problem.paths) {
      Work<T> work{chunk, path, static_cast<const T *>(g.x), grad};
      work.dx = dx;
      work.need_x = dx != nullptr;
      work.dtable = table;
      run_path<BackwardTable>(path, static_cast<const Work<T> *>(&work));
    }
  });
}

void backward(const Problem &problem, const void *grad, void *dx, void *dvectors, void *dtable)
{
  const T *g = static_cast<const T *>(grad);
  T *features = static_cast<T *>(dx);
  if (dvectors) {
    backward_vectors(problem, g, features, static_cast<T *>(dvectors));
    features = nullptr;
  }
  if (features || dtable) backward_table(problem, g, features, static_cast<T *>(dtable));
}

void second(const Problem &problem, const void *grad, const void *ax, const void *av, void *dgrad, void *dx,
            void *dvectors, void *dtable)
{
  const equipot_convolution &g = problem.given;
  std::vector<T> zeros(ax ? 0 : g.dim_in);
  auto work_for = [&](Chunk<T> &chunk, const Path &path) {
    SecondWork<T> work{{chunk, path, static_cast<const T *>(g.x), static_cast<const T *>(grad)}};
    work.ax = ax ? static_cast<const T *>(ax) : zeros.data();
    work.ax_stride = ax ? g.dim_in : 0;
    return work;
  };
  const T *change = static_cast<const T *>(av);
  if (dgrad)
    over_chunks(problem, Side::centre, {0, g.n_out}, [&](Chunk<T> &chunk) {
      chunk.change_along(change);
      for (const Path &path : problem.paths) {
        SecondWork<T> work = work_for(chunk, path);
        work.out = static_cast<T *>(dgrad);
        run_path<SecondGrad>(path, static_cast<const SecondWork<T> *>(&work));
      }
    });
  if (dx || dtable)
    over_parts(problem, static_cast<T *>(dtable), [&](Chunk<T> &chunk, T *table) {
      chunk.change_along(change);
      clear_rows(chunk, static_cast<T *>(dx), g.dim_in);
      for (const Path &path : problem.paths) {
        SecondWork<T> work = work_for(chunk, path);
        work.dx = static_cast<T *>(dx);
        work.need_x = dx != nullptr;
        work.dtable = table;
        run_path<SecondFeatures>(path, static_cast<const SecondWork<T> *>(&work));
      }
    });
  if (dvectors)
    over_chunks(problem, Side::centre, {0, g.n_out}, [&](Chunk<T> &chunk) {
      chunk.change_along(change);
      second_vectors(chunk, static_cast<const T *>(g.x), ax ? static_cast<const T *>(ax) : zeros.data(),
                     ax ? g.dim_in : 0, static_cast<const T *>(grad), static_cast<T *>(dvectors));
    });
}

struct Block {
  int64_t x_start, dim, mul_in, out_start, mul_out, weight_start;
};

// Rows (i, m) of the atoms of one species.
struct Rows {
  const int64_t *atoms;    // null: atom k is k
  int64_t n_atoms;

  template <class P> void pointers(std::vector<P> &to, P base, int64_t stride, int64_t start, int64_t dim, int64_t mul,
                                   int64_t first, int64_t last) const
  {
    to.clear();
    for (int64_t k = first; k < last; ++k) {
      P row = base + (atoms ? atoms[k] : k) * stride + start;
      for (int64_t m = 0; m < dim; ++m) to.push_back(row + m * mul);
    }
  }
};

// The rows of each species that a map has weights for; all rows, where there is one.
struct Groups {
  void find(const equipot_linear &map, const SpeciesRows *given)
  {
    const bool several = map.species && map.n_species > 1;
    if (several && !given) {
      sorted.sort(map.species, map.n, map.n_species);
      given = &sorted;
    }
    rows.clear();
    for (int64_t s = 0; several && s < map.n_species; ++s)
      rows.push_back({given->atoms() + given->first(s), given->first(s + 1) - given->first(s)});
    if (!several) rows.push_back({nullptr, map.n});
  }

  SpeciesRows sorted;
  std::vector<Rows> rows;
};

void linear_apply(const equipot_linear &map, const LinearCall &call)
{
  const T *from = static_cast<const T *>(call.x), *weights = static_cast<const T *>(call.weight);
  T *to = static_cast<T *>(call.out);
  const bool transposed = call.transposed;
  const int64_t from_stride = transposed ? map.dim_out : map.dim_in, to_stride = transposed ? map.dim_in : map.dim_out;
  const Block *blocks = reinterpret_cast<const Block *>(map.blocks);
  static thread_local Groups of_caller;
  Groups &groups = of_caller;    // inside the lambdas, the name above would be that of another thread
  groups.find(map, call.rows);

  // Weights are packed first, all panels side by side; then pieces of rows are multiplied.
  struct Panel {
    const T *weight;
    int64_t k, n, panel;
    T *to;
  };
  struct Piece {
    const Block *block;
    Packed<T> packed;
    const Rows *rows;
    int64_t first, last;
  };
  static thread_local std::vector<Panel> new_panels;
  static thread_local std::vector<Piece> all_pieces;
  std::vector<Panel> &panels = new_panels;
  std::vector<Piece> &pieces = all_pieces;
  panels.clear();
  pieces.clear();
  int64_t of_species = 0, n_species = 0, covered = 0;
  for (int64_t b = 0; b < map.n_blocks; ++b) {
    of_species += Packed<T>::size(transposed ? blocks[b].mul_out : blocks[b].mul_in,
                                  transposed ? blocks[b].mul_in : blocks[b].mul_out);
    covered += blocks[b].dim * (transposed ? blocks[b].mul_in : blocks[b].mul_out);
  }
  for (const Rows &rows : groups.rows) n_species += rows.n_atoms > 0;
  static thread_local Scratch<T> memory;
  T *scratch = call.packed ? nullptr : memory.reserve(static_cast<std::size_t>(n_species * of_species));
  for (std::size_t s = 0; s < groups.rows.size(); ++s) {
    const Rows &rows = groups.rows[s];
    if (rows.n_atoms == 0) continue;
    bool is_new = true;
    T *next = scratch;
    if (call.packed)
      next = static_cast<T *>(call.packed->panels(static_cast<int64_t>(s), transposed, of_species * sizeof(T), is_new));
    else scratch += of_species;
    for (int64_t b = 0; b < map.n_blocks; ++b) {
      const Block &block = blocks[b];
      const int64_t k = transposed ? block.mul_out : block.mul_in, n = transposed ? block.mul_in : block.mul_out;
      const T *matrix = weights + static_cast<int64_t>(s) * map.n_weights + block.weight_start;
      for (int64_t p = 0; is_new && p < Packed<T>::n_panels(n); ++p)
        panels.push_back({matrix, k, n, p, next + p * k * panel_columns<T>});
      const int64_t step = std::max<int64_t>(1, 20 * tile_rows / block.dim);
      for (int64_t first = 0; first < rows.n_atoms; first += step)
        pieces.push_back({&block, {k, n, next}, &rows, first, std::min(rows.n_atoms, first + step)});
      next += Packed<T>::size(k, n);
    }
  }
  if (covered < to_stride && !call.adds) std::fill(to, to + map.n * to_stride, T(0));
  parallel(map.threads, static_cast<int64_t>(panels.size()), [&](int64_t p) {
    const Panel &panel = panels[p];
    pack_panel(panel.weight, panel.k, panel.n, transposed, panel.panel, panel.to);
  });
  parallel(map.threads, static_cast<int64_t>(pieces.size()), [&](int64_t p) {
    static thread_local std::vector<const T *> sources;
    static thread_local std::vector<T *> targets;
    const Piece &piece = pieces[p];
    const Block &block = *piece.block;
    piece.rows->pointers(sources, from, from_stride, transposed ? block.out_start : block.x_start, block.dim,
                         piece.packed.k, piece.first, piece.last);
    piece.rows->pointers(targets, to, to_stride, transposed ? block.x_start : block.out_start, block.dim,
                         piece.packed.n, piece.first, piece.last);
    multiply(sources.data(), targets.data(), static_cast<int64_t>(sources.size()), piece.packed, call.adds);
  });
}

void linear_weights(const equipot_linear &map, const void *x, const void *grad, void *dweight)
{
  const T *from = static_cast<const T *>(x), *gradient = static_cast<const T *>(grad);
  T *to = static_cast<T *>(dweight);
  const Block *blocks = reinterpret_cast<const Block *>(map.blocks);
  Groups sorted;
  sorted.find(map, nullptr);
  struct Part {
    const Block *block;
    const Rows *rows;
    T *to;
    int64_t first;    // input channel
  };
  constexpr int64_t part_channels = together_tiles * tile_rows;
  std::vector<Part> parts;
  std::fill(to, to + map.n_species * map.n_weights, T(0));
  for (std::size_t s = 0; s < sorted.rows.size(); ++s)
    for (int64_t b = 0; b < map.n_blocks && sorted.rows[s].n_atoms > 0; ++b)
      for (int64_t first = 0; first < blocks[b].mul_in; first += part_channels)
        parts.push_back({&blocks[b], &sorted.rows[s],
                         to + static_cast<int64_t>(s) * map.n_weights + blocks[b].weight_start, first});
  parallel(map.threads, static_cast<int64_t>(parts.size()), [&](int64_t k) {
    static thread_local std::vector<const T *> sources, gradients;
    static thread_local Scratch<T> memory;
    const Part &part = parts[k];
    const Block &block = *part.block;
    const int64_t channels = std::min<int64_t>(part_channels, block.mul_in - part.first), stride = block.mul_out;
    T *tiles = memory.reserve(static_cast<std::size_t>(together_rows * (part_channels + panel_columns<T>)));
    T *panel = tiles + together_rows * part_channels;
    part.rows->pointers(sources, from, map.dim_in, block.x_start + part.first, block.dim, block.mul_in, 0, part.rows->n_atoms);
    part.rows->pointers(gradients, gradient, map.dim_out, block.out_start, block.dim, block.mul_out, 0, part.rows->n_atoms);
    const int64_t n_rows = static_cast<int64_t>(sources.size());
    for (int64_t row = 0; row < n_rows; row += together_rows) {
      const int64_t n = std::min<int64_t>(together_rows, n_rows - row);
      for (int64_t c = 0; c < channels; c += tile_rows)
        for (int64_t r = 0; r < n; ++r)
          std::copy_n(sources[row + r] + c, std::min<int64_t>(tile_rows, channels - c), tiles + c * n + r * tile_rows);
      for (int64_t first = 0; first < block.mul_out; first += panel_columns<T>) {
        const int64_t width = std::min<int64_t>(panel_columns<T>, block.mul_out - first);
        const auto run = width > lanes<T> ? accumulate<T, 2> : accumulate<T, 1>;
        run(tiles, channels, gradients.data() + row, n, width, panel, part.to + part.first * stride + first, stride);
        for (int64_t r = 0; r < n; ++r) gradients[row + r] += panel_columns<T>;
      }
    }
  });
}

// row(i) for all atoms, some at a time.
template <class Row> void over_rows(const equipot_gating &gate, Row &&row)
{
  constexpr int64_t together = 32;
  parallel(gate.threads, (gate.n + together - 1) / together, [&](int64_t k) {
    for (int64_t i = k * together; i < std::min(gate.n, (k + 1) * together); ++i) row(i);
  });
}

const T *row_of(const void *rows, int64_t i, int64_t columns) { return static_cast<const T *>(rows) + i * columns; }
T *row_of(void *rows, int64_t i, int64_t columns) { return static_cast<T *>(rows) + i * columns; }

void gate(const equipot_gating &g, const void *x, void *out)
{
  over_rows(g, [&](int64_t i) { gate_row<T>(g, row_of(x, i, g.dim_in), row_of(out, i, g.dim_out)); });
}

void gate_backward(const equipot_gating &g, const void *x, const void *grad, void *dx)
{
  over_rows(g, [&](int64_t i) {
    gate_row_backward<T>(g, row_of(x, i, g.dim_in), row_of(grad, i, g.dim_out), row_of(dx, i, g.dim_in));
  });
}

void gate_second(const equipot_gating &g, const void *x, const void *grad, const void *a, void *dgrad, void *dx)
{
  over_rows(g, [&](int64_t i) {
    gate_row_second<T>(g, row_of(x, i, g.dim_in), row_of(grad, i, g.dim_out), row_of(a, i, g.dim_in),
                       row_of(dgrad, i, g.dim_out), row_of(dx, i, g.dim_in));
  });
}

constexpr int n_chains = n_registers - 4;

void burn(int64_t rounds)
{
  const Vec<T> factor = Vec<T>{} + T(0.999), term = Vec<T>{} + T(1e-3);
  Vec<T> sum[n_chains];
  for (int i = 0; i < n_chains; ++i) sum[i] = Vec<T>{} + T(i);    // equal chains would be computed once
  for (int64_t k = 0; k < rounds; ++k) {
    EQUIPOT_UNROLL for (int i = 0; i < n_chains; ++i) sum[i] = sum[i] * factor + term;
  }
  T total = 0;
  for (const Vec<T> &chain : sum) total += lane_sum<T>(chain);
  // Seen from outside, so that the work cannot be left out.
  [[maybe_unused]] static volatile T sink;
  sink = total;
}

}    // namespace
}    // namespace EQUIPOT_ISA_NAME

#define EQUIPOT_TEXT(x) #x
#define EQUIPOT_STRING(x) EQUIPOT_TEXT(x)
extern const Kernels EQUIPOT_KERNELS;
const Kernels EQUIPOT_KERNELS = {EQUIPOT_STRING(EQUIPOT_ISA_NAME), &EQUIPOT_ISA_NAME::forward,
                                 &EQUIPOT_ISA_NAME::backward,      &EQUIPOT_ISA_NAME::second,
                                 &EQUIPOT_ISA_NAME::linear_apply, &EQUIPOT_ISA_NAME::linear_weights,
                                 &EQUIPOT_ISA_NAME::gate,         &EQUIPOT_ISA_NAME::gate_backward,
                                 &EQUIPOT_ISA_NAME::gate_second,
                                 &EQUIPOT_ISA_NAME::burn,          EQUIPOT_ISA_NAME::n_chains *
                                                                       EQUIPOT_ISA_NAME::lanes<EQUIPOT_ISA_NAME::T>};

}    // namespace equipot
