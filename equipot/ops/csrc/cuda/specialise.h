// The text of the kernels for one set of paths: tables and straight-line code for its matrices P, in front of the
// embedded sources (*.cu), and how the work is spread over blocks and warps.
#pragma once

#include "../problem.h"

#include <string>

namespace equipot {
namespace cuda {

enum class Sum { centre, neighbour, row };    // centre.cu, neighbour.cu, table.cu

struct Kernel {
  Sum sum;
  bool second;            // derivatives of Q instead of values and derivatives of S
  bool want_x, want_v;    // what is summed by neighbour

  const char *name() const;
};

struct Layout {
  int slabs, warps;        // blocks for each atom or piece, and the warps of each
  bool covers_input;       // every column of x is read by some path
  std::string source;
};

// Throws std::invalid_argument where the paths read overlapping blocks of x.
Layout specialise(const Problem &problem, const Kernel &kernel);

// The kernels of rows.cu and gate.cu, and those of graph.cu.
std::string specialise_rows(const equipot_convolution &problem);
std::string specialise_gate(const equipot_gating &gate);
std::string graph_source();

// An embedded source with what it includes; see CMakeLists.txt.
std::string embedded(const std::string &name);

}    // namespace cuda
}    // namespace equipot
