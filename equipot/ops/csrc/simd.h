// Vectors of the instruction set this file is compiled for, by the compiler's own vector types: no intrinsics but for
// partial loads and stores. Included once per instruction set, inside its own namespace.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__clang__)
#define EQUIPOT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define EQUIPOT_UNROLL _Pragma("GCC unroll 128")
#endif
#define EQUIPOT_INLINE inline __attribute__((always_inline))
#define EQUIPOT_INLINE_LAMBDA __attribute__((always_inline))

namespace equipot {
namespace EQUIPOT_ISA_NAME {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64, n_registers = 32;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32, n_registers = 16;
#elif defined(__aarch64__)
constexpr int vector_bytes = 16, n_registers = 32;
#else
constexpr int vector_bytes = 16, n_registers = 16;
#endif

template <class T, int L> struct VectorOf {
  typedef T type __attribute__((vector_size(L * sizeof(T))));
  // In memory, where it begins at any number. Written like this, and not by memcpy, the compiler knows that numbers alone
  // change, not the pointers and sizes that a kernel has read before.
  typedef T unaligned __attribute__((vector_size(L * sizeof(T)), aligned(alignof(T))));
};
template <class T> constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));
template <class T, int L = lanes<T>> using Vec = typename VectorOf<T, L>::type;

template <class T, int L = lanes<T>> EQUIPOT_INLINE Vec<T, L> load(const T *p)
{
  return *reinterpret_cast<const typename VectorOf<T, L>::unaligned *>(p);
}

template <class T, int L> EQUIPOT_INLINE void store_all(T *p, Vec<T, L> v)
{
  *reinterpret_cast<typename VectorOf<T, L>::unaligned *>(p) = v;
}
template <class T> EQUIPOT_INLINE void store(T *p, Vec<T> v) { store_all<T, lanes<T>>(p, v); }

#if defined(__AVX2__) && !defined(__AVX512F__)
// All bits of the first n lanes.
template <class T> EQUIPOT_INLINE __m256i first_lanes(int n)
{
  using Integer = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  constexpr int L = lanes<T>;
  static constexpr auto bits = [] {
    std::array<Integer, 2 * L> all{};
    for (int i = 0; i < L; ++i) all[i] = -1;
    return all;
  }();
  return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(bits.data() + L - n));
}
#endif

// The first n lanes; the others read as zero and are not written.
template <class T> EQUIPOT_INLINE Vec<T> load(const T *p, int n)
{
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>)
    return (Vec<T>)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
  else
    return (Vec<T>)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), p);
#elif defined(__AVX2__)
  if constexpr (std::is_same_v<T, float>) return (Vec<T>)_mm256_maskload_ps(p, first_lanes<T>(n));
  else return (Vec<T>)_mm256_maskload_pd(p, first_lanes<T>(n));
#else
  if (n == lanes<T>) return load(p);
  Vec<T> v{};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
#endif
}

template <class T> EQUIPOT_INLINE void store(T *p, Vec<T> v, int n)
{
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>)
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), (__m512)v);
  else
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1), (__m512d)v);
#else
  if (n == lanes<T>) return store(p, v);
#if defined(__AVX2__)
  if constexpr (std::is_same_v<T, float>) _mm256_maskstore_ps(p, first_lanes<T>(n), (__m256)v);
  else _mm256_maskstore_pd(p, first_lanes<T>(n), (__m256d)v);
#else
  for (int i = 0; i < n; ++i) p[i] = v[i];
#endif
#endif
}

// U vectors of L channels that stand side by side; if Partial, the first n channels of one vector.
template <class Real, int Lanes, int Vectors, bool Partial = false> struct Columns {
  using T = Real;
  using V = Vec<T, Lanes>;
  static constexpr int L = Lanes, U = Vectors;
  static_assert(!Partial || (U == 1 && L == lanes<T>));
  int n = L;

  EQUIPOT_INLINE V read(const T *p, int u) const
  {
    if constexpr (Partial) return load(p, n);
    else return load<T, L>(p + u * L);
  }
  EQUIPOT_INLINE void write(T *p, int u, V v) const
  {
    if constexpr (Partial) store(p, v, n);
    else store_all<T, L>(p + u * L, v);
  }
  // The vectors added up, in a vector of all lanes.
  static EQUIPOT_INLINE Vec<T> sum(const V *v)
  {
    V total = v[0];
    EQUIPOT_UNROLL for (int u = 1; u < U; ++u) total += v[u];
    if constexpr (L == lanes<T>) {
      return total;
    } else {
      Vec<T> wide{};
      std::memcpy(&wide, &total, sizeof total);
      return wide;
    }
  }
};

// Where half a vector takes half the time of a whole one, it serves what is left of the channels.
#if defined(__AVX512F__)
constexpr bool has_half_vectors = true;
#else
constexpr bool has_half_vectors = false;
#endif

