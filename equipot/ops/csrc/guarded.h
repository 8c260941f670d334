// What every C function does with its body: exceptions become a sentence and -1.
#pragma once

#include <cstdio>
#include <exception>
#include <new>
#include <string>

namespace equipot {

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
