// A potential computed by the runtime (equipot.h).
#include "potential.h"

#include "equipot.h"

namespace equipot {
namespace {

// What the exchanges of an evaluation need.
struct Caller {
  const Exchange &exchange;
  bool single;
  const std::function<void(const double *)> &member;
  const double *member_gradient;

  HostRows rows(void *data, std::int64_t columns) const
  {
    const std::size_t number = single ? sizeof(float) : sizeof(double);
    return {static_cast<char *>(data), nullptr, static_cast<std::size_t>(columns) * number, single};
  }
};

int fill(void *caller, void *rows, std::int64_t columns)
{
  const Caller &c = *static_cast<const Caller *>(caller);
  if (c.exchange.needed) c.exchange.fill_ghosts(c.rows(rows, columns));
  return 0;
}

int collect(void *caller, void *rows, std::int64_t columns)
{
  const Caller &c = *static_cast<const Caller *>(caller);
  if (c.exchange.needed) c.exchange.collect_ghosts(c.rows(rows, columns));
  return 0;
}

int of_member(void *caller, std::int64_t)
{
  const Caller &c = *static_cast<const Caller *>(caller);
  c.member(c.member_gradient);
  return 0;
}

struct Message {
  char text[256] = "";
};

class RuntimePotential : public Potential {
 public:
  explicit RuntimePotential(const std::string &bytes) : model(nullptr, equipot_close)
  {
    Message message;
    model.reset(equipot_open_bytes(bytes.data(), bytes.size(), message.text, sizeof(message.text)));
    if (!model) throw ModelError(message.text);
    equipot_description description{};
    description.size = sizeof(description);
    check(equipot_describe(model.get(), &description, message.text, sizeof(message.text)), message);
    single = description.dtype == sizeof(float);
    widest = static_cast<std::size_t>(description.widest_exchange);
    cutoff = description.cutoff;
    for (std::int64_t s = 0; s < description.n_species; ++s) {
      type_names.push_back(description.type_names[s]);
      const double *row = description.pair_cutoffs + s * description.n_species;
      pair_cutoffs.emplace_back(row, row + description.n_species);
    }
    for (std::int64_t k = 0; k < description.n_outputs; ++k) other_outputs.emplace_back(description.output_names[k], 0);
    others.resize(other_outputs.size());
    n_members = description.n_members;
    n_deviation = description.n_deviation;
  }

  std::size_t widest_row() const override { return widest; }

  const Prediction &evaluate(const Graph &graph, const Exchange &exchange, int threads) override
  {
    const std::size_t n_edges = static_cast<std::size_t>(graph.n_edges);
    energies.resize(static_cast<std::size_t>(graph.n_centres));
    gradient.resize(3 * n_edges);
    if (graph.positions) moments.resize(9 * n_edges);
    if (graph.member) member_gradient.resize(3 * n_edges);
    Caller caller{exchange, single, graph.member, member_gradient.data()};
    equipot_evaluation given{};
    given.size = sizeof(given);
    given.threads = threads;
    given.n_centres = graph.n_centres;
    given.n_atoms = graph.n_atoms;
    given.n_edges = graph.n_edges;
    given.species = graph.species;
    given.centre = graph.edge_index;
    given.neighbour = graph.edge_index + graph.n_edges;
    given.edge_vectors = graph.edge_vectors;
    given.positions = graph.positions;
    given.fill_ghosts = fill;
    given.collect_ghosts = collect;
    given.caller = &caller;
    given.energies = energies.data();
    given.edge_gradient = gradient.data();
    given.edge_moments = graph.positions ? moments.data() : nullptr;
    outputs.clear();
    result.others.clear();
    for (std::size_t k = 0; k < others.size(); ++k) {
      const bool asked = graph.wanted.count(other_outputs[k].first) > 0;
      others[k].resize(static_cast<std::size_t>(asked ? graph.n_centres : 0));
      outputs.push_back(asked ? others[k].data() : nullptr);
      if (asked) result.others.push_back({other_outputs[k].first, 0, others[k].data()});
    }
    given.outputs = outputs.data();
    given.deviation = graph.deviation;
    given.member = graph.member ? of_member : nullptr;
    given.member_gradient = member_gradient.data();
    Message message;
    check(equipot_evaluate(model.get(), &given, message.text, sizeof(message.text)), message);
    result.atomic_energies = energies.data();
    result.edge_gradient = gradient.data();
    for (std::size_t d = 0; d < 3; ++d) result.edge_moments[d] = graph.positions ? moments.data() + 3 * d * n_edges : nullptr;
    return result;
  }

 private:
  static void check(int code, const Message &message)
  {
    if (code != 0) throw ModelError(message.text);
  }

  std::unique_ptr<equipot_model, void (*)(equipot_model *)> model;
  bool single = false;
  std::size_t widest = 0;
  std::vector<double> energies, gradient, moments, member_gradient;
  std::vector<std::vector<double>> others;
  std::vector<double *> outputs;
  Prediction result;
};

}    // namespace

std::unique_ptr<Potential> open_runtime(const std::string &bytes) { return std::make_unique<RuntimePotential>(bytes); }

}    // namespace equipot
