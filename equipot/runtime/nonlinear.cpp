// Operators that are not linear in the features of each atom.
#include "fields.h"

#include <algorithm>
#include <cmath>

namespace equipot {
namespace {

// Adds W (sqrt(1 + |x_l|²/(2l + 1)) - 1) to scalars, see equipot/network/norms.py.
template <class T> class Norms : public Operator<T> {
 public:
  explicit Norms(Fields<T> &&f)
  {
    x = f.change("x");
    f.needs(x);
    columns = f.value(x).columns;
    everywhere = f.value(x).everywhere;
    blocks = f.integers("blocks", 3);
    const int64_t start = f.integer("start");
    const std::vector<int64_t> shape = f.shape("weight");
    require(shape.size() == 2, "the weights of norms are no matrix");
    weight = f.reals("weight", shape);
    channels = shape[0];
    int64_t used = 0;
    for (std::size_t b = 0; b < blocks.size(); b += 3) {
      require(blocks[b] >= 0 && blocks[b + 1] > 0 && blocks[b + 2] > 0 && blocks[b + 1] <= 2 * EQUIPOT_L_MAX + 1 &&
                  blocks[b] + blocks[b + 1] * blocks[b + 2] <= columns,
              "norms read beyond the columns");
      require(blocks[b] >= start + shape[1] || blocks[b] + blocks[b + 1] * blocks[b + 2] <= start,
              "norms read the columns that they change");
      used += blocks[b + 2];
    }
    require(used == channels, "norms have other channels than weights");
    block[0] = 0, block[1] = 1, block[2] = channels, block[3] = start, block[4] = shape[1], block[5] = 0;
    map = {sizeof(map), sizeof(T), 1, 0, channels, columns, 1, channels * shape[1], nullptr, 1, block};
    check_linear(map);
    number = f.net().n_linear++;
  }

  void forward(Run<T> &run) const override
  {
    const T *from = run.value(x);
    T *lengths = scratch(run);
    over_rows(run.given->threads, run.rows(everywhere), columns, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        T *to = lengths + i * channels;
        for (std::size_t b = 0; b < blocks.size(); to += blocks[b + 2], b += 3)
          roots(from + i * columns + blocks[b], blocks[b + 1], blocks[b + 2], to, T(1));
      }
    });
    run.apply(map, number, everywhere, {lengths, weight.data(), false, run.value(x), true});
  }

  void backward(Run<T> &run) const override
  {
    const T *from = run.value(x);
    T *gradient = run.gradient(x), *of_lengths = scratch(run);
    run.apply(map, number, everywhere, {gradient, weight.data(), true, of_lengths});
    over_rows(run.given->threads, run.rows(everywhere), columns, [&](int64_t first, int64_t last) {
      static thread_local std::vector<T> root;
      for (int64_t i = first; i < last; ++i) {
        const T *g = of_lengths + i * channels;
        for (std::size_t b = 0; b < blocks.size(); g += blocks[b + 2], b += 3) {
          const int64_t dim = blocks[b + 1], mul = blocks[b + 2], at = i * columns + blocks[b];
          root.resize(static_cast<std::size_t>(mul));
          roots(from + at, dim, mul, root.data(), T(0));
          for (int64_t c = 0; c < mul; ++c) root[c] = g[c] / (static_cast<T>(dim) * root[c]);
          for (int64_t m = 0; m < dim; ++m)
            for (int64_t c = 0; c < mul; ++c) gradient[at + m * mul + c] += root[c] * from[at + m * mul + c];
        }
      }
    });
  }

 private:
  // sqrt(1 + |x|²/dim) - less for each channel.
  static void roots(const T *from, int64_t dim, int64_t mul, T *to, T less)
  {
    std::fill(to, to + mul, T(0));
    for (int64_t m = 0; m < dim; ++m)
      for (int64_t c = 0; c < mul; ++c) to[c] += from[m * mul + c] * from[m * mul + c];
    for (int64_t c = 0; c < mul; ++c) to[c] = std::sqrt(T(1) + to[c] / static_cast<T>(dim)) - less;
  }

  T *scratch(Run<T> &run) const
  {
    const std::size_t size = static_cast<std::size_t>(run.rows(everywhere) * channels);
    run.scratch.grow(size);
    return run.scratch.data();
  }

  int64_t x, columns, channels;
  bool everywhere;
  std::vector<int64_t> blocks;
  int64_t block[EQUIPOT_BLOCK_FIELDS];
  std::size_t number;
  std::vector<T> weight;
  equipot_linear map;
};

