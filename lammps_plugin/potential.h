// What the pair style needs of a potential, whatever computes it. Knows neither LAMMPS nor torch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "failure.h"

namespace equipot {

// The atoms and edges of one process. Centres are the first n_centres atoms, the others are ghosts.
// The caller owns the memory, which must outlive the calculation.
struct Graph {
  std::int64_t n_centres;
  std::int64_t n_atoms;
  std::int64_t n_edges;
  const std::int64_t *species;          // (n_atoms) index into the model's type names
  const std::int64_t *edge_index;       // (2, n_edges) centre, ascending; then neighbour
  const double *edge_vectors;           // (n_edges, 3) Å, r_ij = r_j - r_i
  const double *positions = nullptr;    // (n_atoms, 3) Å, only for moments; r_ij is their difference
  std::set<std::string> wanted;         // other outputs that this step needs; torch computes all of them
  double *deviation = nullptr;          // (n_deviation) eV, see equipot.h; null: not computed
  // Called for each member of the committee with d(E_k - E)/dr_ij, (n_edges, 3) eV/Å; empty, in all processes: not
  // computed.
  std::function<void(const double *)> member;
};

// Valid until the next evaluation.
struct Prediction {
  const double *atomic_energies = nullptr;    // (n_centres) eV
  const double *edge_gradient = nullptr;      // (n_edges, 3) dE/dr_ij in eV/Å; E is the sum over all processes
  // (n_edges, 3) each, for x, y and z: sum over atoms k of (r_k - r_j) dE_k/dr_ij in eV. Null, unless the graph has
  // positions. E_k depends on the edge ij through messages, so k may be several cutoffs away.
  const double *edge_moments[3] = {nullptr, nullptr, nullptr};
  // Other outputs of the network for each centre: (n_centres, columns), with one number where columns is 0.
  struct Output {
    std::string name;
    int columns;
    const double *values;
  };
  std::vector<Output> others;
};

// Rows of all atoms that processes exchange, in host memory.
struct HostRows {
  char *data;
  const std::vector<int> *places;    // of rows in data, -1: not there; null: all rows, in their order
  std::size_t bytes;                 // of a row
  bool single;                       // of float, else of double
};

// The two exchanges between processes. They are collective.
struct Exchange {
  bool needed;                                             // else there is nothing to exchange
  std::function<void(const HostRows &)> fill_ghosts;       // copy each centre's row to its ghosts everywhere
  std::function<void(const HostRows &)> collect_ghosts;    // add each ghost's row to the row of its centre
};

class Potential {
 public:
  virtual ~Potential() = default;

  // Every process must call this, even without atoms, because the exchanges are collective. Throws ModelError.
  virtual const Prediction &evaluate(const Graph &graph, const Exchange &exchange, int threads) = 0;

  // Bytes of the widest row that is exchanged.
  virtual std::size_t widest_row() const = 0;

  // On a GPU only the rows that travel between processes move to host memory: those of `border`, rows of owned atoms in
  // ascending order, and of ghosts, which are the last.
  virtual bool on_gpu() const { return false; }
  virtual void choose_travelling(const std::vector<int> &, std::int64_t /* n_centres */, std::int64_t /* n_rows */) {}

  std::vector<std::string> type_names;
  std::vector<std::vector<double>> pair_cutoffs;             // (species, species) Å
  double cutoff = 0;                                         // Å, the longest
  std::vector<std::pair<std::string, int>> other_outputs;    // name and columns of Prediction::others
  std::int64_t n_members = 0, n_deviation = 0;               // of a committee; 0: none, or not on this device
};

// The potential of a model file's bytes on the CPU, computed by the runtime. Throws ModelError.
std::unique_ptr<Potential> open_runtime(const std::string &bytes);

// The device for `cpu`, `cuda` (the processes of a machine share its GPUs in turn) or `cuda:N`, for the local_rank-th
// process on its machine: "cpu" or "cuda:N". Throws ModelError.
std::string open_device(const std::string &wish, int local_rank);

// The name of a GPU, e.g. "cuda:0 (NVIDIA H100 80GB HBM3)". Throws ModelError.
std::string description(const std::string &gpu);

// The potential of a model file's bytes on a device of `open_device`. Throws ModelError.
std::unique_ptr<Potential> open_potential(const std::string &bytes, const std::string &device);

}    // namespace equipot
