#include "program.h"

#include <cmath>
#include <cstring>
#include <stdexcept>

namespace equipot {

void require(bool good, const char *sentence)
{
  if (!good) throw std::invalid_argument(sentence);
}

void require(bool good, const std::string &sentence)
{
  if (!good) throw std::invalid_argument(sentence);
}

namespace {

constexpr int64_t newest_version = 1;    // VERSION of equipot/network/program.py

int64_t bytes_of(const std::string &dtype)
{
  if (dtype == "float32") return 4;
  if (dtype == "float64" || dtype == "int64") return 8;
  throw std::invalid_argument("an array has the dtype " + dtype);
}

template <class From, class To> std::vector<To> converted(std::string_view content)
{
  std::vector<To> result(content.size() / sizeof(From));
  for (std::size_t k = 0; k < result.size(); ++k) {
    From number;
    std::memcpy(&number, content.data() + k * sizeof(From), sizeof(From));
    result[k] = static_cast<To>(number);
  }
  return result;
}

}    // namespace

Program::Program(std::string_view text, std::string_view arrays) : json(Json::parse(text)), data(arrays)
{
  const int64_t version = json.at("version").integer("the version of its program");
  require(version >= 1 && version <= newest_version,
          "its program has version " + std::to_string(version) + ", this equipot runs up to " +
              std::to_string(newest_version) + "; install a newer equipot");
  const std::string &dtype = json.at("dtype").text("its dtype");
  require(dtype == "float32" || dtype == "float64", "its dtype is " + dtype + ", expected float32 or float64");
  in_double = dtype == "float64";
  for (const Json &name : json.at("type_names").list("type_names")) type_names.push_back(name.text("a type name"));
  require(!type_names.empty() && type_names.size() <= 1000, "it has no elements");
  for (const Json &size : json.at("columns").list("columns")) {
    columns.push_back(size.integer("a number of columns"));
    require(columns.back() > 0 && columns.back() <= INT32_MAX, "a value has no columns, or too many");
  }
  for (const Json &array : json.at("arrays").list("arrays")) {
    Entry entry{array.at("dtype").text("a dtype"), {}, {}};
    const uint64_t offset = static_cast<uint64_t>(array.at("offset").integer("an offset"));
    uint64_t size = static_cast<uint64_t>(bytes_of(entry.dtype));
    for (const Json &n : array.at("shape").list("a shape")) {
      entry.shape.push_back(n.integer("a size"));
      require(entry.shape.back() >= 0 && entry.shape.back() <= INT32_MAX, "an array has a size below 0 or too large");
      size *= static_cast<uint64_t>(entry.shape.back());
      require(size <= data.size(), "an array lies outside of the data");
    }
    require(offset <= data.size() && size <= data.size() - offset, "an array lies outside of the data");
    entry.content = std::string_view(data).substr(offset, size);
    entries.push_back(std::move(entry));
  }
  cutoff = json.at("cutoff").number("its cutoff");
  constexpr double longest = 100.0;    // Å; with a longer one a neighbour search would not end
  require(cutoff > 0 && cutoff < longest,
          "it has a cutoff of " + std::to_string(cutoff) + " Å, expected more than 0 and less than 100");
  pair_cutoffs = array<double>(json, "pair_cutoffs", {n_species(), n_species()});
  for (double value : pair_cutoffs)
    require(value > 0 && value <= cutoff, "it has a cutoff of " + std::to_string(value) +
                                              " Å between two elements, expected more than 0 and at most " +
                                              std::to_string(cutoff));
}

const Program::Entry &Program::entry(const Json &from, const std::string &field) const
{
  const int64_t k = from.at(field).integer(field);
  require(k >= 0 && k < static_cast<int64_t>(entries.size()), field + " is no array");
  return entries[static_cast<std::size_t>(k)];
}

std::vector<int64_t> Program::shape(const Json &from, const std::string &field) const
{
  return entry(from, field).shape;
}

template <class T>
std::vector<T> Program::array(const Json &from, const std::string &field, const std::vector<int64_t> &shape) const
{
  const Entry &given = entry(from, field);
  bool fits = given.shape.size() == shape.size();
  for (std::size_t k = 0; fits && k < shape.size(); ++k) fits = shape[k] < 0 || shape[k] == given.shape[k];
  require(fits, field + " has another shape than its operator needs");
  if (given.dtype == "int64") return converted<int64_t, T>(given.content);
  std::vector<T> numbers =
      given.dtype == "float32" ? converted<float, T>(given.content) : converted<double, T>(given.content);
  for (T number : numbers) require(std::isfinite(static_cast<double>(number)), field + " holds a number that is not finite");
  return numbers;
}

template std::vector<float> Program::array(const Json &, const std::string &, const std::vector<int64_t> &) const;
template std::vector<double> Program::array(const Json &, const std::string &, const std::vector<int64_t> &) const;
template std::vector<int64_t> Program::array(const Json &, const std::string &, const std::vector<int64_t> &) const;

}    // namespace equipot
