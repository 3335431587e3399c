// SPDX-License-Identifier: BSL-1.0
// DEW_SIMD: loops that use the widest vectors of the machine they run on, whatever -march they were compiled with; and which these are.
#pragma once
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
#define DEW_AMX
#include <sys/syscall.h>
#include <unistd.h>
#endif

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
#ifdef DEW_AMX
/// Registers of whole tiles and products of bfloat16 in them (Intel AMX). Linux lends them to a process that asks: done here, once.
inline bool has_amx_bf16() {
  static bool const has = [] {
    constexpr long ask_for_state = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return has_avx512() && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
           syscall(SYS_arch_prctl, ask_for_state, tile_data) == 0;
  }();
  return has;
}
#endif
}  // namespace dew::detail
#endif
