// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Bytes and bits of words.
#pragma once

#include "common/types.cuh"

namespace nibble::ptx {

// Byte i of the result is the byte that bits 4i + 2 : 4i of the selector name, a's from 0 and b's
// from 4 on; with bit 4i + 3, eight copies of that byte's sign (which __byte_perm cannot say).
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-prmt
template <uint32_t kSelector>
__device__ inline uint32_t prmt_b32(uint32_t a, uint32_t b) {
  uint32_t d;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "n"(kSelector));
  return d;
}

// Bit by bit the function of a, b and c whose table is kTable: what it is of 0xF0, 0xCC and 0xAA.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#logic-and-shift-instructions-lop3
template <uint32_t kTable>
__device__ inline uint32_t lop3_b32(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t d;
  asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(d) : "r"(a), "r"(b), "r"(c), "n"(kTable));
  return d;
}

}  // namespace nibble::ptx
