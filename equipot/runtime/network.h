// A program as operators that are ready to run, and the memory of a run.
#pragma once

#include "buffer.h"
#include "engine.h"
#include "equipot.h"
#include "kernels.h"
#include "problem.h"
#include "program.h"

#include <memory>
#include <string>
#include <vector>

namespace equipot {

// A convolution of a run: the arguments of its kernel, and its paths decoded once.
struct Convolution {
  explicit Convolution(const equipot_convolution &arguments) : given(arguments), problem(given, false) {}
  Convolution(const Convolution &) = delete;

  equipot_convolution given;
  Problem problem;
};

template <class T> class Operator;

// What is known of a value before any run.
struct Value {
  int64_t columns = 0;
  bool everywhere = false;    // it has rows for ghosts, too
  bool moves = false;         // it depends on positions
};

// The memory slot of each value and of each gradient; -1: none. See plan.h.
struct Layout {
  std::vector<int64_t> of_value, of_gradient;
  int64_t n_slots = 0;
};

// The network of a program. It never changes, so several runs may use it at once.
template <class T> class Network {
 public:
  // Throws std::invalid_argument for a program that does not fit together.
  explicit Network(const Program &program);
  ~Network();

  std::vector<Value> values;
  std::vector<std::unique_ptr<Operator<T>>> operators;
  std::vector<equipot_convolution> convolutions;
  std::size_t n_linear = 0;            // linear maps
  std::vector<std::string> outputs;    // names, by number
  std::vector<T> inverse_cutoffs;      // (1) or (n_species, n_species)
  Layout once, repeated;               // for one backward pass, and for several
  int64_t n_species = 0;
  int64_t n_exchanges = 0, widest_exchange = 0;    // columns
  int64_t n_members = 0, n_deviation = 0;          // see uncertainty.cpp
};

// One evaluation at a time. Memory grows to the largest evaluation and stays.
template <class T> class Run {
 public:
  explicit Run(const Network<T> &network);

  // Throws std::invalid_argument for edges that are not sorted or name atoms outside, and std::runtime_error.
  void evaluate(const equipot_evaluation &given);

  const Network<T> &network;
  const equipot_evaluation *given = nullptr;
  std::vector<std::unique_ptr<Convolution>> convolutions;
  std::vector<double> seen;             // (n_edges, 3) the edge vectors that the network sees; empty: those given
  std::vector<int64_t> seen_edges;      // edges that differ from those given
  Buffer<T> vectors, vector_gradient, inverse_cutoffs, scratch;
  double *edge_gradient = nullptr;      // of the present cotangent, (n_edges, 3)
  int cotangent = 0;                    // 0: of the sum of all energies; 1 to 3: of energies times x, y or z
  int64_t member = -1;                  // or, if it is not negative, of what this member adds to the energies

  void apply(const equipot_linear &map, std::size_t number, bool everywhere, LinearCall call);

  T *value(int64_t v) { return slots[layout().of_value[v]].data(); }
  T *gradient(int64_t v) { return slots[layout().of_gradient[v]].data(); }
  int64_t rows(bool everywhere) const { return everywhere ? given->n_atoms : given->n_centres; }
  // The cotangent of the energy of a centre.
  double of_energy(int64_t i) const
  {
    if (member >= 0) return 0.0;
    return cotangent == 0 ? 1.0 : given->positions[3 * i + cotangent - 1];
  }
  void exchange(equipot_exchange function, T *rows, int64_t columns);

  // Gradients of sent features for the first cotangent, before and after the exchange; those of the others need them.
  std::vector<std::vector<T>> before_exchange, after_exchange;

 private:
  void place();
  bool differentiates() const;
  void differentiate(double *gradient);
  const Layout &layout() const { return given->positions || given->member ? network.repeated : network.once; }
  std::vector<Buffer<T>> slots;
  std::vector<int64_t> numbers;         // in each slot
  Buffer<int64_t> rowptr, transpose_rowptr, transpose_edges;
  std::vector<PackedWeights> packed;        // of each linear map
  SpeciesRows centres_by_species, atoms_by_species;
};

// body(first, last) for ranges of n rows on several threads, where the work pays for them.
template <class Body> void over_rows(int64_t threads, int64_t n, int64_t numbers_per_row, Body &&body)
{
  constexpr int64_t worthwhile = 1 << 15;
  const int64_t most = n * numbers_per_row < worthwhile ? 1 : threads;
  const int64_t parts = most < 1 ? 1 : most;
  if (parts == 1) return body(int64_t(0), n);
#pragma omp parallel for num_threads(static_cast<int>(parts))
  for (int64_t p = 0; p < parts; ++p) body(n * p / parts, n * (p + 1) / parts);
}

}    // namespace equipot
