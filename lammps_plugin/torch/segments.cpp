#include "segments.h"

#include "checksum.h"
#include "engine.h"
#include "engine_operators.h"
#include "operations.h"
#include "staging.h"

#include <algorithm>
#include <sstream>

#include <torch/version.h>

using torch::Tensor;

namespace equipot {
namespace {

constexpr int64_t newest_format = 3;

}    // namespace

TorchModel::TorchModel(const std::string &bytes, c10::Device device) :
    device(device), staging(std::make_unique<Staging>(device))
{
  register_operators();
  equipot_keep_memory();
  std::string foreign;
  try {
    foreign = foreign_operation(bytes);
    if (const std::string record = damaged_record(bytes); !record.empty())
      throw ModelError("it is damaged: its record '" + record + "' is not what was written; copy or export it again");
  } catch (const ModelError &) {
    throw;
  } catch (const std::exception &error) {
    throw ModelError("it is damaged or no model file (" + sentence(error) + ")");
  }
  if (!foreign.empty()) throw ModelError("it calls '" + foreign + "', which no model needs; refused");
  try {
    std::istringstream stream(bytes);
    module = torch::jit::load(stream, device);
    module.eval();
  } catch (const std::exception &error) {
    const std::string why = sentence(error);
    if (why.find("constants.pkl") != std::string::npos)
      throw ModelError("it is a checkpoint, not an exported model; write one with `equipot export`");
    throw ModelError("it is no model file that torch " TORCH_VERSION " can read (" + why + ")");
  }
  for (const char *name : {"format_version", "type_names", "cutoff", "pair_cutoffs", "n_layers", "feature_dims",
                           "dtype", "self_test", "self_test_tolerance"})
    if (!module.hasattr(name))
      throw ModelError("it is TorchScript but no whole equipot model: it has no " + std::string(name) +
                       "; export it again with `equipot export`");
  try {
    const int64_t version = module.attr("format_version").toInt();
    if (version > newest_format)
      throw ModelError("it has format version " + std::to_string(version) + ", this plugin reads up to " +
                       std::to_string(newest_format) + "; update equipot and run `equipot lammps --rebuild`");
    read_attributes();
    self_test();
  } catch (const ModelError &) {
    throw;
  } catch (const std::exception &error) {
    throw ModelError("it is no usable model: what it holds is not of the expected kind (" + sentence(error) +
                     "); export it again with `equipot export`");
  }
}

TorchModel::~TorchModel() = default;

void TorchModel::read_attributes()
{
  for (const torch::jit::IValue &name : module.attr("type_names").toListRef())
    type_names.push_back(name.toStringRef());
  cutoff = module.attr("cutoff").toDouble();
  n_layers = module.attr("n_layers").toInt();
  feature_dims = module.attr("feature_dims").toIntVector();
  in_halves = module.find_method("outgoing") && module.find_method("interact");
  std::string precision = module.attr("dtype").toStringRef();
  if (precision != "float32" && precision != "float64")
    throw ModelError("it has dtype " + precision + ", expected float32 or float64");
  dtype = precision == "float32" ? torch::kFloat32 : torch::kFloat64;
  Tensor cutoffs = module.attr("pair_cutoffs").toTensor().cpu().to(torch::kFloat64).contiguous();
  int64_t n_species = static_cast<int64_t>(type_names.size());
  if (cutoffs.sizes() != torch::IntArrayRef{n_species, n_species} ||
      static_cast<int64_t>(feature_dims.size()) != n_layers || n_layers < 1)
    throw ModelError("it holds tables whose sizes do not fit together; export it again with `equipot export`");
  constexpr double longest = 100.0;    // Å; with a longer one LAMMPS's search would not end
  if (!(cutoff > 0 && cutoff < longest))
    throw ModelError("it has a cutoff of " + std::to_string(cutoff) + " Å, expected more than 0 and less than 100");
  for (int64_t i = 0; i < n_species; ++i) {
    const double *row = cutoffs.data_ptr<double>() + i * n_species;
    pair_cutoffs.emplace_back(row, row + n_species);
    for (double value : pair_cutoffs.back())
      if (!(value > 0 && value <= cutoff))
        throw ModelError("it has a cutoff of " + std::to_string(value) + " Å between two elements, expected more than 0 "
                         "and at most " + std::to_string(cutoff));
  }
}

size_t TorchModel::widest_row() const
{
  // The input of the first layer depends on the species alone and is not exchanged.
  int64_t widest = n_layers > 1 ? *std::max_element(feature_dims.begin() + 1, feature_dims.end()) : 0;
  return widest * torch::elementSize(dtype);
}

// Runs the stored structures through the segments. This stops files of another version of torch that give other results,
// and errors of the plugin in joining the segments.
void TorchModel::self_test()
{
  if (module.attr("self_test").toListRef().empty())
    throw ModelError("it has no structures in its self_test; export it again with `equipot export`");
  const double tolerance = module.attr("self_test_tolerance").toDouble();
  auto differs = [tolerance](const Tensor &found, const Tensor &expected) {
    if (found.sizes() != expected.sizes()) return true;
    if (found.numel() == 0) return false;
    double largest = std::max(1.0, expected.abs().max().item<double>());
    return !((found - expected).abs().max().item<double>() <= tolerance * largest);    // so that NaN differs
  };
  TensorExchange alone{[](Tensor &) {}, [](Tensor &) {}};
  for (const torch::jit::IValue &entry : module.attr("self_test").toListRef()) {
    const auto &parts = entry.toTupleRef().elements();
    auto part = [&parts](size_t k) { return parts.at(k).toTensor().cpu().contiguous(); };
    Tensor species = part(0), edge_index = part(1), vectors = part(2);
    Graph graph{species.size(0), species.size(0), vectors.size(0), species.data_ptr<int64_t>(),
                edge_index.data_ptr<int64_t>(), vectors.data_ptr<double>()};
    TensorPrediction prediction;
    try {
      prediction = evaluate(graph, alone);
    } catch (const ModelError &error) {
      throw ModelError(std::string("it fails its self-test (") + error.what() + ")");
    }
    other_outputs.clear();
    for (const auto &[name, values] : prediction.others)
      other_outputs.emplace_back(name, values.dim() == 1 ? 0 : static_cast<int>(values.size(1)));
    if (differs(prediction.atomic_energies, part(3)) ||
        differs(prediction.edge_gradient, part(4)))
      throw ModelError("it fails its self-test: energies or forces differ from those it was exported with; "
                       "export it again with `equipot export`");
  }
}

}    // namespace equipot
