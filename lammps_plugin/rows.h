// The row of the model's tensors that belongs to each atom of LAMMPS. Does not depend on LAMMPS's classes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace equipot {

// Atoms have LAMMPS's order: owned atoms, then ghosts. Rows too, but without atoms that the model does not compute.
//
// A ghost may be the periodic image of an atom that this process owns, or one of several images of an atom of another
// process. All images of an atom have the same features, so they share one row. A single process has no ghost rows, and
// exchanges nothing.
//
// Rows follow Morton's curve through space, not LAMMPS's order, so that rows of neighbours are close in memory.
class Rows {
 public:
  // Finds the images of each atom, from the origin (process, index on it) of every atom. Call it whenever LAMMPS has
  // chosen new ghosts. Returns whether another process owns any of them.
  bool find_images(std::size_t n_owned, const std::vector<std::int64_t> &processes,
                   const std::vector<std::int64_t> &indices, std::int64_t me);

  // Chooses the order of the rows. x: positions; length: approximate length of an edge.
  void sort(const double *const *x, double length);

  // Numbers the rows. species (n_atoms): -1 for atoms that the model does not compute. share: images share their rows.
  void number(const std::vector<std::int64_t> &species, bool share);

  // Whether the atom is the first of its images.
  bool is_first(std::size_t atom) const { return twin[atom] == static_cast<int>(atom); }

  // Whether an exchange sends the row with this ghost; other images of the atom share it.
  bool carried_by(std::size_t atom) const
  {
    const int row = of_atom[atom];
    return row >= 0 && atom_of[row] == static_cast<int>(atom);
  }

  bool shared() const { return images_share; }
  std::size_t bytes() const;

  std::vector<int> of_atom;             // (n_atoms) -1: none
  std::vector<int> atom_of;             // (n_rows) the first of the atoms that share the row
  std::vector<std::int64_t> species;    // (n_rows)
  std::int64_t n_centres = 0;           // rows of owned atoms come first
  std::size_t n_remote = 0;             // ghosts of other processes, each counted once

 private:
  std::size_t n_owned = 0;
  bool images_share = true;
  std::vector<int> twin;     // (n_atoms) the first image of the atom
  std::vector<int> order;    // (n_atoms) owned ones, then ghosts, along the curve
  std::vector<std::uint64_t> keys;
};

}    // namespace equipot
