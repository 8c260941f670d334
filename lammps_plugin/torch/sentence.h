// Errors of torch as one sentence.
#pragma once

#include <exception>
#include <string>

namespace equipot {

// The message of an error, without the traces of torch and TorchScript.
std::string sentence(const std::exception &error);

}    // namespace equipot
