// An equipot model file, run segment by segment. Depends on torch, not on LAMMPS.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <torch/script.h>

#include "potential.h"
#include "sentence.h"

namespace equipot {

// In host memory. If the model is on a GPU, it is valid until the next evaluation.
struct TensorPrediction {
  torch::Tensor atomic_energies;    // (n_centres) eV, float64
  torch::Tensor edge_gradient;      // (n_edges, 3) dE/dr_ij in eV/Å, float64; E is the sum over all processes
  // Other outputs of the network for each atom, by name: (n_centres) or (n_centres, columns), float64.
  std::vector<std::pair<std::string, torch::Tensor>> others;
  // (n_edges, 3) each, for x, y and z: sum over atoms k of (r_k - r_j) dE_k/dr_ij in eV, float64. Empty, unless the
  // graph has positions. E_k depends on the edge ij through messages, so k may be several cutoffs away.
  std::vector<torch::Tensor> edge_moments;
};

// The two exchanges between processes. Each takes a contiguous tensor of shape (n_atoms, columns) on the model's device.
struct TensorExchange {
  std::function<void(torch::Tensor &)> fill_ghosts;        // copy each centre's row to its ghosts everywhere
  std::function<void(torch::Tensor &)> collect_ghosts;     // add each ghost's row to the row of its centre
};

class TorchModel {
 public:
  // Loads the bytes of a model file, checks its version and runs its self-test on the device. Throws ModelError.
  TorchModel(const std::string &bytes, c10::Device device);
  ~TorchModel();

  // Every process must call this, even without atoms, because the exchanges are collective. Throws ModelError.
  TensorPrediction evaluate(const Graph &graph, const TensorExchange &exchange);

  // Bytes of the widest row that is exchanged.
  size_t widest_row() const;

  std::vector<std::string> type_names;
  std::vector<std::vector<double>> pair_cutoffs;    // (species, species) Å
  double cutoff;                                    // Å, the longest
  std::vector<std::pair<std::string, int>> other_outputs;    // name and columns (0: one number) of TensorPrediction::others

 private:
  void read_attributes();
  void self_test();
  torch::Tensor read_out(const std::vector<torch::jit::IValue> &arguments, TensorPrediction &prediction);
  torch::Tensor outgoing(int64_t k, const torch::Tensor &features);
  torch::Tensor interact(int64_t k, const torch::Tensor &features, const torch::Tensor &sent,
                        const torch::Tensor &species, const torch::Tensor &vectors,
                        const torch::jit::IValue &topology);
  torch::jit::Module module;
  c10::Device device;
  std::unique_ptr<class Staging> staging;
  bool in_halves;
  int64_t n_layers;
  std::vector<int64_t> feature_dims;
  torch::Dtype dtype;
};

void set_threads(int threads);

}    // namespace equipot
