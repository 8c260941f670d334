// Operators on edges: sums over neighbours, exchanges between processes, repulsion.
#include "fields.h"

#include <algorithm>
#include <cmath>

namespace equipot {
namespace {

// Fills the rows of ghosts; backwards, adds their gradients to those of their centres.
template <class T> class Exchange : public Operator<T> {
 public:
  explicit Exchange(Fields<T> &&f)
  {
    x = f.change("x");
    Value &value = f.net().values[x];
    require(value.moves && !value.everywhere, "an exchange has nothing to exchange");
    value.everywhere = true;
    columns = value.columns;
    number = f.net().n_exchanges++;
    f.net().widest_exchange = std::max(f.net().widest_exchange, columns);
  }

  void forward(Run<T> &run) const override
  {
    T *rows = run.value(x);
    std::fill(rows + run.given->n_centres * columns, rows + run.given->n_atoms * columns, T(0));
    run.exchange(run.given->fill_ghosts, rows, columns);
  }

  // Positions of ghosts differ from those of their centres. So gradients of energies times positions are exchanged
  // relative to the position of the row's atom.
  void backward(Run<T> &run) const override
  {
    T *rows = run.gradient(x);
    const bool moments = run.given->positions != nullptr;
    const int64_t n_all = run.given->n_atoms * columns, n_own = run.given->n_centres * columns;
    if (run.cotangent > 0) shift(run, rows, run.before_exchange[number].data(), run.given->n_atoms, T(-1));
    else if (moments) run.before_exchange[number].assign(rows, rows + n_all);
    run.exchange(run.given->collect_ghosts, rows, columns);
    if (run.cotangent > 0) shift(run, rows, run.after_exchange[number].data(), run.given->n_centres, T(1));
    else if (moments) run.after_exchange[number].assign(rows, rows + n_own);
  }

 private:
  void shift(Run<T> &run, T *rows, const T *first, int64_t n, T sign) const
  {
    for (int64_t i = 0; i < n; ++i) {
      const T factor = sign * static_cast<T>(run.given->positions[3 * i + run.cotangent - 1]);
      for (int64_t c = i * columns; c < (i + 1) * columns; ++c) rows[c] += factor * first[c];
    }
  }

  int64_t x, columns, number;
};

// The sum over neighbours.
template <class T> class Convolve : public Operator<T> {
 public:
  explicit Convolve(Fields<T> &&f)
  {
    x = f.read("x");
    require(f.value(x).everywhere, "a convolution lacks the features of ghosts");
    out = f.write("out", false, true);
    f.passes_to(x, true);
    f.needs(x);
    paths = f.integers("paths", EQUIPOT_PATH_FIELDS);
    const std::vector<int64_t> shape = f.shape("coupling");
    coupling = f.doubles("coupling", {shape.empty() ? 0 : shape[0]});
    const std::vector<int64_t> knots = f.shape("table");
    require(knots.size() == 3, "a radial table has other dimensions");
    table = f.reals("table", knots);
    equipot_convolution given{};
    given.size = sizeof(given);
    given.dtype = sizeof(T);
    given.threads = 1;
    given.n_paths = static_cast<int64_t>(paths.size()) / EQUIPOT_PATH_FIELDS;
    given.n_coupling = static_cast<int64_t>(coupling.size());
    given.paths = paths.data();
    given.coupling = coupling.data();
    given.dim_in = f.value(x).columns;
    given.dim_out = f.value(out).columns;
    given.n_knots = knots[0];
    given.order = knots[1];
    given.n_weights = knots[2];
    given.doubled_knot = f.integer("doubled_knot");
    given.table = table.data();
    Problem check(given, false);
    number = f.net().convolutions.size();
    f.net().convolutions.push_back(given);
  }

  void forward(Run<T> &run) const override
  {
    Convolution &convolution = *run.convolutions[number];
    convolution.given.x = run.value(x);
    kernels_of(T()).forward(convolution.problem, run.value(out));
  }

  void backward(Run<T> &run) const override
  {
    Convolution &convolution = *run.convolutions[number];
    convolution.given.x = run.value(x);
    T *dx = this->passes.empty() ? nullptr : run.gradient(x);
    kernels_of(T()).backward(convolution.problem, run.gradient(out), dx, run.vector_gradient.data(), nullptr);
    over_rows(run.given->threads, run.given->n_edges, 3, [&](int64_t first, int64_t last) {
      for (int64_t k = 3 * first; k < 3 * last; ++k) run.edge_gradient[k] += run.vector_gradient[k];
    });
  }

 private:
  int64_t x, out;
  std::size_t number;
  std::vector<int64_t> paths;
  std::vector<double> coupling;
  std::vector<T> table;
};

// The length of an edge, and the pair of its species.
template <class T> int64_t pair_of(const Run<T> &run, int64_t e, int64_t n_species)
{
  const int64_t *species = run.given->species;
  return species[run.given->centre[e]] * n_species + species[run.given->neighbour[e]];
}

double length(const double *r) { return std::sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]); }

