// The bytes of a model file.
#pragma once

#include <string>

namespace equipot {

// Reads a whole file. Throws ModelError when there is none, or nothing in it; the sentence goes on after its name.
std::string model_bytes(const std::string &filename);

}    // namespace equipot
