// Prints how often the third evaluation of a model asks the C library for memory.
#include <equipot.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

static long count = 0;

extern "C" {
void *__libc_malloc(size_t);
void *__libc_memalign(size_t, size_t);
void *malloc(size_t bytes)
{
  ++count;
  return __libc_malloc(bytes);
}
void *aligned_alloc(size_t alignment, size_t bytes)
{
  ++count;
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void **to, size_t alignment, size_t bytes)
{
  *to = aligned_alloc(alignment, bytes);
  return *to ? 0 : 12;
}
}

int main(int, char **argv)
{
  char error[256];
  equipot_model *model = equipot_open(argv[1], error, sizeof error);
  if (!model) return std::fprintf(stderr, "%s\n", error), 1;
  constexpr int n = 4;
  constexpr double spacing = 2.2, cutoff = 4.0;
  std::vector<double> x;
  for (int i = 0; i < n * n * n; ++i)
    for (int c : {i / (n * n), i / n % n, i % n}) x.push_back(spacing * c + 0.3 * std::sin(7.0 * static_cast<double>(x.size())));
  std::vector<int64_t> species, centre, neighbour;
  std::vector<double> vectors;
  for (int i = 0; i < n * n * n; ++i) {
    species.push_back(i % 2);
    for (int j = 0; j < n * n * n; ++j) {
      double r[3], squared = 0;
      for (int a = 0; a < 3; ++a) {
        r[a] = x[3 * j + a] - x[3 * i + a];
        r[a] -= n * spacing * std::round(r[a] / (n * spacing));
        squared += r[a] * r[a];
      }
      if (i == j || squared >= cutoff * cutoff) continue;
      centre.push_back(i);
      neighbour.push_back(j);
      vectors.insert(vectors.end(), r, r + 3);
    }
  }
  std::vector<double> energies(species.size()), gradient(vectors.size());
  equipot_evaluation given{};
  given.size = sizeof given;
  given.threads = 1;
  given.n_centres = given.n_atoms = static_cast<int64_t>(species.size());
  given.n_edges = static_cast<int64_t>(centre.size());
  given.species = species.data();
  given.centre = centre.data();
  given.neighbour = neighbour.data();
  given.edge_vectors = vectors.data();
  given.energies = energies.data();
  given.edge_gradient = gradient.data();
  long before = 0;
  for (int k = 0; k < 3; ++k) {
    before = count;
    if (equipot_evaluate(model, &given, error, sizeof error) != 0) return std::fprintf(stderr, "%s\n", error), 1;
  }
  std::printf("%ld\n", count - before);
  equipot_close(model);
  return 0;
}
