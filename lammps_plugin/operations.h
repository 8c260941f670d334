// What a model file may call. TorchScript has operators that write and read files, and its classes can name a method
// to be run while they are loaded; a model needs arithmetic on tensors only.
#pragma once

#include <string>

namespace equipot {

// The first name that a model file calls without need, or nothing. Reads the file's code and runs none of it.
// Throws c10::Error when the bytes are no TorchScript archive.
std::string foreign_operation(const std::string &bytes);

}    // namespace equipot
