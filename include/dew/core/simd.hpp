// SPDX-License-Identifier: BSL-1.0
// DEW_SIMD: loops that use the widest vectors of the machine they run on, whatever -march they were compiled with; and which these are.
#pragma once

/// Before an inline function: it is compiled for AVX-512, for AVX2 and for the target of the build, and the loader takes the best that the
/// machine has. Sums that `omp simd` reorders may differ in the last bits from one kind of machine to another, never from run to run.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define DEW_SIMD __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define DEW_SIMD
#endif

/// Where functions may be compiled for another kind of x86 than the build's: which kinds of vectors this machine has.
#if defined(__x86_64__) && defined(__GNUC__)
#define DEW_X86_KINDS
namespace dew::detail {
inline bool has_avx2() {
  static bool const has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return has;
}
inline bool has_avx512() {
  static bool const has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma");
  return has;
}
}  // namespace dew::detail
#endif
