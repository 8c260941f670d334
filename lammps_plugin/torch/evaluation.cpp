// One evaluation of a model: forward and backward layer by layer, with exchanges in between.
//
// Moments. A flux of energy needs sum_k (r_k - r_j) dE_k/dr_ij for every edge. The process of the edge may not know r_k,
// which also has many images in a periodic cell. But the backward pass can carry the sum: M = d(sum_k x_k E_k)/dh is the
// gradient of the energies weighted by the positions of their atoms. M passes a layer by the same vector-Jacobian product
// as lambda = d(sum_k E_k)/dh. Processes, and an atom and its images, exchange M - x lambda, which depends on relative
// positions alone.
#include "segments.h"

#include "staging.h"

#include <ATen/Parallel.h>
#include <c10/core/DeviceGuard.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

using torch::Tensor;

namespace equipot {
namespace {

// TorchScript's profiling executor compiles again when shapes change, which they do at every step.
struct PlainExecution {
  torch::jit::GraphOptimizerEnabledGuard executor{false};
};

Tensor leaf(const Tensor &values) { return values.detach().requires_grad_(true); }

// Gradients of sum(output · cotangent) for each cotangent, zeros where an output does not depend on an input.
std::vector<std::vector<Tensor>> vector_jacobians(const Tensor &output, const std::vector<Tensor> &cotangents,
                                                  const std::vector<Tensor> &inputs)
{
  std::vector<std::vector<Tensor>> found;
  for (size_t c = 0; c < cotangents.size(); ++c) {
    std::vector<Tensor> gradients(inputs.size());
    const bool needed_again = c + 1 < cotangents.size();
    if (output.requires_grad())
      gradients = torch::autograd::grad({output}, inputs, {cotangents[c]}, /*retain_graph=*/needed_again,
                                        /*create_graph=*/false, /*allow_unused=*/true);
    for (size_t i = 0; i < inputs.size(); ++i)
      if (!gradients[i].defined()) gradients[i] = torch::zeros_like(inputs[i]);
    found.push_back(std::move(gradients));
  }
  return found;
}

// Exchanges stay outside of it, so that errors of LAMMPS pass through.
template <class Work> void guarded(Work &&work)
{
  try {
    work();
  } catch (const std::exception &error) {
    throw ModelError(sentence(error));
  }
}

}    // namespace

// Older files have whole layers, not halves: then the features themselves are sent.
Tensor TorchModel::outgoing(int64_t k, const Tensor &features)
{
  return in_halves ? module.get_method("outgoing")({k, features}).toTensor() : features;
}

Tensor TorchModel::interact(int64_t k, const Tensor &features, const Tensor &sent, const Tensor &species,
                      const Tensor &vectors, const torch::jit::IValue &topology)
{
  if (in_halves) return module.get_method("interact")({k, features, sent, species, vectors, topology}).toTensor();
  return module.get_method("layer")({k, sent, species, vectors, topology}).toTensor();
}

// Files of format 2 return atomic energies, later ones a table of named outputs. Returns the energies with their graph.
Tensor TorchModel::read_out(const std::vector<torch::jit::IValue> &arguments, TensorPrediction &prediction)
{
  const torch::jit::IValue outputs = module.get_method("readout")(arguments);
  Tensor energies;
  if (outputs.isTensor()) {
    energies = outputs.toTensor();
  } else {
    for (const auto &entry : outputs.toGenericDict()) {
      const std::string &name = entry.key().toStringRef();
      const Tensor values = entry.value().toTensor();
      if (name == "energies")
        energies = values;
      else
        prediction.others.emplace_back(name, values.detach().to(torch::kFloat64).contiguous());
    }
    TORCH_CHECK(energies.defined(), "the readout gives no energies");
    for (const auto &[name, values] : prediction.others)
      TORCH_CHECK(values.dim() >= 1 && values.dim() <= 2 && values.size(0) == energies.size(0), "output ", name,
                  " is not one row for each atom");
  }
  prediction.atomic_energies = energies.detach().contiguous();
  return energies;
}

TensorPrediction TorchModel::evaluate(const Graph &graph, const TensorExchange &exchange)
{
  PlainExecution plain;
  const bool moments = graph.positions != nullptr;
  const int64_t n_ghosts = graph.n_atoms - graph.n_centres;
  const c10::DeviceGuard current(device);
  Staging::Inputs given;
  guarded([&] { given = staging->up(graph); });
  const Tensor &species = given.species, &edge_index = given.edge_index, &positions = given.positions;
  Tensor vectors = leaf(given.vectors);
  auto position = [&](int d, int64_t first, int64_t n) { return positions.narrow(0, first, n).select(1, d); };

  // Layer k: inputs[k] -> sent[k] at each centre; ghosts filled in, with_ghosts[k]; both -> outputs[k].
  std::vector<Tensor> inputs(n_layers), sent(n_layers), with_ghosts(n_layers), outputs(n_layers);
  torch::jit::IValue topology;
  guarded([&] {
    torch::NoGradGuard no_grad;
    topology = module.get_method("topology")({edge_index, graph.n_centres, graph.n_atoms});
    // The input of the first layer depends on the species alone, so ghosts need no exchange.
    Tensor embedded = module.get_method("embed")({species}).toTensor();
    inputs[0] = embedded.narrow(0, 0, graph.n_centres);
    with_ghosts[0] = outgoing(0, embedded);
  });
  for (int64_t k = 0; k < n_layers; ++k) {
    if (k > 0) {
      guarded([&] {
        inputs[k] = leaf(outputs[k - 1]);
        TORCH_CHECK(inputs[k].size(1) == feature_dims[k], "layer ", k, " has ", feature_dims[k],
                    " features by the file's table, but gets ", inputs[k].size(1));
        sent[k] = outgoing(k, inputs[k]);
        with_ghosts[k] = sent[k].detach().contiguous();
        if (n_ghosts > 0) {
          Tensor wider = with_ghosts[k].new_empty({graph.n_atoms, with_ghosts[k].size(1)});
          wider.narrow(0, 0, graph.n_centres).copy_(with_ghosts[k]);
          wider.narrow(0, graph.n_centres, n_ghosts).zero_();
          with_ghosts[k] = wider;
        }
      });
      exchange.fill_ghosts(with_ghosts[k]);
      with_ghosts[k].requires_grad_(true);
    }
    guarded([&] { outputs[k] = interact(k, inputs[k], with_ghosts[k], species, vectors, topology); });
  }

  TensorPrediction found;
  std::vector<Tensor> cotangents, edges;    // of sum E_k; for moments also of x, y and z times E_k
  guarded([&] {
    Tensor last = leaf(outputs.back());
    Tensor energies = read_out({last, species, vectors, topology}, found);
    cotangents.push_back(torch::ones_like(found.atomic_energies));
    for (int d = 0; moments && d < 3; ++d) cotangents.push_back(position(d, 0, graph.n_centres));
    auto parts = vector_jacobians(energies, cotangents, {last, vectors});
    for (size_t c = 0; c < parts.size(); ++c) {
      cotangents[c] = parts[c][0];
      edges.push_back(parts[c][1]);
    }
  });
  for (int64_t k = n_layers - 1; k >= 0; --k) {
    std::vector<Tensor> of_sent(cotangents.size());
    guarded([&] {
      std::vector<Tensor> wanted{vectors};
      if (k > 0) wanted.insert(wanted.end(), {inputs[k], with_ghosts[k]});
      auto parts = vector_jacobians(outputs[k], cotangents, wanted);
      outputs[k] = Tensor();    // frees the memory of the layer's backward pass
      for (size_t c = 0; c < parts.size(); ++c) {
        edges[c] = edges[c] + parts[c][0];
        if (k == 0) continue;
        cotangents[c] = parts[c][1];
        of_sent[c] = parts[c][2].contiguous();
      }
      for (size_t c = 1; k > 0 && c < of_sent.size(); ++c)
        of_sent[c].addcmul_(of_sent[0], position(c - 1, 0, graph.n_atoms).to(dtype).unsqueeze(1), -1);
    });
    if (k == 0) break;
    for (Tensor &gradient : of_sent) exchange.collect_ghosts(gradient);
    guarded([&] {
      for (Tensor &gradient : of_sent) gradient = gradient.narrow(0, 0, graph.n_centres);
      for (size_t c = 1; c < of_sent.size(); ++c)
        of_sent[c].addcmul_(of_sent[0], position(c - 1, 0, graph.n_centres).to(dtype).unsqueeze(1));
      auto parts = vector_jacobians(sent[k], of_sent, {inputs[k]});
      for (size_t c = 0; c < parts.size(); ++c) cotangents[c] = cotangents[c] + parts[c][0];
    });
  }
  guarded([&] {
    found.edge_gradient = edges[0].contiguous();
    Tensor neighbour = edge_index[1];
    for (size_t c = 1; c < edges.size(); ++c) {
      Tensor at_neighbour = position(c - 1, 0, graph.n_atoms).index_select(0, neighbour).unsqueeze(1);
      found.edge_moments.push_back((edges[c] - at_neighbour * found.edge_gradient).contiguous());
    }
    found = staging->down(std::move(found));
  });
  return found;
}

void set_threads(int threads)
{
  if (threads != at::get_num_threads()) at::set_num_threads(threads);
}

}    // namespace equipot
