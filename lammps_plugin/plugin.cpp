// Registers the pair style `equipot` with the LAMMPS that loads this file.

#include "error.h"
#include "lammps.h"
#include "library.h"
#include "pair_equipot.h"

#include <cstring>
#include <string>

namespace {

// LAMMPS's plugin interface as its manual page "Writing plugins" gives it: installed LAMMPS packages lack the header.
struct Plugin {
  const char *version, *style, *name, *info, *author;
  void *creator;
  void *handle;
};
using Register = void (*)(Plugin *, void *);

// Checked when the style is first used and not when the file is loaded: a plugin that is loaded by itself must not
// stop runs that do without it. Of another LAMMPS only two pointers at the front of its main class are touched.
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