// The distances that the network sees, see equipot/network/core.py.
template <class T> class Seen : public Operator<T> {
 public:
  explicit Seen(Fields<T> &&f)
  {
    n_species = f.n_species();
    radii = f.doubles("radii", {n_species * n_species});
    depth = f.number("depth");
    require(depth > 0 && depth < 1, "the depth of a core is not between 0 and 1");
    for (double radius : radii) require(radius > 0, "the radius of a core is not positive");
  }

  void forward(Run<T> &run) const override
  {
    run.seen_edges.clear();
    const double *given = run.given->edge_vectors;
    for (int64_t e = 0; e < run.given->n_edges; ++e) {
      const double *r = given + 3 * e, radius = radii[pair_of(run, e, n_species)];
      if (!(r[0] * r[0] + r[1] * r[1] + r[2] * r[2] < radius * radius)) continue;
      if (run.seen_edges.empty()) run.seen.assign(given, given + 3 * run.given->n_edges);
      run.seen_edges.push_back(e);
      const double factor = at(length(r), radius).f;
      for (int a = 0; a < 3; ++a) run.seen[3 * e + a] = factor * r[a];
    }
    if (run.seen_edges.empty()) run.seen.clear();
  }

  // The chain rule for r -> f(|r|) r, after all convolutions have added their gradients.
  void backward(Run<T> &run) const override
  {
    for (int64_t e : run.seen_edges) {
      const double *r = run.given->edge_vectors + 3 * e, distance = length(r);
      const Slope<double> f = at(distance, radii[pair_of(run, e, n_species)]);
      double *g = run.edge_gradient + 3 * e, product = 0;
      for (int a = 0; a < 3; ++a) product += g[a] * r[a];
      for (int a = 0; a < 3; ++a) g[a] = f.f * g[a] + f.f1 / distance * product * r[a];
    }
  }

 private:
  // The factor by which a vector of length r grows, and its slope.
  Slope<double> at(double r, double radius) const
  {
    const double y = (1 - r / radius) / depth, cube = 1 + y * y * y;
    const double length = radius * (1 - depth * y / std::cbrt(cube)), slope = std::pow(cube, -4.0 / 3);
    return {length / r, (slope - length / r) / r};
  }

  int64_t n_species;
  double depth;
  std::vector<double> radii;
};

// The repulsion between nuclei, see equipot/network/zbl.py.
template <class T> class Repulsion : public Operator<T> {
 public:
  explicit Repulsion(Fields<T> &&f)
  {
    n_species = f.n_species();
    const std::vector<int64_t> shape{n_species * n_species};
    charge = f.doubles("pair_charge", shape);
    inverse_length = f.doubles("inverse_length", shape);
    inverse_range = f.doubles("inverse_range", shape);
    for (double inverse : inverse_range) require(inverse > 0, "the range of a repulsion is not positive");
  }

  void forward(Run<T> &run) const override
  {
    for (int64_t e = 0; e < run.given->n_edges; ++e) {
      const double *r = run.given->edge_vectors + 3 * e;
      const int64_t pair = pair_of(run, e, n_species);
      if (inside(r, pair)) run.given->energies[run.given->centre[e]] += at(length(r), pair).f;
    }
  }

  void backward(Run<T> &run) const override
  {
    for (int64_t e = 0; e < run.given->n_edges; ++e) {
      const double *r = run.given->edge_vectors + 3 * e;
      const int64_t pair = pair_of(run, e, n_species);
      if (!inside(r, pair)) continue;
      const double distance = length(r), factor = at(distance, pair).f1 / distance * run.of_energy(run.given->centre[e]);
      for (int a = 0; a < 3; ++a) run.edge_gradient[3 * e + a] += factor * r[a];
    }
  }

 private:
  bool inside(const double *r, int64_t pair) const
  {
    return (r[0] * r[0] + r[1] * r[1] + r[2] * r[2]) * inverse_range[pair] * inverse_range[pair] < 1;
  }

  Slope<double> at(double r, int64_t pair) const
  {
    constexpr double universal[4][2] = {{0.18175, 3.19980}, {0.50986, 0.94229}, {0.28022, 0.40290}, {0.02817, 0.20162}};
    const double x = r * inverse_length[pair], u = r * inverse_range[pair];
    double screening = 0, screening1 = 0;
    for (const auto &[coefficient, exponent] : universal) {
      const double term = coefficient * std::exp(-exponent * x);
      screening += term;
      screening1 -= exponent * term;
    }
    screening1 *= inverse_length[pair];
    const double u2 = u * u, u5 = u2 * u2 * u;
    const double fade = 1 - u5 * u * (28 - 48 * u + 21 * u2), fade1 = -168 * u5 * (1 - u) * (1 - u) * inverse_range[pair];
    const double coulomb = 0.5 * charge[pair] / r;
    return {coulomb * screening * fade, coulomb * (screening1 * fade + screening * fade1 - screening * fade / r)};
  }

  int64_t n_species;
  std::vector<double> charge, inverse_length, inverse_range;
};

}    // namespace

template <class T> Maker<T> edge_operator(const std::string &kind)
{
  static const std::pair<const char *, Maker<T>> known[] = {
      {"exchange", make<T, Exchange<T>>},
      {"convolve", make<T, Convolve<T>>},
      {"seen", make<T, Seen<T>>},
      {"zbl", make<T, Repulsion<T>>},
  };
  return chosen(known, kind);
}

template Maker<float> edge_operator<float>(const std::string &);
template Maker<double> edge_operator<double>(const std::string &);

}    // namespace equipot
