// JSON texts as trees of values. Only what programs hold: no \u escapes beyond ASCII, no numbers outside double.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace equipot {

class Json {
 public:
  // Throws std::invalid_argument for text that is no JSON.
  static Json parse(std::string_view text);

  // Each throws std::invalid_argument if the value is of another kind; `what` names it in the sentence.
  double number(const std::string &what) const;
  int64_t integer(const std::string &what) const;    // from -2^53 to 2^53
  bool boolean(const std::string &what) const;
  const std::string &text(const std::string &what) const;
  const std::vector<Json> &list(const std::string &what) const;

  // The entry of an object; throws std::invalid_argument if there is none.
  const Json &at(const std::string &name) const;
  bool has(const std::string &name) const;

 private:
  friend class JsonParser;
  enum class Kind { null, boolean, number, text, list, object };
  Kind kind = Kind::null;
  double value = 0;
  std::string characters;
  std::vector<Json> entries;
  std::map<std::string, Json> members;
};

}    // namespace equipot
