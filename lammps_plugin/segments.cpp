#include "segments.h"

#include "engine.h"
#include "engine_operators.h"
#include "operations.h"

#include <algorithm>
#include <sstream>

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/version.h>

using torch::Tensor;

namespace equipot {
namespace {

constexpr int64_t newest_format = 2;

// Errors of torch and of the model as one sentence. TorchScript puts the message itself last, below its traces.
std::string sentence(const std::string &what)
{
  std::istringstream lines(what);
  std::string line, last;
  while (std::getline(lines, line))
    if (line.find_first_not_of(" \t\r") != std::string::npos) last = line;
  const std::string label = "RuntimeError: ";    // or builtins.RuntimeError, when the model itself raised it
  size_t at = last.find(label);
  return at == std::string::npos ? last : last.substr(at + label.size());
}

std::string sentence(const std::exception &error)
{
  if (auto torch_error = dynamic_cast<const c10::Error *>(&error)) {
    std::string text = torch_error->what_without_backtrace();
    // A TorchScript trace within: the message is below it. Else the first line, before hints for developers.
    if (text.find("Traceback of TorchScript") != std::string::npos) return sentence(text);
    return text.substr(0, text.find('\n'));
  }
  return sentence(std::string(error.what()));
}

// TorchScript's profiling executor compiles again whenever shapes change, which here is at every step.
struct PlainExecution {
  torch::jit::GraphOptimizerEnabledGuard executor{false};
};

// d(sum of outputs · output_gradient)/d(inputs), zeros where an output does not depend on an input.
std::vector<Tensor> vector_jacobian(const Tensor &output, const Tensor &output_gradient,
                                    const std::vector<Tensor> &inputs)
{
  std::vector<Tensor> gradients(inputs.size());
  if (output.requires_grad())
    gradients = torch::autograd::grad({output}, inputs, {output_gradient}, /*retain_graph=*/false,
                                      /*create_graph=*/false, /*allow_unused=*/true);
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!gradients[i].defined()) gradients[i] = torch::zeros_like(inputs[i]);
  return gradients;
}

Tensor leaf(const Tensor &values) { return values.detach().requires_grad_(true); }

}    // namespace

Model::Model(const std::string &bytes)
{
  register_operators();
  equipot_keep_memory();
  std::string foreign;
  try {
    foreign = foreign_operation(bytes);
  } catch (const std::exception &error) {
    throw ModelError("is damaged or no model file (" + sentence(error) + ")");
  }
  if (!foreign.empty()) throw ModelError("calls '" + foreign + "', which no model needs; refused");
  try {
    std::istringstream stream(bytes);
    module = torch::jit::load(stream, torch::kCPU);
    module.eval();
  } catch (const std::exception &error) {
    throw ModelError("is no model file that torch " TORCH_VERSION " can read (" + sentence(error) + ")");
  }
  if (!module.hasattr("format_version"))
    throw ModelError("is a TorchScript file but no equipot model: it has no format_version");
  int64_t version = module.attr("format_version").toInt();
  if (version > newest_format)
    throw ModelError("has format version " + std::to_string(version) + ", this plugin reads up to " +
                     std::to_string(newest_format) + "; update equipot and run `equipot lammps --rebuild`");
  try {
    read_attributes();
  } catch (const std::exception &error) {
    throw ModelError("lacks part of an equipot model of format " + std::to_string(version) + " (" +
                     sentence(error) + ")");
  }
  self_test();
}

void Model::read_attributes()
{
  for (const torch::jit::IValue &name : module.attr("type_names").toListRef())
    type_names.push_back(name.toStringRef());
  cutoff = module.attr("cutoff").toDouble();
  n_layers = module.attr("n_layers").toInt();
  feature_dims = module.attr("feature_dims").toIntVector();
  std::string precision = module.attr("dtype").toStringRef();
  if (precision != "float32" && precision != "float64")
    throw ModelError("dtype is " + precision + ", expected float32 or float64");
  dtype = precision == "float32" ? torch::kFloat32 : torch::kFloat64;
  Tensor cutoffs = module.attr("pair_cutoffs").toTensor().to(torch::kFloat64).contiguous();
  int64_t n_species = static_cast<int64_t>(type_names.size());
  if (cutoffs.sizes() != torch::IntArrayRef{n_species, n_species} ||
      static_cast<int64_t>(feature_dims.size()) != n_layers || n_layers < 1)
    throw ModelError("its tables have the wrong sizes");
  for (int64_t i = 0; i < n_species; ++i) {
    const double *row = cutoffs.data_ptr<double>() + i * n_species;
    pair_cutoffs.emplace_back(row, row + n_species);
  }
}