// x_b / sqrt(1 + |x_b|²/(n c²)) for the n columns of each block.
template <class T> class Bound : public Operator<T> {
 public:
  explicit Bound(Fields<T> &&f)
  {
    x = f.read("x");
    out = f.write("out", f.value(x).everywhere, f.value(x).moves);
    f.passes_to(x);
    f.needs(x);
    columns = f.value(x).columns;
    everywhere = f.value(x).everywhere;
    require(f.value(out).columns == columns, "a bound changes the columns");
    blocks = f.integers("blocks", 2);
    bound = f.number("bound");
    require(bound > 0, "a bound is not positive");
    int64_t at = 0;
    for (std::size_t b = 0; b < blocks.size(); b += 2) {
      require(blocks[b] == at && blocks[b + 1] > 0, "the blocks of a bound are not all columns");
      at += blocks[b + 1];
    }
    require(at == columns, "the blocks of a bound are not all columns");
  }

  void forward(Run<T> &run) const override
  {
    const T *from = run.value(x);
    T *to = run.value(out);
    each(run, [&](int64_t at, int64_t n) {
      const T factor = this->factor(from + at, n);
      for (int64_t c = at; c < at + n; ++c) to[c] = factor * from[c];
    });
  }

  void backward(Run<T> &run) const override
  {
    if (this->passes.empty()) return;
    const T *from = run.value(x), *g = run.gradient(out);
    T *dx = run.gradient(x);
    const bool sets = this->sets[0];
    each(run, [&](int64_t at, int64_t n) {
      const T factor = this->factor(from + at, n);
      T product = 0;
      for (int64_t c = at; c < at + n; ++c) product += from[c] * g[c];
      product *= factor * factor * factor / (static_cast<T>(n) * static_cast<T>(bound * bound));
      for (int64_t c = at; c < at + n; ++c) dx[c] = factor * g[c] - product * from[c] + (sets ? T(0) : dx[c]);
    });
  }

 private:
  T factor(const T *from, int64_t n) const
  {
    T square = 0;
    for (int64_t c = 0; c < n; ++c) square += from[c] * from[c];
    return 1 / std::sqrt(T(1) + square / (static_cast<T>(n) * static_cast<T>(bound * bound)));
  }

  template <class Body> void each(Run<T> &run, Body &&body) const
  {
    over_rows(run.given->threads, run.rows(everywhere), columns, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        for (std::size_t b = 0; b < blocks.size(); b += 2) body(i * columns + blocks[b], blocks[b + 1]);
    });
  }

  int64_t x, out, columns;
  bool everywhere;
  double bound;
  std::vector<int64_t> blocks;
};

// w x / sqrt(sum of means x² + epsilon) for each row, see equipot/network/layer_norm.py.
template <class T> class LayerNorm : public Operator<T> {
 public:
  explicit LayerNorm(Fields<T> &&f)
  {
    x = f.read("x");
    out = f.write("out", f.value(x).everywhere, f.value(x).moves);
    f.passes_to(x);
    f.needs(x);
    columns = f.value(x).columns;
    everywhere = f.value(x).everywhere;
    require(f.value(out).columns == columns, "a layer norm changes the columns");
    means = f.reals("means", {columns});
    weight = f.reals("weight", {columns});
    epsilon = static_cast<T>(f.number("epsilon"));
    require(epsilon > 0, "the epsilon of a layer norm is not positive");
    for (T mean : means) require(mean >= 0, "a layer norm has a negative square");
  }

  void forward(Run<T> &run) const override
  {
    const T *from = run.value(x);
    T *to = run.value(out);
    over_rows(run.given->threads, run.rows(everywhere), columns, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const T *row = from + i * columns;
        const T scale = this->scale(row);
        for (int64_t c = 0; c < columns; ++c) to[i * columns + c] = row[c] * scale * weight[c];
      }
    });
  }

  void backward(Run<T> &run) const override
  {
    if (this->passes.empty()) return;
    const T *from = run.value(x), *of_out = run.gradient(out);
    T *of_x = run.gradient(x);
    const bool sets = this->sets[0];
    over_rows(run.given->threads, run.rows(everywhere), columns, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const T *row = from + i * columns, *g = of_out + i * columns;
        const T scale = this->scale(row);
        T product = 0;
#pragma omp simd reduction(+ : product)
        for (int64_t c = 0; c < columns; ++c) product += weight[c] * g[c] * row[c];
        product *= scale * scale * scale;
        T *to = of_x + i * columns;
        for (int64_t c = 0; c < columns; ++c)
          to[c] = scale * weight[c] * g[c] - product * means[c] * row[c] + (sets ? T(0) : to[c]);
      }
    });
  }

 private:
  T scale(const T *row) const
  {
    T square = 0;
#pragma omp simd reduction(+ : square)
    for (int64_t c = 0; c < columns; ++c) square += means[c] * row[c] * row[c];
    return 1 / std::sqrt(square + epsilon);
  }

  int64_t x, out, columns;
  bool everywhere;
  T epsilon;
  std::vector<T> means, weight;
};

