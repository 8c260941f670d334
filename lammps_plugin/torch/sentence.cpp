#include "sentence.h"

#include <sstream>

#include <c10/util/Exception.h>

namespace equipot {
namespace {

// TorchScript's message comes last, below its traces.
std::string last_line(const std::string &what)
{
  std::istringstream lines(what);
  std::string line, last;
  while (std::getline(lines, line))
    if (line.find_first_not_of(" \t\r") != std::string::npos) last = line;
  const std::string label = "RuntimeError: ";    // or builtins.RuntimeError, if the model raised it
  size_t at = last.find(label);
  return at == std::string::npos ? last : last.substr(at + label.size());
}

}    // namespace

std::string sentence(const std::exception &error)
{
  if (auto torch_error = dynamic_cast<const c10::Error *>(&error)) {
    std::string text = torch_error->what_without_backtrace();
    // If it contains a TorchScript trace, the message is below it. Else it is the first line, before hints for developers.
    if (text.find("Traceback of TorchScript") != std::string::npos) return last_line(text);
    // Leaves out the parts that are no use to the user of the file.
    for (const char *advice : {"\n", ". This is an internal miniz error"}) text = text.substr(0, text.find(advice));
    for (const std::string before : {"please report a bug to PyTorch. ", "] . "})
      if (size_t at = text.find(before); at != std::string::npos) text = text.substr(at + before.size());
    if (size_t at = text.find("can't allocate memory"); at != std::string::npos) return "out of memory: " + text.substr(at);
    return text;
  }
  return last_line(error.what());
}

}    // namespace equipot
