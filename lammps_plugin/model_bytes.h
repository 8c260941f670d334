// The bytes of a model file.
#pragma once

#include <string>

namespace equipot {

// Reads a whole file. Throws ModelError for a missing or empty file, with a sentence that continues its name.
std::string model_bytes(const std::string &filename);

}    // namespace equipot
