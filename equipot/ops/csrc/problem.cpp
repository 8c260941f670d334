#include "problem.h"

#include "guarded.h"
#include "monomials.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <type_traits>

namespace equipot {
namespace {

// The sentence is put together only where it is needed: a call for a few atoms takes less time than some sentences.
template <class Sentence> void require(bool good, Sentence &&sentence)
{
  if (good) return;
  if constexpr (std::is_invocable_v<Sentence>) throw std::invalid_argument(sentence());
  else throw std::invalid_argument(sentence);
}

std::string text(int64_t number) { return std::to_string(number); }

Path decode(const int64_t *field, const double *coupling, const equipot_convolution &given, const std::string &name)
{
  // So small that no product of two overflows.
  for (int k = 0; k < EQUIPOT_PATH_FIELDS; ++k)
    require(field[k] >= 0 && field[k] <= INT32_MAX, [&] { return name + " holds the number " + text(field[k]); });
  Path path{};
  path.l_in = static_cast<int>(field[0]);
  path.l_edge = static_cast<int>(field[1]);
  path.l_out = static_cast<int>(field[2]);
  path.mul = field[3];
  path.x_start = field[4];
  path.out_start = field[5];
  path.out_stride = field[6];
  path.weight_start = field[7];
  const int d1 = 2 * path.l_in + 1, d3 = 2 * path.l_out + 1;
  require(path.mul > 0 && path.x_start >= 0 && path.x_start + d1 * path.mul <= given.dim_in,
          [&] { return name + " reads beyond the " + text(given.dim_in) + " columns of the features"; });
  require(path.out_start >= 0 && path.out_stride >= path.mul &&
              path.out_start + (d3 - 1) * path.out_stride + path.mul <= given.dim_out,
          [&] { return name + " writes beyond the " + text(given.dim_out) + " columns of the output"; });
  require(path.weight_start >= 0 && path.weight_start + path.mul <= given.n_weights,
          [&] { return name + " reads beyond the " + text(given.n_weights) + " columns of the radial table"; });

  const int n = n_monomials(path.l_edge), base = first_monomial(path.l_edge);
  path.first_term.push_back(0);
  path.scale = coupling[0];
  path.diagonal = path.l_edge == 0 && d1 == d3;
  for (int entry = 0; entry < d1 * d3; ++entry) {
    for (int k = 0; k < n; ++k) {
      double c = coupling[k * d1 * d3 + entry];
      if (c != 0.0) path.terms.push_back({base + k, static_cast<float>(c), c});
      bool on_diagonal = entry / d1 == entry % d1;
      if (path.diagonal && std::fabs(c - (on_diagonal ? path.scale : 0.0)) > 1e-14) path.diagonal = false;
    }
    path.first_term.push_back(static_cast<int>(path.terms.size()));
    path.by_length.push_back(entry);
  }
  for (int k = 0; k < n; ++k) {
    path.first_entry.push_back(static_cast<int>(path.by_monomial.size()));
    for (int entry = 0; entry < d1 * d3; ++entry) {
      const double c = coupling[k * d1 * d3 + entry];
      if (c != 0.0) path.by_monomial.push_back({entry, static_cast<float>(c), c});
    }
  }
  path.first_entry.push_back(static_cast<int>(path.by_monomial.size()));
  std::stable_sort(path.by_length.begin(), path.by_length.end(),
                   [&path](int a, int b) { return path.length(a) < path.length(b); });
  return path;
}

void check_graph(const equipot_convolution &g)
{
  require(g.n_in >= 0 && g.n_out >= 0 && g.n_edges >= 0, "the graph has a negative size");
  auto rows = [&g](const int64_t *pointer, int64_t n, const char *name) {
    bool good = pointer[0] == 0 && pointer[n] == g.n_edges;
    for (int64_t i = 0; i < n && good; ++i) good = pointer[i] <= pointer[i + 1];
    require(good, [&] {
      return std::string(name) + " does not ascend from 0 to the number of edges, " + text(g.n_edges);
    });
  };
  rows(g.rowptr, g.n_out, "rowptr");
  rows(g.transpose_rowptr, g.n_in, "transpose_rowptr");
  bool good = true;
  for (int64_t e = 0; e < g.n_edges; ++e)
    good &= g.centre[e] >= 0 && g.centre[e] < g.n_out && g.neighbour[e] >= 0 && g.neighbour[e] < g.n_in &&
            g.transpose_edges[e] >= 0 && g.transpose_edges[e] < g.n_edges;
  require(good, "an edge names an atom or an edge outside the graph");
}

}    // namespace

void check_gate(const equipot_gating &gate)
{
  check_size(gate, "equipot_gating");
  auto require = [](bool good, const char *sentence) {
    if (!good) throw std::invalid_argument(sentence);
  };
  require(gate.dtype == EQUIPOT_FLOAT32 || gate.dtype == EQUIPOT_FLOAT64, "dtype is neither 4 nor 8 bytes");
  require(gate.threads >= 1 && gate.n >= 0 && gate.dim_in >= 0 && gate.dim_out >= 0, "a size is negative or zero");
  require(gate.dim_in <= INT32_MAX && gate.dim_out <= INT32_MAX, "there are too many columns");
  std::vector<int> read(gate.dim_in, 0), written(gate.dim_out, 0);
  for (int64_t b = 0; b < gate.n_blocks; ++b) {
    const int64_t *f = gate.blocks + b * EQUIPOT_GATE_FIELDS;
    for (int k = 0; k < EQUIPOT_GATE_FIELDS; ++k)
      require(f[k] >= (k == 4 ? -1 : 0) && f[k] <= INT32_MAX, "a block holds a number that is negative or too large");
    require(f[1] > 0 && f[2] > 0, "a block has no size");
    require(f[4] >= 0 || f[1] == 1, "a block of higher order has no gate");
    const int64_t size = f[1] * f[2];
    require(f[0] + size <= gate.dim_in && f[3] + size <= gate.dim_out && f[4] + f[2] <= gate.dim_in,
            "a block lies beyond the columns");
    for (int64_t k = 0; k < size; ++k) ++read[f[0] + k], ++written[f[3] + k];
    for (int64_t k = 0; k < f[2] && f[4] >= 0; ++k) ++read[f[4] + k];
  }
  for (int count : read) require(count == 1, "a column of the input belongs to no block or to several");
  for (int count : written) require(count == 1, "a column of the output belongs to no block or to several");
}

void check_sizes(const equipot_convolution &given)
{
  check_size(given, "equipot_convolution");
  require(given.dtype == EQUIPOT_FLOAT32 || given.dtype == EQUIPOT_FLOAT64,
          [&] { return "dtype is " + text(given.dtype) + " bytes; expected 4 or 8"; });
  require(given.dim_in >= 0 && given.dim_in <= INT32_MAX && given.dim_out >= 0 && given.dim_out <= INT32_MAX,
          [&] {
            return "the features have " + text(given.dim_in) + " and " + text(given.dim_out) + " columns; expected less";
          });
  require(given.threads >= 1, [&] { return "threads is " + text(given.threads) + "; expected 1 or more"; });
  require(given.order == 2 || given.order == 3,
          [&] {
            return "the radial table has " + text(given.order) + " numbers per knot; expected 2 (cubic) or 3 (quintic)";
          });
  require(given.n_knots >= 2,
          [&] { return "the radial table has " + text(given.n_knots) + " knots; expected 2 or more"; });
  require(given.doubled_knot >= 0 && (given.doubled_knot == 0 || given.doubled_knot + 2 < given.n_knots),
          [&] {
            return "knot " + text(given.doubled_knot) + " of " + text(given.n_knots) +
                   " is doubled; expected an inner one, or 0";
          });
}

Problem::Problem(const equipot_convolution &problem, bool graph_on_host) : given(problem)
{
  check_sizes(given);
  if (graph_on_host) check_graph(given);
  std::vector<char> written(given.dim_out, 0);
  int64_t read = 0;
  for (int64_t p = 0; p < given.n_paths; ++p) {
    const std::string name = "path " + text(p);
    const int64_t *field = given.paths + p * EQUIPOT_PATH_FIELDS;
    for (int k = 0; k < 3; ++k)
      require(field[k] >= 0 && field[k] <= EQUIPOT_L_MAX,
              [&] { return name + " has l = " + text(field[k]) + "; expected 0 to 4"; });
    const int64_t size = n_monomials(static_cast<int>(field[1])) * (2 * field[2] + 1) * (2 * field[0] + 1);
    require(read + size <= given.n_coupling, [&] { return "the coupling coefficients end before " + name; });
    paths.push_back(decode(field, given.coupling + read, given, name));
    read += size;
    const Path &path = paths.back();
    for (int m = 0; m < 2 * path.l_out + 1; ++m)
      for (int64_t c = 0; c < path.mul; ++c) {
        char &column = written[path.out_start + m * path.out_stride + c];
        require(column == 0, [&] { return name + " writes a column that another one writes"; });
        column = 1;
      }
    l_max = path.l_edge > l_max ? path.l_edge : l_max;
    widest = path.mul > widest ? path.mul : widest;
  }
  for (char column : written) require(column != 0, "a column of the output belongs to no path");
}

}    // namespace equipot
