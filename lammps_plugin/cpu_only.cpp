// The devices of a plugin that was built without torch.
#include "potential.h"

namespace equipot {

std::string open_device(const std::string &wish, int)
{
  if (wish == "cpu") return wish;
  if (wish == "cuda" || wish.rfind("cuda:", 0) == 0)
    throw ModelError("it is " + wish + ", but this plugin was built for CPUs; build it with `equipot lammps --cuda`");
  throw ModelError("it is '" + wish + "', expected cpu, cuda or cuda:N with the number of a GPU");
}

std::string description(const std::string &gpu) { return gpu; }

std::unique_ptr<Potential> open_potential(const std::string &bytes, const std::string &) { return open_runtime(bytes); }

}    // namespace equipot
