/* The energy of two atoms at several distances, by the C interface of equipot (equipot.h).

       equipot runtime --flags        # prints the options of the compiler
       cc dimer.c $(equipot runtime --flags) -o dimer && ./dimer model.pt Si Si */
#include <equipot.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void stop(const char *what, const char *sentence)
{
  fprintf(stderr, "%s: %s\n", what, sentence);
  exit(1);
}

static int64_t species_of(const equipot_description *model, const char *name)
{
  for (int64_t s = 0; s < model->n_species; ++s)
    if (strcmp(model->type_names[s], name) == 0) return s;
  stop(name, "the model does not know this element");
  return -1;
}

int main(int argc, char **argv)
{
  char error[256];
  if (argc != 4) stop("dimer", "expected a model file and two elements");
  equipot_model *model = equipot_open(argv[1], error, sizeof error);
  if (!model) stop(argv[1], error);
  equipot_description about = {.size = sizeof about};
  if (equipot_describe(model, &about, error, sizeof error) != 0) stop(argv[1], error);

  /* Each pair has two edges: from the first atom to the second, and back. */
  const int64_t species[2] = {species_of(&about, argv[2]), species_of(&about, argv[3])};
  const int64_t centre[2] = {0, 1}, neighbour[2] = {1, 0};
  printf("# distance (Å)  energy (eV)  force (eV/Å)\n");
  for (double r = 0.8; r < about.cutoff; r += 0.2) {
    const double vectors[6] = {r, 0, 0, -r, 0, 0};
    double energies[2], gradient[6];
    const equipot_evaluation evaluation = {
        .size = sizeof evaluation,
        .threads = 1,
        .n_centres = 2,
        .n_atoms = 2,
        .n_edges = 2,
        .species = species,
        .centre = centre,
        .neighbour = neighbour,
        .edge_vectors = vectors,
        .energies = energies,
        .edge_gradient = gradient,
    };
    if (equipot_evaluate(model, &evaluation, error, sizeof error) != 0) stop(argv[1], error);
    /* On the first atom: + dE/dr of its own edge, - that of the edge which ends at it. */
    printf("%14.4f %12.6f %13.6f\n", r, energies[0] + energies[1], gradient[0] - gradient[3]);
  }
  equipot_close(model);
  return 0;
}