size_t Model::widest_row() const
{
  // The input of the first layer comes from the species alone and is never exchanged.
  int64_t widest = n_layers > 1 ? *std::max_element(feature_dims.begin() + 1, feature_dims.end()) : 0;
  return widest * torch::elementSize(dtype);
}

Prediction Model::evaluate(const Graph &graph, const Exchange &exchange)
{
  PlainExecution plain;
  Tensor species = torch::from_blob(graph.species, {graph.n_atoms}, torch::kInt64);
  Tensor edge_index = torch::from_blob(graph.edge_index, {2, graph.n_edges}, torch::kInt64);
  Tensor vectors = leaf(torch::from_blob(graph.edge_vectors, {graph.n_edges, 3}, torch::kFloat64));

  // What is needed again on the way back: inputs[k] -> outputs[k] is layer k, cut off from its neighbours.
  std::vector<Tensor> inputs(n_layers), outputs(n_layers);
  Tensor energies, last, gradient, edge_gradient = torch::zeros_like(vectors);
  torch::jit::IValue topology;
  // Exchanges stay outside: their errors are LAMMPS's and pass through.
  auto guarded = [](auto &&work) {
    try {
      work();
    } catch (const std::exception &error) {
      throw ModelError(sentence(error));
    }
  };

  guarded([&] {
    torch::NoGradGuard no_grad;
    topology = module.get_method("topology")({edge_index, graph.n_centres, graph.n_atoms});
    inputs[0] = module.get_method("embed")({species}).toTensor();
  });
  for (int64_t k = 0; k < n_layers; ++k) {
    if (k > 0) {
      guarded([&] {
        inputs[k] = torch::zeros({graph.n_atoms, feature_dims[k]}, dtype);
        inputs[k].narrow(0, 0, graph.n_centres).copy_(outputs[k - 1].detach());
      });
      exchange.fill_ghosts(inputs[k]);
      inputs[k].requires_grad_(true);
    }
    guarded([&] {
      outputs[k] =
          module.get_method("layer")({k, inputs[k], species, vectors, topology}).toTensor();
    });
  }
  guarded([&] {
    last = leaf(outputs.back());
    energies = module.get_method("readout")({last, species, vectors, topology}).toTensor();
    auto parts = vector_jacobian(energies, torch::ones_like(energies), {last, vectors});
    gradient = parts[0];
    edge_gradient += parts[1];
  });
  for (int64_t k = n_layers - 1; k >= 0; --k) {
    guarded([&] {
      std::vector<Tensor> wanted{vectors};
      if (k > 0) wanted.push_back(inputs[k]);
      auto parts = vector_jacobian(outputs[k], gradient, wanted);
      edge_gradient += parts[0];
      if (k > 0) gradient = parts[1].contiguous();
    });
    if (k > 0) {
      exchange.collect_ghosts(gradient);
      gradient = gradient.narrow(0, 0, graph.n_centres);
    }
  }
  return {energies.detach().contiguous(), edge_gradient.contiguous()};
}

// Runs the structures that the exporter stored through the segments: a file that was exported by another version of
// torch, or a plugin that puts the segments together wrongly, must not run.
void Model::self_test()
{
  if (!module.hasattr("self_test") || !module.hasattr("self_test_tolerance"))
    throw ModelError("has no self_test; export it again with `equipot export`");
  const double tolerance = module.attr("self_test_tolerance").toDouble();
  auto differs = [tolerance](const Tensor &found, const Tensor &expected) {
    if (found.sizes() != expected.sizes()) return true;
    if (found.numel() == 0) return false;
    double largest = std::max(1.0, expected.abs().max().item<double>());
    return !((found - expected).abs().max().item<double>() <= tolerance * largest);    // so that NaN differs
  };
  Exchange alone{[](Tensor &) {}, [](Tensor &) {}};
  for (const torch::jit::IValue &entry : module.attr("self_test").toListRef()) {
    const auto &parts = entry.toTupleRef().elements();
    Tensor species = parts.at(0).toTensor().contiguous(), edge_index = parts.at(1).toTensor().contiguous();
    Tensor vectors = parts.at(2).toTensor().contiguous();
    Graph graph{species.size(0), species.size(0), vectors.size(0), species.data_ptr<int64_t>(),
                edge_index.data_ptr<int64_t>(), vectors.data_ptr<double>()};
    Prediction prediction;
    try {
      prediction = evaluate(graph, alone);
    } catch (const ModelError &error) {
      throw ModelError(std::string("fails its self-test (") + error.what() + ")");
    }
    if (differs(prediction.atomic_energies, parts.at(3).toTensor()) ||
        differs(prediction.edge_gradient, parts.at(4).toTensor()))
      throw ModelError("fails its self-test: energies or forces differ from those it was exported with; "
                       "export it again with `equipot export`");
  }
}

void set_threads(int threads) { at::set_num_threads(threads); }

}    // namespace equipot
