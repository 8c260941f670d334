// The exchange of features and gradients between processes, and the origins of ghosts.
#include "pair_equipot.h"

#include "atom.h"
#include "comm.h"
#include "neighbor.h"

#include <algorithm>
#include <cstring>

using namespace LAMMPS_NS;
using equipot::Part;

// A message holds the needed rows among those that LAMMPS lists: first a bit for each, 64 in a word, then the rows whose
// bit is set. One more word per row in the buffers has room for the bits.
namespace {

constexpr int word_bits = 64;

std::int64_t words_of_bits(int n) { return (n + word_bits - 1) / word_bits; }

void set_bit(double *bits, int i)
{
  std::uint64_t word;
  std::memcpy(&word, bits + i / word_bits, sizeof word);
  word |= std::uint64_t(1) << i % word_bits;
  std::memcpy(bits + i / word_bits, &word, sizeof word);
}

bool has_bit(const double *bits, int i)
{
  std::uint64_t word;
  std::memcpy(&word, bits + i / word_bits, sizeof word);
  return word >> i % word_bits & 1;
}

// Releases of LAMMPS before 2025 do not take the number of words per atom, and use the pair style's largest.
template <class Communication, class Style> void forward(Communication *comm, Style *style, [[maybe_unused]] int words)
{
  if constexpr (requires { comm->forward_comm(style, words); }) comm->forward_comm(style, words);
  else comm->forward_comm(style);
}

template <class Communication, class Style> void reverse(Communication *comm, Style *style, [[maybe_unused]] int words)
{
  if constexpr (requires { comm->reverse_comm(style, words); }) comm->reverse_comm(style, words);
  else comm->reverse_comm(style);
}

template <typename T> void add_row(char *row, const double *received, size_t bytes)
{
  T *target = reinterpret_cast<T *>(row);
  const T *source = reinterpret_cast<const T *>(received);
  for (size_t i = 0; i < bytes / sizeof(T); ++i) target[i] += source[i];
}

}    // namespace

// Runs once per neighbour list, as each has new ghosts. Collective: every process makes the same decision.
void PairEquipot::find_images()
{
  if (neighbor->ago != 0 && images_of == neighbor->lastcall) return;
  images_of = neighbor->lastcall;
  const int nall = atom->nlocal + atom->nghost;
  origin_process.assign(nall, comm->me);
  origin_index.resize(nall);
  for (int i = 0; i < nall; ++i) origin_index[i] = i;
  sending = Sending::origins;
  forward(comm, this, 2);
  const int mine = rows.find_images(atom->nlocal, origin_process, origin_index, comm->me);
  rows.sort(atom->x, 0.5 * model->cutoff);
  int any = 0;
  MPI_Allreduce(&mine, &any, 1, MPI_INT, MPI_MAX, world);
  any_remote = any != 0;
  wanted.clear();
  listed.assign(nall, 0);
  sending = Sending::wishes;
  reverse(comm, this, 1);
  sending = Sending::rows;
}

// Other processes may need the rows that LAMMPS lists. The atoms that share a row can differ from step to step.
void PairEquipot::choose_travelling_rows()
{
  std::vector<char> is_border(rows.n_centres, 0);
  for (size_t i = 0; i < listed.size(); ++i)
    if (const int row = rows.of_atom[i]; listed[i] && row >= 0 && row < rows.n_centres) is_border[row] = 1;
  std::vector<int> border;
  for (int row = 0; row < rows.n_centres; ++row)
    if (is_border[row]) border.push_back(row);
  model->choose_travelling(border, rows.n_centres, static_cast<std::int64_t>(rows.atom_of.size()));
}

equipot::Exchange PairEquipot::exchange()
{
  const bool nothing_to_do = !any_remote && rows.shared();
  return {!nothing_to_do && exchange_ghosts,
          [this](const equipot::HostRows &given) {
            exchange_rows(given, [this](int words) { forward(comm, this, words); });
          },
          [this](const equipot::HostRows &given) {
            exchange_rows(given, [this](int words) { reverse(comm, this, words); });
          }};
}

