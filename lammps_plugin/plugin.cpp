// Registers the pair style `equipot` with the LAMMPS that loads this file.

#include "error.h"
#include "lammps.h"
#include "library.h"
#include "pair_equipot.h"

#include <cstring>
#include <string>

namespace {

// LAMMPS's plugin interface from its manual page "Writing plugins"; installed LAMMPS packages lack the header.
struct Plugin {
  const char *version, *style, *name, *info, *author;
  void *creator;
  void *handle;
};
using Register = void (*)(Plugin *, void *);

// The check is at the first use of the style, not at loading: a plugin that LAMMPS loads automatically must not stop runs
// that do not use it. In another LAMMPS, it reads only two pointers at the front of the main class.
LAMMPS_NS::Pair *create(LAMMPS_NS::LAMMPS *lmp)
{
  if (std::strcmp(lmp->version, EQUIPOT_LAMMPS_VERSION) != 0)
    lmp->error->all(FLERR,
                    "pair_style equipot was built for LAMMPS " EQUIPOT_LAMMPS_VERSION ", this is " +
                        std::string(lmp->version) + "; build it again with `equipot lammps --rebuild`");
  if (lammps_extract_setting(lmp, "tagint") != static_cast<int>(sizeof(LAMMPS_NS::tagint)))
    lmp->error->all(FLERR,
                    "pair_style equipot was built for another size of atom IDs than this LAMMPS; build it again "
                    "with the CMake option LAMMPS_BIGBIG set as in LAMMPS");
  return new LAMMPS_NS::PairEquipot(lmp);
}

}    // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *registrar)
{
  Plugin plugin{EQUIPOT_LAMMPS_VERSION,
                "pair",
                "equipot",
                "equipot, equivariant message-passing potentials",
                "the equipot developers",
                reinterpret_cast<void *>(&create),
                handle};
  reinterpret_cast<Register>(registrar)(&plugin, lmp);
}
