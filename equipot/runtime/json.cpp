#include "json.h"

#include <cmath>
#include <cstdlib>
#include <stdexcept>

namespace equipot {

class JsonParser {
 public:
  explicit JsonParser(std::string_view text) : text(text) {}

  Json document()
  {
    Json result = value(0);
    skip_blanks();
    if (at != text.size()) fail("text follows its end");
    return result;
  }

 private:
  static constexpr int deepest = 32;

  [[noreturn]] void fail(const std::string &what) const
  {
    throw std::invalid_argument("JSON at byte " + std::to_string(at) + ": " + what);
  }

  void skip_blanks()
  {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r')) ++at;
  }

  char next()
  {
    skip_blanks();
    if (at == text.size()) fail("it ends early");
    return text[at];
  }

  void expect(char c)
  {
    if (next() != c) fail(std::string("expected ") + c);
    ++at;
  }

  bool word(std::string_view name)
  {
    if (text.substr(at, name.size()) != name) return false;
    at += name.size();
    return true;
  }

  Json value(int depth)
  {
    if (depth > deepest) fail("it is too deep");
    Json result;
    switch (next()) {
      case '{':
        result.kind = Json::Kind::object;
        sequence('}', [&] {
          if (next() != '"') fail("expected a name");
          std::string name = characters();
          expect(':');
          result.members[std::move(name)] = value(depth + 1);
        });
        break;
      case '[':
        result.kind = Json::Kind::list;
        sequence(']', [&] { result.entries.push_back(value(depth + 1)); });
        break;
      case '"':
        result.kind = Json::Kind::text;
        result.characters = characters();
        break;
      case 't':
      case 'f':
        result.kind = Json::Kind::boolean;
        result.value = text[at] == 't';
        if (!word(result.value != 0 ? "true" : "false")) fail("an unknown word");
        break;
      case 'n':
        if (!word("null")) fail("an unknown word");
        break;
      default:
        result.kind = Json::Kind::number;
        result.value = number();
    }
    return result;
  }

  template <class Entry> void sequence(char end, Entry &&entry)
  {
    ++at;
    if (next() == end) {
      ++at;
      return;
    }
    while (true) {
      entry();
      const char c = next();
      ++at;
      if (c == end) return;
      if (c != ',') fail("expected , or the end of a list");
    }
  }

  std::string characters()
  {
    std::string result;
    for (++at; at < text.size(); ++at) {
      const char c = text[at];
      if (c == '"') {
        ++at;
        return result;
      }
      if (static_cast<unsigned char>(c) < 0x20) fail("a text is not closed");
      if (c != '\\') {
        result += c;
        continue;
      }
      if (++at == text.size()) break;
      const std::string_view escapes = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
      const std::size_t k = escapes.find(text[at]);
      if (k == std::string_view::npos) fail("an escape that no model needs");
      result += meanings[k];
    }
    fail("a text is not closed");
  }

  double number()
  {
    std::size_t end = at;
    while (end < text.size() && std::string_view("+-.0123456789eE").find(text[end]) != std::string_view::npos) ++end;
    const std::string digits(text.substr(at, end - at));
    char *stop = nullptr;
    const double result = std::strtod(digits.c_str(), &stop);
    if (digits.empty() || stop != digits.c_str() + digits.size() || !std::isfinite(result)) fail("no number");
    at = end;
    return result;
  }

  std::string_view text;
  std::size_t at = 0;
};

namespace {

void require(bool good, const std::string &what, const char *kind)
{
  if (!good) throw std::invalid_argument(what + " is not " + kind);
}

}    // namespace

Json Json::parse(std::string_view text) { return JsonParser(text).document(); }

double Json::number(const std::string &what) const
{
  require(kind == Kind::number, what, "a number");
  return value;
}

int64_t Json::integer(const std::string &what) const
{
  constexpr double largest = 9007199254740992.0;
  require(kind == Kind::number && std::floor(value) == value && std::fabs(value) <= largest, what, "an integer");
  return static_cast<int64_t>(value);
}

bool Json::boolean(const std::string &what) const
{
  require(kind == Kind::boolean, what, "true or false");
  return value != 0;
}

const std::string &Json::text(const std::string &what) const
{
  require(kind == Kind::text, what, "a text");
  return characters;
}

const std::vector<Json> &Json::list(const std::string &what) const
{
  require(kind == Kind::list, what, "a list");
  return entries;
}

const Json &Json::at(const std::string &name) const
{
  const auto entry = members.find(name);
  if (entry == members.end()) throw std::invalid_argument("it has no " + name);
  return entry->second;
}

bool Json::has(const std::string &name) const { return members.count(name) > 0; }

}    // namespace equipot
