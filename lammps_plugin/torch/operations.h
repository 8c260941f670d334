// The operators that a model file may call. TorchScript has operators that write and read files, and its classes can have
// a method that runs while they are loaded. A model needs arithmetic on tensors only.
#pragma once

#include <string>

namespace equipot {

// The first operator in a model file that no model needs, or nothing. Reads the code of the file without running it.
// Throws c10::Error when the bytes are not a TorchScript archive.
std::string foreign_operation(const std::string &bytes);

}    // namespace equipot
