// Operators that say how far the result can be trusted: equipot/network/grade.py and equipot/network/members.py.
#include "fields.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace equipot {
namespace {

// The extrapolation grade of each centre: the length of A (x - mean), with A of its species.
template <class T> class Grade : public Operator<T> {
 public:
  explicit Grade(Fields<T> &&f)
  {
    x = f.read("x");
    require(!f.value(x).everywhere, "a grade is not one of centres");
    d = f.value(x).columns;
    mean = f.reals("mean", {f.n_species(), d});
    factor = f.reals("factor", {f.n_species(), d * d});
    known = f.integers("known", 1);
    require(static_cast<int64_t>(known.size()) == f.n_species(), "a grade has other species");
    block[0] = 0, block[1] = 1, block[2] = d, block[3] = 0, block[4] = d, block[5] = 0;
    map = {sizeof(map), sizeof(T), 1, 0, d, d, f.n_species(), d * d, nullptr, 1, block};
    check_linear(map);
    number = f.net().n_linear++;
    output = f.net().outputs.size();
    f.net().outputs.push_back(f.text("name"));
  }

  void forward(Run<T> &run) const override
  {
    double *to = run.given->outputs ? run.given->outputs[output] : nullptr;
    const int64_t n = run.given->n_centres;
    if (!to) return;
    run.scratch.grow(static_cast<std::size_t>(2 * n * d));
    T *centred = run.scratch.data(), *whitened = centred + n * d;
    const T *from = run.value(x);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t c = 0; c < d; ++c) centred[i * d + c] = from[i * d + c] - mean[run.given->species[i] * d + c];
    equipot_linear here = map;
    here.blocks = block;
    run.apply(here, number, false, {centred, factor.data(), false, whitened});
    for (int64_t i = 0; i < n; ++i) {
      double square = 0;
      for (int64_t c = i * d; c < (i + 1) * d; ++c) square += static_cast<double>(whitened[c]) * static_cast<double>(whitened[c]);
      to[i] = known[run.given->species[i]] ? std::sqrt(square) : std::numeric_limits<double>::infinity();
    }
  }

 private:
  int64_t x, d;
  std::size_t number, output;
  int64_t block[EQUIPOT_BLOCK_FIELDS];
  std::vector<T> mean, factor;
  std::vector<int64_t> known;
  equipot_linear map;
};

// Members of a committee that differ in the last layer: E_k - E = sum over centres of scale of the species · (δ_k · x).
template <class T> class Members : public Operator<T> {
 public:
  explicit Members(Fields<T> &&f)
  {
    x = f.read("x");
    require(!f.value(x).everywhere, "members read other atoms than centres");
    require(f.net().n_members == 0, "there are members already");
    f.passes_to(x);
    d = f.value(x).columns;
    scales = f.doubles("scales", {f.n_species()});
    const std::vector<int64_t> shape = f.shape("members");
    members = f.doubles("members", {-1, d});
    factor = f.doubles("factor", {d, d});
    for (int64_t a = 0; a < d; ++a)
      for (int64_t c = a + 1; c < d; ++c) require(factor[a * d + c] == 0.0, "a factor is not lower triangular");
    require(!shape.empty() && shape[0] > 0, "it has no members");
    f.net().n_members = shape[0];
    f.net().n_deviation = d;
  }

  // The factor times the sum of scaled features.
  void forward(Run<T> &run) const override
  {
    double *to = run.given->deviation;
    if (!to) return;
    std::fill(to, to + d, 0.0);
    const T *from = run.value(x);
    for (int64_t i = 0; i < run.given->n_centres; ++i) {
      const double scale = scales[run.given->species[i]];
      for (int64_t c = 0; c < d; ++c) to[c] += scale * static_cast<double>(from[i * d + c]);
    }
    // In place: the factor is lower triangular.
    for (int64_t a = d - 1; a >= 0; --a) {
      double sum = 0.0;
      for (int64_t c = 0; c <= a; ++c) sum += factor[a * d + c] * to[c];
      to[a] = sum;
    }
  }

  void backward(Run<T> &run) const override
  {
    if (this->passes.empty()) return;
    T *dx = run.gradient(x);
    if (this->sets[0]) std::fill(dx, dx + run.given->n_centres * d, T(0));
    if (run.member < 0) return;
    const double *delta = members.data() + run.member * d;
    for (int64_t i = 0; i < run.given->n_centres; ++i) {
      const double scale = scales[run.given->species[i]];
      for (int64_t c = 0; c < d; ++c) dx[i * d + c] += static_cast<T>(scale * delta[c]);
    }
  }

 private:
  int64_t x, d;
  std::vector<double> scales, members, factor;
};

}    // namespace

template <class T> Maker<T> uncertainty_operator(const std::string &kind)
{
  static const std::pair<const char *, Maker<T>> known[] = {
      {"grade", make<T, Grade<T>>},
      {"members", make<T, Members<T>>},
  };
  return chosen(known, kind);
}

template Maker<float> uncertainty_operator<float>(const std::string &);
template Maker<double> uncertainty_operator<double>(const std::string &);

}    // namespace equipot