template <class Communicate> void PairEquipot::exchange_rows(const equipot::HostRows &given, Communicate &&communicate)
{
  row_bytes = given.bytes;
  rows_single = given.single;
  row_data = given.data;
  places = given.places;
  if (report_times) {
    // Otherwise the wait for the slowest process would count as time of the exchange.
    clock.enter(Part::waiting);
    MPI_Barrier(world);
  }
  clock.enter(Part::exchange);
  communicate(buffer_words(row_bytes) + 1);
  clock.enter(Part::network);
  bytes_received += static_cast<double>(rows.n_remote) * row_bytes;
}

// Writes a message and returns its length in words. row_of(i): the row to send for the i-th atom, or -1.
template <class RowOf> int PairEquipot::pack(int n, double *buffer, RowOf &&row_of)
{
  const int width = buffer_words(row_bytes);
  double *next = buffer + words_of_bits(n);
  std::fill(buffer, next, 0.0);
  for (int i = 0; i < n; ++i) {
    const int row = row_of(i);
    if (row < 0) continue;
    set_bit(buffer, i);
    next[width - 1] = 0.0;    // half of it is unused if the number of floats is odd
    std::memcpy(next, row_at(row), row_bytes);
    next += width;
  }
  return static_cast<int>(next - buffer);
}

// Rows are sent as they are in memory, two floats in a double.
int PairEquipot::pack_forward_comm(int n, int *indices, double *buffer, int, int *)
{
  if (sending == Sending::origins) {
    for (int i = 0; i < n; ++i) {
      buffer[2 * i] = static_cast<double>(origin_process[indices[i]]);
      buffer[2 * i + 1] = static_cast<double>(origin_index[indices[i]]);
    }
    return 2 * n;
  }
  const auto wishes = wanted.find(indices);
  const bool known = rows.shared() && wishes != wanted.end();    // otherwise all are sent
  return pack(n, buffer, [&](int i) { return !known || wishes->second[i] ? rows.of_atom[indices[i]] : -1; });
}

void PairEquipot::unpack_forward_comm(int n, int first, double *buffer)
{
  if (sending == Sending::origins) {
    for (int i = 0; i < n; ++i) {
      origin_process[first + i] = static_cast<std::int64_t>(buffer[2 * i]);
      origin_index[first + i] = static_cast<std::int64_t>(buffer[2 * i + 1]);
    }
    return;
  }
  const int width = buffer_words(row_bytes);
  const double *next = buffer + words_of_bits(n);
  for (int i = 0; i < n; ++i) {
    if (!has_bit(buffer, i)) continue;
    if (rows.carried_by(first + i)) std::memcpy(row_at(rows.of_atom[first + i]), next, row_bytes);
    next += width;
  }
}

// A row that several ghosts share is sent back once, with the first of them. LAMMPS sends the first ghosts last, when the
// contributions of other processes to all of them have arrived.
int PairEquipot::pack_reverse_comm(int n, int first, double *buffer)
{
  if (sending == Sending::wishes) {
    for (int i = 0; i < n; ++i) buffer[i] = rows.is_first(first + i);
    return n;
  }
  return pack(n, buffer, [&](int i) { return rows.carried_by(first + i) ? rows.of_atom[first + i] : -1; });
}

void PairEquipot::unpack_reverse_comm(int n, int *indices, double *buffer)
{
  if (sending == Sending::wishes) {
    // LAMMPS uses one list for the atoms that it sends to a neighbour, in both directions.
    wanted[indices].assign(buffer, buffer + n);
    for (int i = 0; i < n; ++i) listed[indices[i]] = 1;
    return;
  }
  const int width = buffer_words(row_bytes);
  const double *next = buffer + words_of_bits(n);
  for (int i = 0; i < n; ++i) {
    if (!has_bit(buffer, i)) continue;
    const int row = rows.of_atom[indices[i]];
    if (row >= 0 && rows_single)
      add_row<float>(row_at(row), next, row_bytes);
    else if (row >= 0)
      add_row<double>(row_at(row), next, row_bytes);
    next += width;
  }
}
