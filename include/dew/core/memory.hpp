// SPDX-License-Identifier: BSL-1.0
// How the process treats the memory of tensors that come and go.
#pragma once
#if __has_include(<malloc.h>)
#include <malloc.h>
#endif

namespace dew {

/// Keeps large temporaries on the heap of this process: otherwise each tensor above some 32 MB is mapped, zeroed page by page and given back at
/// every step, which made training steps on the CPU 2 to 10 times slower. Call it once, first thing in `main`, in a program that trains without
/// `App` (which calls it itself). The process keeps the most memory that it ever needed until it ends. Does nothing without glibc.
inline void keep_memory() {
#ifdef M_MMAP_MAX
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace dew
