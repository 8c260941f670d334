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

// rows[r] · panel -> R rows of sums.
template <class T, int R>
EQUIPOT_INLINE void multiply_tile(const T *const *rows, const T *panel, int64_t k, Vec<T> (*sum)[2])
{
  for (int64_t c = 0; c < k; ++c) {
    const Vec<T> w0 = load(panel + c * panel_columns<T>), w1 = load(panel + c * panel_columns<T> + lanes<T>);
    EQUIPOT_UNROLL for (int r = 0; r < R; ++r) {
      const T x = rows[r][c];
      sum[r][0] += x * w0;
      sum[r][1] += x * w1;
    }
  }
}

// Two vectors of sums to `width` columns.
template <class T> EQUIPOT_INLINE void write_tile_row(T *to, const Vec<T> *sum, int64_t width)
{
  constexpr int L = lanes<T>;
  if (width >= 2 * L) {
    store(to, sum[0]);
    store(to + L, sum[1]);
  } else if (width > L) {
    store(to, sum[0]);
    store(to + L, sum[1], static_cast<int>(width - L));
  } else {
    store(to, sum[0], static_cast<int>(width));
  }
}

// The reverse.
template <class T> EQUIPOT_INLINE void read_tile_row(const T *from, Vec<T> *sum, int64_t width)
{
  constexpr int L = lanes<T>;
  sum[0] = load(from, static_cast<int>(std::min<int64_t>(width, L)));
  if (width > L) sum[1] = load(from + L, static_cast<int>(std::min<int64_t>(width - L, L)));
}

template <class T, int R>
void multiply_rows(const T *const *rows, T *const *to, const Packed<T> &w, int64_t panel, bool adds)
{
  Vec<T> sum[R][2] = {};
  const int64_t first = panel * panel_columns<T>;
  if (adds)
    for (int r = 0; r < R; ++r) read_tile_row(to[r] + first, sum[r], w.n - first);
  multiply_tile<T, R>(rows, w.panel(panel), w.k, sum);
  for (int r = 0; r < R; ++r) write_tile_row(to[r] + first, sum[r], w.n - first);
}

// Fewer rows than a tile has: a pass over the weights costs as much for few rows as for many.
template <class T, int R>
void multiply_rest(const T *const *rows, T *const *to, int64_t n_rows, const Packed<T> &w, int64_t panel, bool adds)
{
  if constexpr (R > 0) {
    if (n_rows == R) multiply_rows<T, R>(rows, to, w, panel, adds);
    else multiply_rest<T, R - 1>(rows, to, n_rows, w, panel, adds);
  }
}

// Any number of rows; adds: to what `to` holds.
template <class T> void multiply(const T *const *rows, T *const *to, int64_t n_rows, const Packed<T> &w, bool adds)
{
  for (int64_t panel = 0; panel < Packed<T>::n_panels(w.n); ++panel) {
    int64_t r = 0;
    for (; r + tile_rows <= n_rows; r += tile_rows) multiply_rows<T, tile_rows>(rows + r, to + r, w, panel, adds);
    multiply_rest<T, tile_rows - 1>(rows + r, to + r, n_rows - r, w, panel, adds);
  }
}

// One tile of the weights' gradient: input channels c … c + R - 1 by two vectors of output channels, over all rows.
template <class T, int R>
void accumulate_tile(const T *const *x, const T *const *grad, int64_t n_rows, int64_t width, T *to, int64_t stride)
{
  constexpr int L = lanes<T>;
  const int n0 = static_cast<int>(std::min<int64_t>(width, L)), n1 = static_cast<int>(std::min<int64_t>(width - n0, L));
  Vec<T> sum[R][2] = {};
  for (int64_t row = 0; row < n_rows; ++row) {
    const Vec<T> g0 = load(grad[row], n0), g1 = n1 > 0 ? load(grad[row] + L, n1) : Vec<T>{};
    EQUIPOT_UNROLL for (int r = 0; r < R; ++r) {
      sum[r][0] += x[row][r] * g0;
      sum[r][1] += x[row][r] * g1;
    }
  }
  for (int r = 0; r < R; ++r) write_tile_row(to + r * stride, sum[r], width);
}

}    // namespace EQUIPOT_ISA_NAME
}    // namespace equipot