// body(columns, c) for all channels c < mul, U vectors at a time as long as there are so many.
template <class T, int U, bool Halves = has_half_vectors, class Body>
EQUIPOT_INLINE void over_channels(std::int64_t mul, Body &&body)
{
  constexpr int L = lanes<T>;
  std::int64_t c = 0;
  if constexpr (U > 1)
    for (; c + U * L <= mul; c += U * L) body(Columns<T, L, U>{}, c);
  for (; c + L <= mul; c += L) body(Columns<T, L, 1>{}, c);
  if constexpr (Halves)
    if (c + L / 2 <= mul) {
      body(Columns<T, L / 2, 1>{}, c);
      c += L / 2;
    }
  if (c < mul) body(Columns<T, L, 1, true>{static_cast<int>(mul - c)}, c);
}

// Sums over the lanes of many vectors at once: halves of two vectors are added side by side, until each lane holds
// the sum of one vector. That takes three operations per vector instead of one for every halving.
template <class T, int S, std::size_t... I>
EQUIPOT_INLINE Vec<T> halve(Vec<T> a, Vec<T> b, std::index_sequence<I...>)
{
  // Lane i of the result belongs to segment i / S; its two sources are S lanes apart in a (first half) or b.
  constexpr int L = lanes<T>;
  constexpr auto source = [](int i) {
    int segment = i / S;
    int from = segment < L / (2 * S) ? 0 : L;
    return from + (segment % (L / (2 * S))) * 2 * S + i % S;
  };
#if defined(__clang__)
  return __builtin_shufflevector(a, b, source(I)...) + __builtin_shufflevector(a, b, (source(I) + S)...);
#else
  using Index = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  typedef Index Mask __attribute__((vector_size(vector_bytes)));
  return __builtin_shuffle(a, b, Mask{static_cast<Index>(source(I))...}) +
         __builtin_shuffle(a, b, Mask{static_cast<Index>(source(I) + S)...});
#endif
}

// A vector of the sums of a[0] … a[count - 1], spread over segments of S lanes; count vectors make up one level.
template <class T, int S, int Count> EQUIPOT_INLINE Vec<T> sums(const Vec<T> *a)
{
  if constexpr (S == lanes<T>) {
    return a[0];
  } else {
    constexpr int half = lanes<T> / (2 * S);    // vectors that fill the lower half
    Vec<T> lower = sums<T, 2 * S, (Count < half ? Count : half)>(a), upper{};
    if constexpr (Count > half) upper = sums<T, 2 * S, Count - half>(a + half);
    return halve<T, S>(lower, upper, std::make_index_sequence<lanes<T>>());
  }
}

// Adds up the lanes of N vectors; the sums are stored side by side, filled up with zeros to whole vectors.
template <class T, int N, int First = 0> EQUIPOT_INLINE void store_lane_sums(T *to, const Vec<T> *a)
{
  constexpr int count = N - First < lanes<T> ? N - First : lanes<T>;
  store(to + First, sums<T, 1, count>(a + First));
  if constexpr (First + count < N) store_lane_sums<T, N, First + count>(to, a);
}

// Exchanges rows and columns of as many vectors as a vector has lanes: blocks of S lanes, then of S / 2, …
template <class T, int S, std::size_t... I>
EQUIPOT_INLINE void exchange(Vec<T> &a, Vec<T> &b, std::index_sequence<I...>)
{
  constexpr int L = lanes<T>;
  constexpr auto lower = [](int i) { return (i / S) % 2 == 0 ? i : L + i - S; };
  constexpr auto upper = [](int i) { return (i / S) % 2 == 0 ? i + S : L + i; };
#if defined(__clang__)
  const Vec<T> first = __builtin_shufflevector(a, b, lower(I)...);
  b = __builtin_shufflevector(a, b, upper(I)...);
#else
  using Index = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  typedef Index Mask __attribute__((vector_size(vector_bytes)));
  const Vec<T> first = __builtin_shuffle(a, b, Mask{static_cast<Index>(lower(I))...});
  b = __builtin_shuffle(a, b, Mask{static_cast<Index>(upper(I))...});
#endif
  a = first;
}

template <class T, int S = lanes<T> / 2> EQUIPOT_INLINE void transpose(Vec<T> *rows)
{
  constexpr int L = lanes<T>;
  EQUIPOT_UNROLL for (int i = 0; i < L; ++i)
    if ((i / S) % 2 == 0) exchange<T, S>(rows[i], rows[i + S], std::make_index_sequence<L>());
  if constexpr (S > 1) transpose<T, S / 2>(rows);
}

template <class T> EQUIPOT_INLINE T lane_sum(Vec<T> v)
{
  return sums<T, 1, 1>(&v)[0];
}

}    // namespace EQUIPOT_ISA_NAME
}    // namespace equipot
