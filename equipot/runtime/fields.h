// What the operators of a program are made from: the fields of their records, checked.
#pragma once

#include "operators.h"

#include <stdexcept>
#include <string>
#include <vector>

namespace equipot {

// Reads the fields of a record, and keeps the account of values for the operator that is made of it.
template <class T> class Fields {
 public:
  Fields(const Program &program, const Json &record, Network<T> &network, Operator<T> &made) :
      program(program), record(record), network(network), made(made)
  {
  }

  int64_t read(const char *field)
  {
    const int64_t v = record.at(field).integer(field);
    require(v >= 0 && v < static_cast<int64_t>(network.values.size()), std::string(field) + " is no value");
    require(network.values[v].columns > 0, std::string(field) + " is read before it is written");
    made.reads.push_back(v);
    return v;
  }

  // A value that exists already.
  int64_t change(const char *field)
  {
    const int64_t v = read(field);
    made.writes.push_back(v);
    return v;
  }

  // A new value.
  int64_t write(const char *field, bool everywhere, bool moves)
  {
    const int64_t v = record.at(field).integer(field);
    require(v >= 0 && v < static_cast<int64_t>(network.values.size()), std::string(field) + " is no value");
    require(network.values[v].columns == 0, std::string(field) + " is written twice");
    network.values[v] = {program.columns[v], everywhere, moves};
    made.writes.push_back(v);
    return v;
  }

  const Value &value(int64_t v) const { return network.values[v]; }
  void passes_to(int64_t v, bool only_sets = false)
  {
    if (value(v).moves) made.passes.push_back(v);
    made.only_sets = only_sets;
  }
  void needs(int64_t v) { made.needs.push_back(v); }

  std::vector<T> reals(const char *field, std::vector<int64_t> shape) const
  {
    return program.array<T>(record, field, shape);
  }
  std::vector<double> doubles(const char *field, std::vector<int64_t> shape) const
  {
    return program.array<double>(record, field, shape);
  }
  // So small that sums and products of two do not overflow.
  std::vector<int64_t> integers(const char *field, int64_t width) const
  {
    std::vector<int64_t> numbers = program.array<int64_t>(record, field, {-1, width});
    for (int64_t number : numbers) small(number, field);
    return numbers;
  }
  std::vector<int64_t> shape(const char *field) const { return program.shape(record, field); }
  double number(const char *field) const { return record.at(field).number(field); }
  int64_t integer(const char *field) const { return small(record.at(field).integer(field), field); }
  bool boolean(const char *field) const { return record.at(field).boolean(field); }
  const std::string &text(const char *field) const { return record.at(field).text(field); }
  int64_t n_species() const { return program.n_species(); }
  Network<T> &net() { return network; }

 private:
  static int64_t small(int64_t number, const char *field)
  {
    if (number < -INT32_MAX || number > INT32_MAX)
      throw std::invalid_argument(std::string(field) + " holds a number that is too large");
    return number;
  }

  const Program &program;
  const Json &record;
  Network<T> &network;
  Operator<T> &made;
};

inline const Kernels &kernels_of(double) { return kernels(EQUIPOT_FLOAT64); }
inline const Kernels &kernels_of(float) { return kernels(EQUIPOT_FLOAT32); }

// A function and its slope at one place.
template <class T> struct Slope {
  T f, f1;
};

template <class T>
using Maker = std::unique_ptr<Operator<T>> (*)(const Program &, const Json &, Network<T> &);

template <class T, class Made>
std::unique_ptr<Operator<T>> make(const Program &program, const Json &record, Network<T> &network)
{
  // The account of values is kept while the operator is constructed, and moved into it afterwards.
  struct Account : Operator<T> {
    void forward(Run<T> &) const override {}
  } account;
  auto made = std::make_unique<Made>(Fields<T>(program, record, network, account));
  made->reads = account.reads;
  made->writes = account.writes;
  made->needs = account.needs;
  made->passes = account.passes;
  made->only_sets = account.only_sets;
  return made;
}

// The maker of an operator by its kind; null for a kind of another file.
template <class T> Maker<T> feature_operator(const std::string &kind);         // features.cpp
template <class T> Maker<T> nonlinear_operator(const std::string &kind);       // nonlinear.cpp
template <class T> Maker<T> edge_operator(const std::string &kind);            // edges.cpp
template <class T> Maker<T> uncertainty_operator(const std::string &kind);     // uncertainty.cpp

// Of a table of kinds.
template <class T, std::size_t n>
Maker<T> chosen(const std::pair<const char *, Maker<T>> (&known)[n], const std::string &kind)
{
  for (const auto &[name, maker] : known)
    if (kind == name) return maker;
  return nullptr;
}

}    // namespace equipot
