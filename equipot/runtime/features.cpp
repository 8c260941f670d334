// Operators that are linear in the features of each atom, and the energies that are read from them.
#include "fields.h"

#include <algorithm>

namespace equipot {
namespace {

// The first features: a row of weights for each species.
template <class T> class Embed : public Operator<T> {
 public:
  explicit Embed(Fields<T> &&f)
  {
    out = f.write("out", true, false);
    columns = f.value(out).columns;
    weight = f.reals("weight", {f.n_species(), columns});
  }

  void forward(Run<T> &run) const override
  {
    T *to = run.value(out);
    const int64_t *species = run.given->species;
    for (int64_t i = 0; i < run.given->n_atoms; ++i)
      std::copy_n(weight.data() + species[i] * columns, columns, to + i * columns);
  }

 private:
  int64_t out, columns;
  std::vector<T> weight;
};

// Matrices of the blocks of a feature, for all atoms or for each species.
template <class T> class Linear : public Operator<T> {
 public:
  explicit Linear(Fields<T> &&f)
  {
    adds = f.boolean("adds");
    x = f.read("x");
    if (adds) {
      out = f.change("out");
      require(!f.value(out).everywhere && (f.value(out).moves || !f.value(x).moves), "a linear map adds to other rows");
    } else {
      out = f.write("out", f.value(x).everywhere, f.value(x).moves);
    }
    everywhere = f.value(out).everywhere;
    f.passes_to(x);
    blocks = f.integers("blocks", EQUIPOT_BLOCK_FIELDS);
    const std::vector<int64_t> shape = f.shape("weight");
    require(shape.size() == 2 && (shape[0] == 1 || shape[0] == f.n_species()), "a linear map has weights of other species");
    weight = f.reals("weight", shape);
    map = {sizeof(map), sizeof(T), 1, 0, f.value(x).columns, f.value(out).columns, shape[0], shape[1], nullptr,
           static_cast<int64_t>(blocks.size()) / EQUIPOT_BLOCK_FIELDS, nullptr};
    map.blocks = blocks.data();
    check_linear(map);
    number = f.net().n_linear++;
  }

  void forward(Run<T> &run) const override
  {
    run.apply(map, number, everywhere, {run.value(x), weight.data(), false, run.value(out), adds});
  }

  void backward(Run<T> &run) const override
  {
    if (this->passes.empty()) return;
    run.apply(map, number, everywhere, {run.gradient(out), weight.data(), true, run.gradient(x), !this->sets[0]});
  }

 private:
  int64_t x, out;
  bool adds, everywhere;
  std::size_t number;
  std::vector<int64_t> blocks;
  std::vector<T> weight;
  equipot_linear map;
};

// Constants of some columns.
template <class T> class Bias : public Operator<T> {
 public:
  explicit Bias(Fields<T> &&f)
  {
    x = f.change("x");
    start = f.integer("start");
    const std::vector<int64_t> shape = f.shape("bias");
    bias = f.reals("bias", {shape.empty() ? 0 : shape[0]});
    columns = f.value(x).columns;
    everywhere = f.value(x).everywhere;
    require(start >= 0 && start + static_cast<int64_t>(bias.size()) <= columns, "a bias lies beyond the columns");
  }

  void forward(Run<T> &run) const override
  {
    T *to = run.value(x) + start;
    for (int64_t i = 0; i < run.rows(everywhere); ++i, to += columns)
      for (std::size_t c = 0; c < bias.size(); ++c) to[c] += bias[c];
  }

 private:
  int64_t x, start, columns;
  bool everywhere;
  std::vector<T> bias;
};

// A factor for the rows of each species.
template <class T> class Scale : public Operator<T> {
 public:
  explicit Scale(Fields<T> &&f)
  {
    x = f.change("x");
    factors = f.reals("factors", {f.n_species()});
    columns = f.value(x).columns;
    everywhere = f.value(x).everywhere;
    moves = f.value(x).moves;
  }

  void forward(Run<T> &run) const override { multiply(run, run.value(x)); }
  void backward(Run<T> &run) const override
  {
    if (moves) multiply(run, run.gradient(x));
  }

 private:
  void multiply(Run<T> &run, T *rows) const
  {
    over_rows(run.given->threads, run.rows(everywhere), columns, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const T factor = factors[run.given->species[i]];
        for (int64_t c = 0; c < columns; ++c) rows[i * columns + c] *= factor;
      }
    });
  }

