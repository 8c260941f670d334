"""Scaling of equipot over the MPI ranks of LAMMPS."""
