// The devices and potentials of a plugin that was built with torch: models on GPUs, and on the CPU those that the runtime
// cannot compute.
#include "potential.h"

#include "device.h"
#include "segments.h"
#include "staging.h"

#include <torch/script.h>

namespace equipot {
namespace {

class TorchPotential : public Potential {
 public:
  TorchPotential(const std::string &bytes, c10::Device device) : model(bytes, device), gpu(device.is_cuda())
  {
    type_names = model.type_names;
    pair_cutoffs = model.pair_cutoffs;
    cutoff = model.cutoff;
    other_outputs = model.other_outputs;
  }

  std::size_t widest_row() const override { return model.widest_row(); }
  bool on_gpu() const override { return gpu; }
  void choose_travelling(const std::vector<int> &border, std::int64_t n_centres, std::int64_t n_rows) override
  {
    travelling.choose(border, n_centres, n_rows);
  }

  const Prediction &evaluate(const Graph &graph, const Exchange &exchange, int threads) override
  {
    set_threads(threads);    // another style may have set another number
    TensorExchange tensors;
    tensors.fill_ghosts = [&](torch::Tensor &rows) {
      if (!exchange.needed) return;
      if (gpu) travelling.border_down(rows);
      exchange.fill_ghosts(in_memory(rows));
      if (gpu) travelling.ghosts_up(rows);
    };
    tensors.collect_ghosts = [&](torch::Tensor &rows) {
      if (!exchange.needed) return;
      if (gpu) travelling.ghosts_down(rows);
      exchange.collect_ghosts(in_memory(rows));
      if (gpu) travelling.border_up(rows);
    };
    try {
      held = model.evaluate(graph, tensors);
    } catch (const c10::Error &failure) {    // from the transfer of rows to or from a GPU
      throw ModelError(sentence(failure));
    }
    result = {};
    result.atomic_energies = held.atomic_energies.data_ptr<double>();
    result.edge_gradient = held.edge_gradient.data_ptr<double>();
    for (std::size_t d = 0; d < held.edge_moments.size(); ++d)
      result.edge_moments[d] = held.edge_moments[d].data_ptr<double>();
    for (const auto &[name, values] : held.others)
      result.others.push_back({name, values.dim() == 1 ? 0 : static_cast<int>(values.size(1)), values.data_ptr<double>()});
    return result;
  }

 private:
  HostRows in_memory(const torch::Tensor &rows)
  {
    const std::size_t bytes = static_cast<std::size_t>(rows.size(1)) * rows.element_size();
    const bool single = rows.scalar_type() == torch::kFloat32;
    if (gpu) return {travelling.data(), &travelling.places(), bytes, single};
    return {static_cast<char *>(rows.data_ptr()), nullptr, bytes, single};
  }

  TorchModel model;
  bool gpu;
  TravellingRows travelling;
  TensorPrediction held;
  Prediction result;
};

}    // namespace

std::string open_device(const std::string &wish, int local_rank) { return torch_device(wish, local_rank).str(); }

std::unique_ptr<Potential> open_potential(const std::string &bytes, const std::string &device)
{
  const bool has_program = bytes.find("extra/program.json") != std::string::npos;
  if (device == "cpu" && has_program) return open_runtime(bytes);
  return std::make_unique<TorchPotential>(bytes, c10::Device(device));
}

}    // namespace equipot