template <class T> class Gate : public Operator<T> {
 public:
  explicit Gate(Fields<T> &&f)
  {
    x = f.read("x");
    out = f.write("out", f.value(x).everywhere, f.value(x).moves);
    f.passes_to(x, true);
    f.needs(x);
    everywhere = f.value(x).everywhere;
    blocks = f.integers("blocks", EQUIPOT_GATE_FIELDS);
    plan = {sizeof(plan), sizeof(T), 1, 0, f.value(x).columns, f.value(out).columns,
            static_cast<int64_t>(blocks.size()) / EQUIPOT_GATE_FIELDS, blocks.data(), f.number("silu"), f.number("tanh")};
    check_gate(plan);
  }

  void forward(Run<T> &run) const override { kernels_of(T()).gate(of(run), run.value(x), run.value(out)); }
  void backward(Run<T> &run) const override
  {
    if (this->passes.empty()) return;
    kernels_of(T()).gate_backward(of(run), run.value(x), run.gradient(out), run.gradient(x));
  }

 private:
  equipot_gating of(Run<T> &run) const
  {
    equipot_gating here = plan;
    here.threads = run.given->threads;
    here.n = run.rows(everywhere);
    here.blocks = blocks.data();
    return here;
  }

  int64_t x, out;
  bool everywhere;
  std::vector<int64_t> blocks;
  equipot_gating plan;
};

template <class T> T sigmoid(T x) { return 1 / (1 + std::exp(-x)); }
template <class T> T softplus(T x) { return x > 20 ? x : std::log1p(std::exp(x)); }

// The activations of equipot/network/activation.py with their slopes.
template <class T> Slope<T> silu(T x)
{
  const T s = sigmoid(x);
  return {x * s, s * (1 + x * (1 - s))};
}
template <class T> Slope<T> ssp(T x) { return {softplus(x) - T(0.6931471805599453), sigmoid(x)}; }
template <class T> Slope<T> hyperbolic(T x)
{
  const T t = std::tanh(x);
  return {t, 1 - t * t};
}
template <class T> Slope<T> relu(T x) { return {x > 0 ? x : 0, T(x > 0 ? 1 : 0)}; }
template <class T> Slope<T> gelu(T x)
{
  const T normal = T(0.5) * (1 + std::erf(x * T(0.7071067811865476)));
  return {x * normal, normal + x * T(0.3989422804014327) * std::exp(T(-0.5) * x * x)};
}
template <class T> Slope<T> mish(T x)
{
  const T t = std::tanh(softplus(x));
  return {x * t, t + x * (1 - t * t) * sigmoid(x)};
}

// An activation of all columns, times a constant.
template <class T> class Activate : public Operator<T> {
 public:
  explicit Activate(Fields<T> &&f)
  {
    x = f.read("x");
    out = f.write("out", f.value(x).everywhere, f.value(x).moves);
    f.passes_to(x);
    f.needs(x);
    columns = f.value(x).columns;
    require(f.value(out).columns == columns, "an activation changes the columns");
    everywhere = f.value(x).everywhere;
    gain = static_cast<T>(f.number("gain"));
    const std::pair<const char *, Slope<T> (*)(T)> known[] = {{"silu", silu<T>}, {"ssp", ssp<T>}, {"tanh", hyperbolic<T>},
                                                             {"relu", relu<T>}, {"gelu", gelu<T>}, {"mish", mish<T>}};
    for (const auto &[name, apply] : known)
      if (f.text("function") == name) function = apply;
    require(function != nullptr, "'" + f.text("function") + "' is no activation");
  }

  void forward(Run<T> &run) const override
  {
    const T *from = run.value(x);
    T *to = run.value(out);
    for (int64_t k = 0; k < run.rows(everywhere) * columns; ++k) to[k] = gain * function(from[k]).f;
  }

  void backward(Run<T> &run) const override
  {
    if (this->passes.empty()) return;
    const T *from = run.value(x), *g = run.gradient(out);
    T *dx = run.gradient(x);
    for (int64_t k = 0; k < run.rows(everywhere) * columns; ++k)
      dx[k] = g[k] * gain * function(from[k]).f1 + (this->sets[0] ? T(0) : dx[k]);
  }

 private:
  int64_t x, out, columns;
  bool everywhere;
  T gain;
  Slope<T> (*function)(T) = nullptr;
};

}    // namespace

template <class T> Maker<T> nonlinear_operator(const std::string &kind)
{
  static const std::pair<const char *, Maker<T>> known[] = {
      {"norms", make<T, Norms<T>>},
      {"bound", make<T, Bound<T>>},
      {"layer_norm", make<T, LayerNorm<T>>},
      {"gate", make<T, Gate<T>>},
      {"activate", make<T, Activate<T>>},
  };
  return chosen(known, kind);
}

template Maker<float> nonlinear_operator<float>(const std::string &);
template Maker<double> nonlinear_operator<double>(const std::string &);

}    // namespace equipot
