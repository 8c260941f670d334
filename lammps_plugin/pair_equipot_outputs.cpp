// Outputs of the network besides energies and forces, by name: `fix F all pair N equipot NAME 0` makes them per-atom
// values that dumps and other commands read.
#include "pair_equipot.h"

#include "atom.h"

#include <algorithm>

using namespace LAMMPS_NS;

// Values of owned atoms in the units of the network (sigma_force: in those of LAMMPS); zero for atoms that the model does not compute.
void PairEquipot::scatter_others(const equipot::Prediction &prediction)
{
  for (const auto &[name, columns, values] : prediction.others) scatter_output(name, columns, values);
}

// values: (n_centres, columns), one number where columns is 0.
void PairEquipot::scatter_output(const std::string &name, int columns, const double *values)
{
  PerAtom &output = others[name];
  const int width = std::max(columns, 1);
  output.values.assign(static_cast<std::size_t>(atom->nmax) * width, 0.0);
  for (std::int64_t row = 0; row < rows.n_centres; ++row)
    for (int k = 0; k < width; ++k)
      output.values[static_cast<std::size_t>(rows.atom_of[row]) * width + k] = values[row * width + k];
  output.row_of_atom.resize(atom->nmax);
  for (int i = 0; i < atom->nmax; ++i) output.row_of_atom[i] = &output.values[static_cast<std::size_t>(i) * width];
}

// Name and columns of the outputs that a user can ask for.
std::vector<std::pair<std::string, int>> PairEquipot::known_outputs() const
{
  if (!model) return {};
  std::vector<std::pair<std::string, int>> known = model->other_outputs;
  if (model->n_members > 0) known.emplace_back("sigma_force", 0);
  return known;
}

// The flag NAME_flag of an output: what is set to 1 before a step is computed in it.
void *PairEquipot::extract(const char *name, int &dimension)
{
  for (const auto &[known, n] : known_outputs()) {
    if (known + "_flag" != name) continue;
    dimension = 0;
    others[known].flagged = true;
    return &others[known].flag;
  }
  return nullptr;
}

// The values of the last step by name; null for a name that the model does not have. Zero before the first step.
void *PairEquipot::extract_peratom(const char *name, int &columns)
{
  for (const auto &[known, n] : known_outputs()) {
    if (known != name) continue;
    columns = n;
    PerAtom &output = others[known];
    output.read = true;
    const int width = n == 0 ? 1 : n;
    const std::size_t n_atoms = std::max(atom->nmax, 1);
    if (output.row_of_atom.size() < n_atoms) {
      output.values.resize(n_atoms * width, 0.0);
      output.row_of_atom.resize(n_atoms);
      for (std::size_t i = 0; i < n_atoms; ++i) output.row_of_atom[i] = &output.values[i * width];
    }
    if (n == 0) return output.values.data();
    return output.row_of_atom.data();
  }
  return nullptr;
}
