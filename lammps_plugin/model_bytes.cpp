#include "model_bytes.h"

#include "failure.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace equipot {

std::string model_bytes(const std::string &filename)
{
  std::error_code none;
  const auto status = std::filesystem::status(filename, none);
  if (!std::filesystem::exists(status)) throw ModelError("it does not exist; expected the path of a model file");
  if (std::filesystem::is_directory(status)) throw ModelError("it is a folder; expected the path of a model file");
  // A pipe or a device may have no end.
  if (!std::filesystem::is_regular_file(status)) throw ModelError("it is no regular file; expected a model file");
  errno = 0;
  std::ifstream file(filename, std::ios::binary);
  std::ostringstream content;
  if (file && file.peek() != std::ifstream::traits_type::eof()) content << file.rdbuf();
  if (!file && errno != 0) throw ModelError("it cannot be read (" + std::string(std::strerror(errno)) + ")");
  if (content.str().empty()) throw ModelError("it is empty; export it again with `equipot export`");
  return content.str();
}

}    // namespace equipot
