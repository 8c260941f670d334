#include "network.h"

#include "operators.h"
#include "plan.h"

#include <algorithm>
#include <stdexcept>

namespace equipot {
namespace {

// Goes through the operators backwards: which of them sets a gradient, and which add to it. In place, an operator
// changes a gradient that later ones have set.
template <class T> void order_gradients(Network<T> &network)
{
  std::vector<char> set(network.values.size(), 0);
  for (auto op = network.operators.rbegin(); op != network.operators.rend(); ++op) {
    for (int64_t v : (*op)->writes) require(!network.values[v].moves || set[v], "a value of its program is never used");
    for (int64_t v : (*op)->passes) {
      (*op)->sets.push_back(!set[v]);
      require(!set[v] || !(*op)->only_sets, "a value of its program is used by operators that exclude each other");
      set[v] = 1;
    }
  }
}

// When each value and each gradient is in use: operator k runs forwards at k, and backwards at 2 n - 1 - k. Values that
// a backward pass reads must outlive it where it is repeated.
template <class T> std::vector<Interval> intervals(const Network<T> &network, bool repeated)
{
  const int64_t n = static_cast<int64_t>(network.operators.size());
  const std::size_t n_values = network.values.size();
  std::vector<Interval> result(2 * n_values);    // values, and then gradients
  for (int64_t k = 0; k < n; ++k) {
    const Operator<T> &op = *network.operators[static_cast<std::size_t>(k)];
    const int64_t back = 2 * n - 1 - k;
    for (const std::vector<int64_t> *values : {&op.reads, &op.writes})
      for (int64_t v : *values) {
        result[v].include(k);
        if (network.values[v].moves) result[n_values + v].include(back);
      }
    for (int64_t v : op.needs) result[v].include(repeated ? 2 * n : back);
  }
  for (std::size_t v = 0; v < n_values; ++v) {
    result[v].columns = result[n_values + v].columns = network.values[v].columns;
    result[v].everywhere = result[n_values + v].everywhere = network.values[v].everywhere;
  }
  return result;
}

template <class T> Layout lay_out(const Network<T> &network, bool repeated)
{
  const std::vector<int64_t> slots = share_memory(intervals(network, repeated));
  const auto middle = slots.begin() + static_cast<std::ptrdiff_t>(network.values.size());
  Layout layout{{slots.begin(), middle}, {middle, slots.end()}};
  for (int64_t slot : slots) layout.n_slots = std::max(layout.n_slots, slot + 1);
  return layout;
}

}    // namespace

template <class T> Network<T>::Network(const Program &program) : values(program.columns.size())
{
  n_species = program.n_species();
  const std::vector<int64_t> shape = program.shape(program.root(), "inverse_cutoffs");
  inverse_cutoffs = program.array<T>(program.root(), "inverse_cutoffs", {shape.empty() ? 0 : shape[0]});
  require(inverse_cutoffs.size() == 1 || static_cast<int64_t>(inverse_cutoffs.size()) == n_species * n_species,
          "its cutoffs are neither one nor one for each pair of elements");
  for (const Json &record : program.operators()) operators.push_back(make_operator(program, record, *this));
  order_gradients(*this);
  once = lay_out(*this, false);
  repeated = lay_out(*this, true);
}

template <class T> Network<T>::~Network() = default;

template <class T>
Run<T>::Run(const Network<T> &network) :
    network(network), before_exchange(static_cast<std::size_t>(network.n_exchanges)),
    after_exchange(static_cast<std::size_t>(network.n_exchanges)),
    slots(static_cast<std::size_t>(std::max(network.once.n_slots, network.repeated.n_slots))), packed(network.n_linear)
{
  for (const equipot_convolution &given : network.convolutions)
    convolutions.push_back(std::make_unique<Convolution>(given));
}

// Memory for the atoms, and the graph of the convolutions.
template <class T> void Run<T>::place()
{
  const equipot_evaluation &g = *given;
  numbers.assign(slots.size(), 0);
  for (std::size_t v = 0; v < network.values.size(); ++v) {
    const int64_t size = rows(network.values[v].everywhere) * network.values[v].columns;
    for (int64_t slot : {layout().of_value[v], layout().of_gradient[v]})
      if (slot >= 0) numbers[slot] = std::max(numbers[slot], size);
  }
  for (std::size_t k = 0; k < slots.size(); ++k) slots[k].grow(static_cast<std::size_t>(numbers[k]));
  const std::size_t n_edges = static_cast<std::size_t>(g.n_edges);
  vectors.grow(3 * n_edges);
  if (differentiates()) vector_gradient.grow(3 * n_edges);
  rowptr.grow(static_cast<std::size_t>(g.n_centres) + 1);
  transpose_rowptr.grow(static_cast<std::size_t>(g.n_atoms) + 1);
  transpose_edges.grow(n_edges);
  char error[256];
  if (equipot_topology(g.n_edges, g.n_centres, g.n_atoms, g.centre, g.neighbour, rowptr.data(), transpose_rowptr.data(),
                       transpose_edges.data(), error, sizeof(error)) != 0)
    throw std::invalid_argument(error);
  if (network.n_species > 1) {
    centres_by_species.sort(g.species, g.n_centres, network.n_species);
    atoms_by_species.sort(g.species, g.n_atoms, network.n_species);
  }
  const bool per_edge = network.inverse_cutoffs.size() > 1;
  if (per_edge) {
    inverse_cutoffs.grow(n_edges);
    for (std::size_t e = 0; e < n_edges; ++e)
      inverse_cutoffs[e] = network.inverse_cutoffs[g.species[g.centre[e]] * network.n_species + g.species[g.neighbour[e]]];
  }
  for (auto &convolution : convolutions) {
    equipot_convolution &c = convolution->given;
    c.threads = g.threads;
    c.n_in = g.n_atoms;
    c.n_out = g.n_centres;
    c.n_edges = g.n_edges;
    c.centre = g.centre;
    c.neighbour = g.neighbour;
    c.rowptr = rowptr.data();
    c.transpose_rowptr = transpose_rowptr.data();
    c.transpose_edges = transpose_edges.data();
    c.inverse_cutoff = per_edge ? inverse_cutoffs.data() : network.inverse_cutoffs.data();
    c.cutoff_per_edge = per_edge;
    c.edge_vectors = vectors.data();
  }
}

// The linear map with this number, for the rows of centres or of all atoms.
template <class T> void Run<T>::apply(const equipot_linear &map, std::size_t number, bool everywhere, LinearCall call)
{
  equipot_linear here = map;
  here.threads = given->threads;
  here.n = rows(everywhere);
  here.species = map.n_species > 1 ? given->species : nullptr;
  call.rows = everywhere ? &atoms_by_species : &centres_by_species;
  call.packed = &packed[number];
  kernels(sizeof(T)).linear_apply(here, call);
}

template <class T> void Run<T>::evaluate(const equipot_evaluation &evaluation)
{
  given = &evaluation;
  const equipot_evaluation &g = *given;
  for (int64_t i = 0; i < g.n_atoms; ++i)
    require(g.species[i] >= 0 && g.species[i] < network.n_species, "an atom has a species that the model does not know");
  place();
  std::fill(g.energies, g.energies + g.n_centres, 0.0);
  bool cast = false;
  for (const auto &op : network.operators) {
    if (!cast && !op->writes.empty()) {
      // The operators before have decided what the network sees.
      const double *from = seen.empty() ? g.edge_vectors : seen.data();
      for (int64_t k = 0; k < 3 * g.n_edges; ++k) vectors[k] = static_cast<T>(from[k]);
      cast = true;
    }
    op->forward(*this);
  }
  if (!differentiates()) return;
  member = -1;
  for (cotangent = 0; cotangent < (g.positions ? 4 : 1); ++cotangent) {
    differentiate(cotangent == 0 ? g.edge_gradient : g.edge_moments + 3 * (cotangent - 1) * g.n_edges);
    // Relative to the position of the neighbour.
    for (int64_t e = 0; cotangent > 0 && e < g.n_edges; ++e)
      for (int a = 0; a < 3; ++a)
        edge_gradient[3 * e + a] -= g.positions[3 * g.neighbour[e] + cotangent - 1] * g.edge_gradient[3 * e + a];
  }
  if (!g.member) return;
  cotangent = 0;
  for (member = 0; member < network.n_members; ++member) {
    differentiate(g.member_gradient);
    if (g.member(g.caller, member) != 0) throw std::runtime_error("the caller failed with a member");
  }
}

// Runs the operators backwards, for the present cotangent. gradient: (n_edges, 3).
template <class T> void Run<T>::differentiate(double *gradient)
{
  edge_gradient = gradient;
  std::fill(edge_gradient, edge_gradient + 3 * given->n_edges, 0.0);
  for (auto op = network.operators.rbegin(); op != network.operators.rend(); ++op) (*op)->backward(*this);
}

// Without edges there is no memory for their gradient, but other processes wait for the exchanges.
template <class T> bool Run<T>::differentiates() const { return given->edge_gradient || given->n_edges == 0; }

template <class T> void Run<T>::exchange(equipot_exchange function, T *rows, int64_t columns)
{
  if (function && function(given->caller, rows, columns) != 0) throw std::runtime_error("an exchange between processes failed");
}

template class Network<float>;
template class Network<double>;
template class Run<float>;
template class Run<double>;

}    // namespace equipot
