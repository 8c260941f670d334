"""Benchmarks of equipot, started from the repository's root as `python -m benchmarks.NAME`; --help says what they need.

accuracy        test errors after training on public sets, beside published errors
learning_curve  test error against the number of training frames, for l_max 0 to 3
beside_nequip   test errors of equipot and nequip after the same time of training
speed           inference and training beside nequip; time and memory against atoms and threads
beside_symmetrix  steps beside MACE networks in symmetrix-xl, per atom and per edge
active_learning test errors with chosen and with random training frames
grades          how well extrapolation grades separate structures that are unlike the training set
predicted_errors  predicted errors of one model beside the spread of a committee
uncertainty_cost  time of grades and predicted errors in LAMMPS
many            predictions for many structures at once beside one by one
foundation      converted SevenNet and Nequix models beside their own calculators: differences and speed
universal       phonons and elastic constants of universal models beside published values; time per step
scaling         strong and weak scaling over the MPI ranks of LAMMPS
roofline        kernels of a step on a GPU beside the GPU's bandwidth and arithmetic

Peers run in Python environments of their own: `peers` starts them, with files here that need no equipot.
"""
