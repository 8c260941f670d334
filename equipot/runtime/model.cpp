#include "model.h"

#include "archive.h"
#include "guarded.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace equipot {
namespace {

// The largest difference, relative to the largest expected number or to 1; not a number if one is.
double difference(const std::vector<double> &result, const std::vector<double> &expected)
{
  double largest = 1.0, most = 0.0;
  for (std::size_t k = 0; k < expected.size(); ++k) {
    largest = std::max(largest, std::fabs(expected[k]));
    const double here = std::fabs(result[k] - expected[k]);
    if (!(here <= most)) most = here;
  }
  return most / largest;
}

}    // namespace

RuntimeModel::RuntimeModel(std::string_view text, std::string_view arrays, bool tested) : program(text, arrays)
{
  if (program.in_double) take_sizes(*(twice.network = std::make_unique<Network<double>>(program)), sizeof(double));
  else take_sizes(*(single.network = std::make_unique<Network<float>>(program)), sizeof(float));
  for (const std::string &name : program.type_names) names.push_back(name.c_str());
  if (program.root().has("self_test")) test();
  else if (tested) throw std::invalid_argument("it has no self-test; export it again with `equipot export`");
}

// What `describe` says of a network.
template <class T> void RuntimeModel::take_sizes(const Network<T> &network, int64_t bytes)
{
  n_exchanges = network.n_exchanges;
  widest_exchange = bytes * network.widest_exchange;
  n_members = network.n_members;
  n_deviation = network.n_deviation;
  for (const std::string &name : network.outputs) output_names.push_back(name.c_str());
}

// Runs the structures that the file was written with.
void RuntimeModel::test()
{
  const Json &root = program.root();
  const double tolerance = root.at("self_test_tolerance").number("the tolerance of its self-test");
  const std::vector<Json> &structures = root.at("self_test").list("its self-test");
  if (structures.empty()) throw std::invalid_argument("its self-test has no structures; export it again with `equipot export`");
  for (const Json &structure : structures) {
    const std::vector<int64_t> species = program.array<int64_t>(structure, "species", {-1});
    const std::vector<int64_t> edges = program.array<int64_t>(structure, "edge_index", {2, -1});
    const int64_t n_atoms = static_cast<int64_t>(species.size()), n_edges = static_cast<int64_t>(edges.size()) / 2;
    const std::vector<double> vectors = program.array<double>(structure, "edge_vectors", {n_edges, 3});
    std::vector<double> energies(species.size()), gradient(vectors.size());
    equipot_evaluation given{};
    given.size = sizeof(given);
    given.threads = 1;
    given.n_centres = given.n_atoms = n_atoms;
    given.n_edges = n_edges;
    given.species = species.data();
    given.centre = edges.data();
    given.neighbour = edges.data() + n_edges;
    given.edge_vectors = vectors.data();
    given.energies = energies.data();
    given.edge_gradient = gradient.data();
    try {
      evaluate(given);
    } catch (const std::invalid_argument &error) {
      throw std::invalid_argument(std::string("it fails its self-test (") + error.what() + ")");
    }
    const double worst = std::max(difference(energies, program.array<double>(structure, "energies", {n_atoms})),
                                  difference(gradient, program.array<double>(structure, "edge_gradient", {n_edges, 3})));
    if (!(worst <= tolerance))
      throw std::invalid_argument("it fails its self-test: energies or forces differ from those it was exported with; "
                                  "export it again with `equipot export`");
  }
}

template <class T> void RuntimeModel::evaluate_in(Pool<T> &pool, const equipot_evaluation &evaluation)
{
  std::unique_ptr<Run<T>> run;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    if (!pool.idle.empty()) {
      run = std::move(pool.idle.back());
      pool.idle.pop_back();
    }
  }
  if (!run) run = std::make_unique<Run<T>>(*pool.network);
  run->evaluate(evaluation);    // a run that throws is not used again
  const std::lock_guard<std::mutex> lock(mutex);
  pool.idle.push_back(std::move(run));
}

void RuntimeModel::evaluate(const equipot_evaluation &evaluation)
{
  check_size(evaluation, "equipot_evaluation");
  const equipot_evaluation &g = evaluation;
  require(g.threads >= 1, "threads is not 1 or more");
  require(g.n_centres >= 0 && g.n_atoms >= g.n_centres && g.n_edges >= 0,
          "a number of atoms or edges is negative, or there are fewer atoms than centres");
  require(g.n_atoms == 0 || g.species, "there are no species");
  require(g.n_edges == 0 || (g.centre && g.neighbour && g.edge_vectors), "there are no edges");
  require(g.n_centres == 0 || g.energies, "there is no memory for the energies");
  require(!g.positions || g.n_edges == 0 || (g.edge_gradient && g.edge_moments), "moments need memory, for the gradient, too");
  require(n_members > 0 || !(g.member || g.deviation),
          "the model has no members to compute deviations from; add them with `equipot uncertainty`");
  require(!g.member || g.n_edges == 0 || (g.edge_gradient && g.member_gradient), "members need memory, for the gradient, too");
  require(g.n_atoms == g.n_centres || (g.fill_ghosts && g.collect_ghosts), "ghosts need both exchanges");
  if (program.in_double) evaluate_in(twice, evaluation);
  else evaluate_in(single, evaluation);
}

equipot_description RuntimeModel::describe() const
{
  return {sizeof(equipot_description), program.in_double ? EQUIPOT_FLOAT64 : EQUIPOT_FLOAT32, program.n_species(),
          names.data(), program.cutoff, program.pair_cutoffs.data(), n_exchanges, widest_exchange,
          static_cast<int64_t>(output_names.size()), output_names.data(), n_members, n_deviation};
}

std::unique_ptr<RuntimeModel> read_model(std::string_view bytes)
{
  std::unique_ptr<Archive> archive;
  try {
    archive = std::make_unique<Archive>(bytes);
  } catch (const std::invalid_argument &error) {
    throw std::invalid_argument(std::string("it is damaged or no model file (") + error.what() +
                                "); copy or export it again");
  }
  if (!archive->has("extra/program.json")) {
    if (archive->has("extra/metadata.json"))
      throw std::invalid_argument("it has no program for this runtime; export it again with `equipot export`");
    throw std::invalid_argument(archive->has("data.pkl") && !archive->has("constants.pkl")
                                    ? "it is a checkpoint, not an exported model; write one with `equipot export`"
                                    : "it is no equipot model; write one with `equipot export`");
  }
  return std::make_unique<RuntimeModel>(archive->record("extra/program.json"), archive->record("extra/program.bin"), true);
}

}    // namespace equipot