  int64_t x, columns;
  bool everywhere, moves;
  std::vector<T> factors;
};

// out[:, to … to + size] += x[:, from … from + size].
template <class T> class Add : public Operator<T> {
 public:
  explicit Add(Fields<T> &&f)
  {
    x = f.read("x");
    out = f.change("out");
    f.passes_to(x);
    columns_x = f.value(x).columns;
    columns_out = f.value(out).columns;
    require(!f.value(out).everywhere && (f.value(out).moves || !f.value(x).moves), "features are added to other rows");
    places = f.integers("columns", 3);
    for (std::size_t p = 0; p < places.size(); p += 3)
      require(places[p] >= 0 && places[p + 1] >= 0 && places[p + 2] > 0 && places[p] + places[p + 2] <= columns_x &&
                  places[p + 1] + places[p + 2] <= columns_out,
              "features are added beyond the columns");
  }

  void forward(Run<T> &run) const override { add(run, run.value(x), run.value(out), 0, 1, columns_x, columns_out); }
  void backward(Run<T> &run) const override
  {
    if (this->passes.empty()) return;
    T *dx = run.gradient(x);
    if (this->sets[0]) std::fill(dx, dx + run.rows(false) * columns_x, T(0));
    add(run, run.gradient(out), dx, 1, 0, columns_out, columns_x);
  }

 private:
  void add(Run<T> &run, const T *from, T *to, int source, int target, int64_t from_stride, int64_t to_stride) const
  {
    over_rows(run.given->threads, run.rows(false), columns_out, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        for (std::size_t p = 0; p < places.size(); p += 3)
          for (int64_t c = 0; c < places[p + 2]; ++c)
            to[i * to_stride + places[p + target] + c] += from[i * from_stride + places[p + source] + c];
    });
  }

  int64_t x, out, columns_x, columns_out;
  std::vector<int64_t> places;
};

// E0 + scale times the only column of a value; where the gradients begin.
template <class T> class Energies : public Operator<T> {
 public:
  explicit Energies(Fields<T> &&f)
  {
    x = f.read("x");
    require(f.value(x).columns == 1 && !f.value(x).everywhere, "the readout is not one number for each centre");
    f.passes_to(x);
    scales = f.doubles("scales", {f.n_species()});
    e0 = f.doubles("e0", {f.n_species()});
  }

  void forward(Run<T> &run) const override
  {
    const T *from = run.value(x);
    for (int64_t i = 0; i < run.given->n_centres; ++i) {
      const int64_t s = run.given->species[i];
      run.given->energies[i] += static_cast<double>(from[i]) * scales[s] + e0[s];
    }
  }

  void backward(Run<T> &run) const override
  {
    if (this->passes.empty()) return;
    T *dx = run.gradient(x);
    for (int64_t i = 0; i < run.given->n_centres; ++i) {
      const T g = static_cast<T>(scales[run.given->species[i]] * run.of_energy(i));
      dx[i] = g + (this->sets[0] ? T(0) : dx[i]);
    }
  }

 private:
  int64_t x;
  std::vector<double> scales, e0;
};

}    // namespace

template <class T> Maker<T> feature_operator(const std::string &kind)
{
  static const std::pair<const char *, Maker<T>> known[] = {
      {"embed", make<T, Embed<T>>},
      {"linear", make<T, Linear<T>>},
      {"bias", make<T, Bias<T>>},
      {"scale", make<T, Scale<T>>},
      {"add", make<T, Add<T>>},
      {"energies", make<T, Energies<T>>},
  };
  return chosen(known, kind);
}

template Maker<float> feature_operator<float>(const std::string &);
template Maker<double> feature_operator<double>(const std::string &);

}    // namespace equipot
