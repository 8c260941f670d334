// The caller's problem with its paths decoded. Checked once, in double precision; every instruction set uses it.
#pragma once

#include "engine.h"

#include <string>
#include <vector>

namespace equipot {

// One nonzero coefficient of P: matrix entry (m3, m1) += coefficient · monomial.
struct Term {
  int monomial;    // counted from degree 0
  double coefficient;
};

struct Path {
  int l_in, l_edge, l_out;
  int64_t mul, x_start, out_start, out_stride, weight_start;
  bool diagonal;     // P is `scale` times the identity, for l_edge = 0
  double scale;
  std::vector<int> first_term;    // (n_entries + 1); entry m3 · (2 l_in + 1) + m1
  std::vector<Term> terms;

  int entries() const { return (2 * l_in + 1) * (2 * l_out + 1); }
};

// Sizes and the table, without the paths and the graph. Throws std::invalid_argument.
void check_sizes(const equipot_convolution &given);

// The gate's sizes and blocks. Throws std::invalid_argument.
void check_gate(const equipot_gating &gate);

struct Problem {
  // Throws std::invalid_argument. A graph that lies in a GPU's memory cannot be checked from here.
  explicit Problem(const equipot_convolution &given, bool graph_on_host = true);

  const equipot_convolution &given;
  std::vector<Path> paths;
  int l_max = 0;
  int64_t widest = 0;    // largest mul
};

}    // namespace equipot
