#include "operations.h"

#include <memory>
#include <regex>
#include <set>
#include <sstream>

#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/runtime/operator.h>

namespace equipot {
namespace {

// The names in equipot/model_file/operations.py; a test compares them.
const char *const allowed_names = R"(
  RaiseException __contains__ __getitem__ __len__ _set_item add add_ addcmul annotate any append arange argsort
  bincount bmm bool cat clamp contiguous convolve detach device div dtype eq exp flatten float floor format gate ge
  gelu gt index_add index_select int keys len linear lt matmul max min mul narrow ne neg new_zeros numel ones_like
  pad pow range relu reshape rsqrt searchsorted select sigmoid silu silu_ size slice softplus sort split sqrt square
  squeeze stack sub sum tanh to tolist topology transpose unchecked_cast uninitialized unsqueeze view zeros
  zeros_like
)";

std::set<std::string> allowed()
{
  std::istringstream words(allowed_names);
  return {std::istream_iterator<std::string>(words), std::istream_iterator<std::string>()};
}

std::set<std::string> operators()
{
  std::set<std::string> names;
  for (const auto &op : torch::jit::getAllOperators()) {
    std::string name = op->schema().name();
    names.insert(name.substr(name.rfind(':') + 1));
  }
  return names;
}

}    // namespace

std::string foreign_operation(const std::string &bytes)
{
  static const std::set<std::string> may = allowed(), known = operators();
  static const std::regex text(R"("(\\.|[^"\\])*")"), call(R"((def\s+)?([A-Za-z_]\w*)\s*\()");
  std::istringstream stream(bytes);
  caffe2::serialize::PyTorchStreamReader archive(&stream);
  for (const std::string &record : archive.getAllRecords()) {
    if (!record.ends_with(".py")) continue;
    auto [data, size] = archive.getRecord(record);
    const std::string code =
        std::regex_replace(std::string(static_cast<const char *>(data.get()), size), text, "\"\"");
    for (std::sregex_iterator match(code.begin(), code.end(), call), end; match != end; ++match) {
      const std::string name = (*match)[2];
      const bool defined_here = (*match)[1].matched;
      if (may.contains(name)) continue;
      if (defined_here ? name.starts_with("__") : known.contains(name)) return name;
    }
  }
  return "";
}

}    // namespace equipot
