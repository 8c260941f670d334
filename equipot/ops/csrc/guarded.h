// What every C function does with its body: exceptions become a sentence and -1.
#pragma once

#include <cstdint>
#include <cstdio>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>

namespace equipot {

// A caller that was built for other fields would have them read as something else.
template <class Structure> void check_size(const Structure &given, const char *name)
{
  if (given.size != static_cast<int64_t>(sizeof(Structure)))
    throw std::invalid_argument(std::string(name) + " has " + std::to_string(given.size) + " bytes; expected " +
                                std::to_string(sizeof(Structure)));
}

template <class Body> int guarded(char *error, size_t error_size, Body &&body)
{
  std::string sentence;
  try {
    body();
    return 0;
  } catch (const std::bad_alloc &) {
    sentence = "out of memory";
  } catch (const std::exception &problem) {
    sentence = problem.what();
  } catch (...) {
    sentence = "unknown failure";
  }
  if (error && error_size > 0) std::snprintf(error, error_size, "%s", sentence.c_str());
  return -1;
}

}    // namespace equipot
