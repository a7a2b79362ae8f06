// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The fifth-generation tensor cores and their tensor memory. sm_100a, sm_103a.
// Addresses of tensor memory: lane in bits 31:16, column in bits 15:0. All instructions of a kernel
// are of one kCtaGroup: 1, or 2 where the thread blocks 2i and 2i + 1 of a cluster work as a pair.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#tensorcore-5th-generation-instructions
#pragma once

#include "common/types.cuh"

namespace nibble::ptx {

// Writes the address of `columns` (a power of two, 32 to 512) to shared memory. The whole warp; for
// a pair one warp of each thread block.
template <int kCtaGroup>
__device__ inline void tcgen05_alloc(uint32_t to, uint32_t columns) {
  if constexpr (kCtaGroup == 1) {
    asm volatile("tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [%0], %1;" ::"r"(to),
                 "r"(columns)
                 : "memory");
  } else {
    asm volatile("tcgen05.alloc.cta_group::2.sync.aligned.shared::cta.b32 [%0], %1;" ::"r"(to),
                 "r"(columns)
                 : "memory");
  }
}

template <int kCtaGroup>
__device__ inline void tcgen05_relinquish_alloc_permit() {
  if constexpr (kCtaGroup == 1) {
    asm volatile("tcgen05.relinquish_alloc_permit.cta_group::1.sync.aligned;" ::: "memory");
  } else {
    asm volatile("tcgen05.relinquish_alloc_permit.cta_group::2.sync.aligned;" ::: "memory");
  }
}

template <int kCtaGroup>
__device__ inline void tcgen05_dealloc(uint32_t address, uint32_t columns) {
  if constexpr (kCtaGroup == 1) {
    asm volatile("tcgen05.dealloc.cta_group::1.sync.aligned.b32 %0, %1;" ::"r"(address),
                 "r"(columns)
                 : "memory");
  } else {
    asm volatile("tcgen05.dealloc.cta_group::2.sync.aligned.b32 %0, %1;" ::"r"(address),
                 "r"(columns)
                 : "memory");
  }
}

// What this thread did with tensor memory is ordered before its next synchronisation, and what it
// does from now on after its last one.
__device__ inline void tcgen05_fence_before_thread_sync() {
  asm volatile("tcgen05.fence::before_thread_sync;" ::: "memory");
}
__device__ inline void tcgen05_fence_after_thread_sync() {
  asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory");
}

// Arrives on the barrier once all that this thread issued before (mma, cp) is complete.
template <int kCtaGroup>
__device__ inline void tcgen05_commit(uint32_t barrier) {
  if constexpr (kCtaGroup == 1) {
    asm volatile(
        "tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.b64 [%0];" ::"r"(barrier)
        : "memory");
  } else {
    asm volatile(
        "tcgen05.commit.cta_group::2.mbarrier::arrive::one.shared::cluster.b64 [%0];" ::"r"(barrier)
        : "memory");
  }
}

// The same on the barriers at that offset in the thread blocks of `mask`.
template <int kCtaGroup>
__device__ inline void tcgen05_commit_multicast(uint32_t barrier, uint16_t mask) {
  if constexpr (kCtaGroup == 1) {
    asm volatile(
        "tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.multicast::cluster.b64 "
        "[%0], %1;" ::"r"(barrier),
        "h"(mask)
        : "memory");
  } else {
    asm volatile(
        "tcgen05.commit.cta_group::2.mbarrier::arrive::one.shared::cluster.multicast::cluster.b64 "
        "[%0], %1;" ::"r"(barrier),
        "h"(mask)
        : "memory");
  }
}

// 32 rows of 16 bytes to lanes 0 to 31 of four columns, and copies of them to lanes 32 to 127.
template <int kCtaGroup>
__device__ inline void tcgen05_cp_32x128b_warpx4(uint32_t to, uint64_t from) {
  if constexpr (kCtaGroup == 1) {
    asm volatile("tcgen05.cp.cta_group::1.32x128b.warpx4 [%0], %1;" ::"r"(to), "l"(from)
                 : "memory");
  } else {
    asm volatile("tcgen05.cp.cta_group::2.32x128b.warpx4 [%0], %1;" ::"r"(to), "l"(from)
                 : "memory");
  }
}

// D = A x B^T (+ D) of E2M1 with a scale for each 16 of k. k = 64.
template <int kCtaGroup>
__device__ inline void tcgen05_mma_mxf4nvf4_block16(uint32_t d, uint64_t a, uint64_t b,
                                                    uint32_t descriptor, uint32_t a_scales,
                                                    uint32_t b_scales, bool accumulate) {
  if constexpr (kCtaGroup == 1) {
    asm volatile(
        "{\n\t"
        ".reg .pred p;\n\t"
        "setp.ne.u32 p, %6, 0;\n\t"
        "tcgen05.mma.cta_group::1.kind::mxf4nvf4.block_scale.block16 [%0], %1, %2, %3, [%4], [%5], "
        "p;\n\t"
        "}" ::"r"(d),
        "l"(a), "l"(b), "r"(descriptor), "r"(a_scales), "r"(b_scales), "r"(uint32_t{accumulate})
        : "memory");
  } else {
    asm volatile(
        "{\n\t"
        ".reg .pred p;\n\t"
        "setp.ne.u32 p, %6, 0;\n\t"
        "tcgen05.mma.cta_group::2.kind::mxf4nvf4.block_scale.block16 [%0], %1, %2, %3, [%4], [%5], "
        "p;\n\t"
        "}" ::"r"(d),
        "l"(a), "l"(b), "r"(descriptor), "r"(a_scales), "r"(b_scales), "r"(uint32_t{accumulate})
        : "memory");
  }
}

// A scale for each 32 of k. k = 64.
template <int kCtaGroup>
__device__ inline void tcgen05_mma_mxf4nvf4_block32(uint32_t d, uint64_t a, uint64_t b,
                                                    uint32_t descriptor, uint32_t a_scales,
                                                    uint32_t b_scales, bool accumulate) {
  if constexpr (kCtaGroup == 1) {
    asm volatile(
        "{\n\t"
        ".reg .pred p;\n\t"
        "setp.ne.u32 p, %6, 0;\n\t"
        "tcgen05.mma.cta_group::1.kind::mxf4nvf4.block_scale.block32 [%0], %1, %2, %3, [%4], [%5], "
        "p;\n\t"
        "}" ::"r"(d),
        "l"(a), "l"(b), "r"(descriptor), "r"(a_scales), "r"(b_scales), "r"(uint32_t{accumulate})
        : "memory");
  } else {
    asm volatile(
        "{\n\t"
        ".reg .pred p;\n\t"
        "setp.ne.u32 p, %6, 0;\n\t"
        "tcgen05.mma.cta_group::2.kind::mxf4nvf4.block_scale.block32 [%0], %1, %2, %3, [%4], [%5], "
        "p;\n\t"
        "}" ::"r"(d),
        "l"(a), "l"(b), "r"(descriptor), "r"(a_scales), "r"(b_scales), "r"(uint32_t{accumulate})
        : "memory");
  }
}

// 8-bit elements with a scale for each 32 of k. k = 32.
template <int kCtaGroup>
__device__ inline void tcgen05_mma_mxf8f6f4(uint32_t d, uint64_t a, uint64_t b, uint32_t descriptor,
                                            uint32_t a_scales, uint32_t b_scales, bool accumulate) {
  if constexpr (kCtaGroup == 1) {
    asm volatile(
        "{\n\t"
        ".reg .pred p;\n\t"
        "setp.ne.u32 p, %6, 0;\n\t"
        "tcgen05.mma.cta_group::1.kind::mxf8f6f4.block_scale.block32 [%0], %1, %2, %3, [%4], [%5], "
        "p;\n\t"
        "}" ::"r"(d),
        "l"(a), "l"(b), "r"(descriptor), "r"(a_scales), "r"(b_scales), "r"(uint32_t{accumulate})
        : "memory");
  } else {
    asm volatile(
        "{\n\t"
        ".reg .pred p;\n\t"
        "setp.ne.u32 p, %6, 0;\n\t"
        "tcgen05.mma.cta_group::2.kind::mxf8f6f4.block_scale.block32 [%0], %1, %2, %3, [%4], [%5], "
        "p;\n\t"
        "}" ::"r"(d),
        "l"(a), "l"(b), "r"(descriptor), "r"(a_scales), "r"(b_scales), "r"(uint32_t{accumulate})
        : "memory");
  }
}

// 8-bit elements without scales. k = 32.
template <int kCtaGroup>
__device__ inline void tcgen05_mma_f8f6f4(uint32_t d, uint64_t a, uint64_t b, uint32_t descriptor,
                                          bool accumulate) {
  if constexpr (kCtaGroup == 1) {
    asm volatile(
        "{\n\t"
        ".reg .pred p;\n\t"
        "setp.ne.u32 p, %4, 0;\n\t"
        "tcgen05.mma.cta_group::1.kind::f8f6f4 [%0], %1, %2, %3, p;\n\t"
        "}" ::"r"(d),
        "l"(a), "l"(b), "r"(descriptor), "r"(uint32_t{accumulate})
        : "memory");
  } else {
    asm volatile(
        "{\n\t"
        ".reg .pred p;\n\t"
        "setp.ne.u32 p, %4, 0;\n\t"
        "tcgen05.mma.cta_group::2.kind::f8f6f4 [%0], %1, %2, %3, p;\n\t"
        "}" ::"r"(d),
        "l"(a), "l"(b), "r"(descriptor), "r"(uint32_t{accumulate})
        : "memory");
  }
}

// 16-bit elements. k = 16.
template <int kCtaGroup>
__device__ inline void tcgen05_mma_f16(uint32_t d, uint64_t a, uint64_t b, uint32_t descriptor,
                                       bool accumulate) {
  if constexpr (kCtaGroup == 1) {
    asm volatile(
        "{\n\t"
        ".reg .pred p;\n\t"
        "setp.ne.u32 p, %4, 0;\n\t"
        "tcgen05.mma.cta_group::1.kind::f16 [%0], %1, %2, %3, p;\n\t"
        "}" ::"r"(d),
        "l"(a), "l"(b), "r"(descriptor), "r"(uint32_t{accumulate})
        : "memory");
  } else {
    asm volatile(
        "{\n\t"
        ".reg .pred p;\n\t"
        "setp.ne.u32 p, %4, 0;\n\t"
        "tcgen05.mma.cta_group::2.kind::f16 [%0], %1, %2, %3, p;\n\t"
        "}" ::"r"(d),
        "l"(a), "l"(b), "r"(descriptor), "r"(uint32_t{accumulate})
        : "memory");
  }
}

// Column i of this warp's 32 lanes from `from` on into d[i] of each thread; usable after
// tcgen05_wait_ld(). Warp w of a warpgroup reaches lanes 32 w to 32 w + 31.
template <int kColumns>
__device__ inline void tcgen05_ld_32x32b(uint32_t from, uint32_t (&d)[kColumns]) {
  static_assert(kColumns == 8 || kColumns == 16 || kColumns == 32 || kColumns == 64);
  if constexpr (kColumns == 8) {
    asm volatile(
        "tcgen05.ld.sync.aligned.32x32b.x8.b32 {"
        "%0, %1, %2, %3, %4, %5, %6, %7"
        "}, [%8];"
        : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]), "=r"(d[4]), "=r"(d[5]), "=r"(d[6]),
          "=r"(d[7])
        : "r"(from));
  } else if constexpr (kColumns == 16) {
    asm volatile(
        "tcgen05.ld.sync.aligned.32x32b.x16.b32 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
        "}, [%16];"
        : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]), "=r"(d[4]), "=r"(d[5]), "=r"(d[6]),
          "=r"(d[7]), "=r"(d[8]), "=r"(d[9]), "=r"(d[10]), "=r"(d[11]), "=r"(d[12]), "=r"(d[13]),
          "=r"(d[14]), "=r"(d[15])
        : "r"(from));
  } else if constexpr (kColumns == 32) {
    asm volatile(
        "tcgen05.ld.sync.aligned.32x32b.x32.b32 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, "
        "%30, %31"
        "}, [%32];"
        : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]), "=r"(d[4]), "=r"(d[5]), "=r"(d[6]),
          "=r"(d[7]), "=r"(d[8]), "=r"(d[9]), "=r"(d[10]), "=r"(d[11]), "=r"(d[12]), "=r"(d[13]),
          "=r"(d[14]), "=r"(d[15]), "=r"(d[16]), "=r"(d[17]), "=r"(d[18]), "=r"(d[19]), "=r"(d[20]),
          "=r"(d[21]), "=r"(d[22]), "=r"(d[23]), "=r"(d[24]), "=r"(d[25]), "=r"(d[26]), "=r"(d[27]),
          "=r"(d[28]), "=r"(d[29]), "=r"(d[30]), "=r"(d[31])
        : "r"(from));
  } else if constexpr (kColumns == 64) {
    asm volatile(
        "tcgen05.ld.sync.aligned.32x32b.x64.b32 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, "
        "%30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, "
        "%44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, "
        "%58, %59, %60, %61, %62, %63"
        "}, [%64];"
        : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]), "=r"(d[4]), "=r"(d[5]), "=r"(d[6]),
          "=r"(d[7]), "=r"(d[8]), "=r"(d[9]), "=r"(d[10]), "=r"(d[11]), "=r"(d[12]), "=r"(d[13]),
          "=r"(d[14]), "=r"(d[15]), "=r"(d[16]), "=r"(d[17]), "=r"(d[18]), "=r"(d[19]), "=r"(d[20]),
          "=r"(d[21]), "=r"(d[22]), "=r"(d[23]), "=r"(d[24]), "=r"(d[25]), "=r"(d[26]), "=r"(d[27]),
          "=r"(d[28]), "=r"(d[29]), "=r"(d[30]), "=r"(d[31]), "=r"(d[32]), "=r"(d[33]), "=r"(d[34]),
          "=r"(d[35]), "=r"(d[36]), "=r"(d[37]), "=r"(d[38]), "=r"(d[39]), "=r"(d[40]), "=r"(d[41]),
          "=r"(d[42]), "=r"(d[43]), "=r"(d[44]), "=r"(d[45]), "=r"(d[46]), "=r"(d[47]), "=r"(d[48]),
          "=r"(d[49]), "=r"(d[50]), "=r"(d[51]), "=r"(d[52]), "=r"(d[53]), "=r"(d[54]), "=r"(d[55]),
          "=r"(d[56]), "=r"(d[57]), "=r"(d[58]), "=r"(d[59]), "=r"(d[60]), "=r"(d[61]), "=r"(d[62]),
          "=r"(d[63])
        : "r"(from));
  }
}

// The values of this warp's loads have arrived. Ties the registers, so that no use moves up.
template <int kColumns>
__device__ inline void tcgen05_wait_ld(uint32_t (&d)[kColumns]) {
  asm volatile("tcgen05.wait::ld.sync.aligned;" ::: "memory");
#pragma unroll
  for (int i = 0; i < kColumns; ++i) asm volatile("" : "+r"(d[i]));
}

}  // namespace nibble::ptx
