// Errors of torch and of models as one sentence.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>

namespace equipot {

// The error of an unusable model file or a failed calculation; what() is one sentence.
struct ModelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The message of an error, without the traces of torch and TorchScript.
std::string sentence(const std::exception &error);

}    // namespace equipot
