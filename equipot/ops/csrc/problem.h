// The caller's problem with its paths decoded. Checked once, in double precision; every instruction set uses it.
#pragma once

#include "engine.h"

#include <string>
#include <vector>

namespace equipot {

// One nonzero coefficient of P: matrix entry (m3, m1) += coefficient · monomial.
struct Term {
  int source;    // the monomial, counted from degree 0
  float rounded;
  double coefficient;
};

inline float coefficient_of(const Term &term, float) { return term.rounded; }
inline double coefficient_of(const Term &term, double) { return term.coefficient; }

struct Path {
  int l_in, l_edge, l_out;
  int64_t mul, x_start, out_start, out_stride, weight_start;
  bool diagonal;     // P is `scale` times the identity, for l_edge = 0
  double scale;
  std::vector<int> first_term;    // (n_entries + 1); entry m3 · (2 l_in + 1) + m1
  std::vector<Term> terms;
  std::vector<int> by_length;    // the entries, those with fewer terms first
  std::vector<int> first_entry;    // (n_monomials(l_edge) + 1) where the terms of each monomial begin in by_monomial:
  std::vector<Term> by_monomial;   // the same terms, each with its entry in place of its monomial

  int length(int entry) const { return first_term[entry + 1] - first_term[entry]; }
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
