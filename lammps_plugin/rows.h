// Which row of the model's tensors each atom of LAMMPS has. Knows nothing of LAMMPS's classes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace equipot {

// Atoms are LAMMPS's, owned ones first, then ghosts; rows likewise, without atoms that are not of the model.
//
// A ghost may be the periodic image of an atom that this process owns, or one of several images of an atom of another
// process. Features do not depend on which image is meant, so all images share one row: on one process there are no
// ghost rows at all, and nothing is exchanged.
//
// Rows follow a curve through space (Morton's) and not LAMMPS's order: neighbours' rows are then near in memory, too.
class Rows {
 public:
  // Remembers which atoms are images of which, from the origin (process, index there) of every atom. To be called
  // whenever LAMMPS has chosen its ghosts anew. Returns whether another process owns any of them.
  bool find_images(std::size_t n_owned, const std::vector<std::int64_t> &processes,
                   const std::vector<std::int64_t> &indices, std::int64_t me);

  // Chooses the order of the rows. x: positions; length: about that of an edge.
  void sort(const double *const *x, double length);

  // Numbers the rows. species (n_atoms): -1 for atoms that are not of the model. share: images share their rows.
  void number(const std::vector<std::int64_t> &species, bool share);

  // Whether no atom before it is the same one.
  bool is_first(std::size_t atom) const { return twin[atom] == static_cast<int>(atom); }

  // Whether the row travels with this ghost in an exchange; its other images have it already.
  bool carried_by(std::size_t atom) const
  {
    const int row = of_atom[atom];
    return row >= 0 && atom_of[row] == static_cast<int>(atom);
  }

  bool shared() const { return images_share; }
  std::size_t bytes() const;

  std::vector<int> of_atom;             // (n_atoms) -1: none
  std::vector<int> atom_of;             // (n_rows) the first of the atoms that share it
  std::vector<std::int64_t> species;    // (n_rows)
  std::int64_t n_centres = 0;           // rows of owned atoms come first
  std::size_t n_remote = 0;             // ghosts of other processes, each once

 private:
  std::size_t n_owned = 0;
  bool images_share = true;
  std::vector<int> twin;     // (n_atoms) the first atom that is the same
  std::vector<int> order;    // (n_atoms) owned ones, then ghosts, along the curve
  std::vector<std::uint64_t> keys;
};

}    // namespace equipot
