// Errors of torch and of models as one sentence.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>

namespace equipot {

// A model file that cannot be used, or a calculation that failed; what() is one sentence.
struct ModelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What went wrong, without the traces of torch and TorchScript.
std::string sentence(const std::exception &error);

}    // namespace equipot
