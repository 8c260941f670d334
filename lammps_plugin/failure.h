// Errors of models and devices as one sentence.
#pragma once

#include <stdexcept>

namespace equipot {

// The error of an unusable model file or device, or of a failed calculation; what() is one sentence.
struct ModelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}    // namespace equipot
