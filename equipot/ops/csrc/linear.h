// Matrix products of the blocks of a feature: rows are (atom, m) pairs scattered in memory, columns are channels.
//
// A panel of two vectors of columns of the weights is packed side by side and stays in the first cache, while tiles
// of rows run over it with all sums in registers.
#pragma once

#include "chunk.h"

namespace equipot {
namespace EQUIPOT_ISA_NAME {

// Rows (and, for the weights' gradient, input channels) of a tile: two vectors of sums each.
constexpr int tile_rows = n_registers >= 32 ? 12 : 6;
template <class T> constexpr int panel_columns = 2 * lanes<T>;

// A block of weights (k, n), packed into panels of columns, the last one filled up with zeros.
template <class T> struct Packed {
  int64_t k, n;
  const T *panels;
  static int64_t n_panels(int64_t n) { return (n + panel_columns<T> - 1) / panel_columns<T>; }
  static int64_t size(int64_t k, int64_t n) { return k * n_panels(n) * panel_columns<T>; }
  const T *panel(int64_t p) const { return panels + p * k * panel_columns<T>; }
};

// weight (rows, columns) or, transposed, (columns, rows).
template <class T> void pack_panel(const T *weight, int64_t k, int64_t n, bool transposed, int64_t panel, T *to)
{
  const int64_t first = panel * panel_columns<T>, width = std::min<int64_t>(panel_columns<T>, n - first);
  if (!transposed) {
    for (int64_t row = 0; row < k; ++row) {
      T *line = to + row * panel_columns<T>;
      std::copy(weight + row * n + first, weight + row * n + first + width, line);
      std::fill(line + width, line + panel_columns<T>, T(0));
    }
    return;
  }
  constexpr int64_t block = 16;    // rows at a time, so that reads and writes share cache lines
  for (int64_t start = 0; start < k; start += block) {
    const int64_t end = std::min(k, start + block);
    for (int64_t column = 0; column < panel_columns<T>; ++column) {
      const T *line = weight + (first + column) * k;
      for (int64_t row = start; row < end; ++row)
        to[row * panel_columns<T> + column] = column < width ? line[row] : T(0);
    }
  }
}

// rows[r] · panel -> R rows of sums, in V vectors each.
template <class T, int R, int V>
EQUIPOT_INLINE void multiply_tile(const T *const *rows, const T *panel, int64_t k, Vec<T> (*sum)[V])
{
  for (int64_t c = 0; c < k; ++c) {
    Vec<T> w[V];
    EQUIPOT_UNROLL for (int v = 0; v < V; ++v) w[v] = load(panel + c * panel_columns<T> + v * lanes<T>);
    EQUIPOT_UNROLL for (int r = 0; r < R; ++r) {
      const T x = rows[r][c];
      EQUIPOT_UNROLL for (int v = 0; v < V; ++v) sum[r][v] += x * w[v];
    }
  }
}

// V vectors of sums to `width` columns, of which the last vector holds one at least.
template <class T, int V> EQUIPOT_INLINE void write_tile_row(T *to, const Vec<T> *sum, int64_t width)
{
  constexpr int whole = (V - 1) * lanes<T>;
  if constexpr (V == 2) store(to, sum[0]);
  if (width >= whole + lanes<T>) store(to + whole, sum[V - 1]);
  else store(to + whole, sum[V - 1], static_cast<int>(width - whole));
}

// The reverse.
template <class T, int V> EQUIPOT_INLINE void read_tile_row(const T *from, Vec<T> *sum, int64_t width)
{
  constexpr int whole = (V - 1) * lanes<T>;
  if constexpr (V == 2) sum[0] = load(from);
  sum[V - 1] = load(from + whole, static_cast<int>(std::min<int64_t>(width - whole, lanes<T>)));
}

template <class T, int R, int V>
void multiply_rows(const T *const *rows, T *const *to, const Packed<T> &w, int64_t panel, bool adds)
{
  Vec<T> sum[R][V] = {};
  const int64_t first = panel * panel_columns<T>;
  if (adds)
    for (int r = 0; r < R; ++r) read_tile_row<T, V>(to[r] + first, sum[r], w.n - first);
  multiply_tile<T, R, V>(rows, w.panel(panel), w.k, sum);
  for (int r = 0; r < R; ++r) write_tile_row<T, V>(to[r] + first, sum[r], w.n - first);
}

// Fewer rows than a tile has: a pass over the weights costs as much for few rows as for many.
template <class T, int R, int V>
void multiply_rest(const T *const *rows, T *const *to, int64_t n_rows, const Packed<T> &w, int64_t panel, bool adds)
{
  if constexpr (R > 0) {
    if (n_rows == R) multiply_rows<T, R, V>(rows, to, w, panel, adds);
    else multiply_rest<T, R - 1, V>(rows, to, n_rows, w, panel, adds);
  }
}

template <class T, int V>
void multiply_panel(const T *const *rows, T *const *to, int64_t n_rows, const Packed<T> &w, int64_t panel, bool adds)
{
  int64_t r = 0;
  for (; r + tile_rows <= n_rows; r += tile_rows) multiply_rows<T, tile_rows, V>(rows + r, to + r, w, panel, adds);
  multiply_rest<T, tile_rows - 1, V>(rows + r, to + r, n_rows - r, w, panel, adds);
}

// Any number of rows; adds: to what `to` holds.
template <class T> void multiply(const T *const *rows, T *const *to, int64_t n_rows, const Packed<T> &w, bool adds)
{
  for (int64_t panel = 0; panel < Packed<T>::n_panels(w.n); ++panel)
    if (w.n - panel * panel_columns<T> > lanes<T>) multiply_panel<T, 2>(rows, to, n_rows, w, panel, adds);
    else multiply_panel<T, 1>(rows, to, n_rows, w, panel, adds);
}

// The gradient of weights: sums over rows of products of input and output channels. Features lie far apart in memory,
// often a power of two of bytes, so some rows are copied side by side first; that takes less time than cache misses.
constexpr int together_rows = 256, together_tiles = 4;

// Adds R input channels by V vectors of output channels to `to`, over rows with tile_rows and V vectors each.
template <class T, int R, int V>
void accumulate_tile(const T *x, const T *grad, int64_t n_rows, int64_t width, T *to, int64_t stride)
{
  Vec<T> sum[R][V];
  for (int r = 0; r < R; ++r) read_tile_row<T, V>(to + r * stride, sum[r], width);
  for (int64_t row = 0; row < n_rows; ++row, x += tile_rows, grad += V * lanes<T>) {
    Vec<T> g[V];
    EQUIPOT_UNROLL for (int v = 0; v < V; ++v) g[v] = load(grad + v * lanes<T>);
    EQUIPOT_UNROLL for (int r = 0; r < R; ++r)
      EQUIPOT_UNROLL for (int v = 0; v < V; ++v) sum[r][v] += x[r] * g[v];
  }
  for (int r = 0; r < R; ++r) write_tile_row<T, V>(to + r * stride, sum[r], width);
}

// The same for at most R channels.
template <class T, int R, int V>
void accumulate_rest(int64_t channels, const T *x, const T *grad, int64_t n_rows, int64_t width, T *to, int64_t stride)
{
  if (channels == R) return accumulate_tile<T, R, V>(x, grad, n_rows, width, to, stride);
  if constexpr (R > 1) accumulate_rest<T, R - 1, V>(channels, x, grad, n_rows, width, to, stride);
}

// A column panel of the gradient for some input channels; x in tiles of tile_rows channels.
template <class T, int V>
void accumulate(const T *x, int64_t channels, const T *const *grad, int64_t n_rows, int64_t width, T *scratch, T *to,
                int64_t stride)
{
  for (int64_t row = 0; row < n_rows; ++row) {
    Vec<T> g[V] = {};
    read_tile_row<T, V>(grad[row], g, width);
    for (int v = 0; v < V; ++v) store(scratch + (row * V + v) * lanes<T>, g[v]);
  }
  for (int64_t c = 0; c < channels; c += tile_rows, x += n_rows * tile_rows)
    accumulate_rest<T, tile_rows, V>(std::min<int64_t>(tile_rows, channels - c), x, scratch, n_rows, width, to + c * stride,
                                     stride);
}

}    // namespace EQUIPOT_ISA_NAME
}    // namespace equipot
