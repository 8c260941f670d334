// The program of a model: its operators as JSON, and the arrays of their constants.
#pragma once

#include "json.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace equipot {

// Throws std::invalid_argument with the sentence unless `good`.
void require(bool good, const std::string &sentence);
void require(bool good, const char *sentence);    // without making a string for nothing

class Program {
 public:
  // Throws std::invalid_argument for a text that is no program of a known version, and for arrays that lie outside.
  Program(std::string_view text, std::string_view arrays);

  bool in_double = false;    // the dtype of values
  std::vector<std::string> type_names;
  double cutoff = 0;
  std::vector<double> pair_cutoffs;    // (n_species, n_species)
  std::vector<int64_t> columns;        // of each value

  int64_t n_species() const { return static_cast<int64_t>(type_names.size()); }
  const Json &root() const { return json; }
  const std::vector<Json> &operators() const { return json.at("operators").list("operators"); }

  // The array that a field of an operator names, as numbers of another type. `shape` is the expected one, -1 for any
  // size. Throws std::invalid_argument for another shape, and for a number that is not finite.
  template <class T>
  std::vector<T> array(const Json &from, const std::string &field, const std::vector<int64_t> &shape) const;
  std::vector<int64_t> shape(const Json &from, const std::string &field) const;

 private:
  struct Entry {
    std::string dtype;
    std::vector<int64_t> shape;
    std::string_view content;
  };
  const Entry &entry(const Json &from, const std::string &field) const;

  Json json;
  std::string data;
  std::vector<Entry> entries;
};

}    // namespace equipot
