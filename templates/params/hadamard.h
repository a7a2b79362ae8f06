// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Kernel parameters of the Hadamard transforms, and how a kernel divides a transform among threads.
// Compiled by the host compiler and by NVRTC: plain structs of fixed-width members, no include, no
// padding.
#pragma once

#ifdef __CUDACC__
#define NIBBLE_HOST_DEVICE __host__ __device__
#else
#define NIBBLE_HOST_DEVICE
#endif

namespace nibble {

// Groups of `size` elements along a row (hadamard) or down a column (hadamard_columns).
struct HadamardParams {
  const void* x;           // [rows, columns]
  void* y;                 // of the same shape and type; may be x itself; kWrite 1 only
  const unsigned* signs;   // kSigns 2: bit i % 32 of word i / 32 flips element i of a group
  float* amax;             // kAmax 1: max |y|; must hold 0.0f (or an earlier maximum)
  long long rows;          // >= 1
  long long columns;       // >= 1
  long long x_row_stride;  // in elements, >= columns
  long long y_row_stride;  // in elements, >= columns
  unsigned sign_mask[4];   // kSigns 1: bit i % 128 flips element i of a group
  float scale;             // what sums are multiplied by
  unsigned reserved;       // 0
};

// What one thread holds of a group along a row, all of it constant in a kernel.
//
//   element   = chunk * vector * threads + thread * vector + i
//   register  = chunk * vector + i
//
// `size` is base * power, the power a power of two; the base is the slowest index. Groups shorter
// than a vector stand several to a unit: the transform is then inside of it.
struct HadamardLayout {
  int base;      // 1, 12, 20 or 28
  int power;     // size / base
  int vector;    // consecutive elements of a thread
  int unit;      // elements that `threads` threads hold: max(size, vector)
  int chunks;    // vectors of a thread
  int elements;  // registers of a thread: chunks * vector
  // Bits of the thread's number whose butterflies are shuffles between lanes, lowest first, and of
  // those above, whose elements come into the registers of one thread by way of shared memory.
  int lane_bits;
  int shared_bits;
  // Shared memory works on slices of so many registers, a power of two.
  int slice;
  int slices;  // elements / slice

  // Elements of a slice that stay together in a register file both ways.
  NIBBLE_HOST_DEVICE constexpr int together() const { return slice >> shared_bits; }
};

NIBBLE_HOST_DEVICE constexpr int hadamard_log2(int a) {
  int bits = 0;
  while (a > 1) {
    a /= 2;
    ++bits;
  }
  return bits;
}

// 1 for powers of two; sizes of 3, 5 or 7 times a power of two have 12, 20 or 28.
NIBBLE_HOST_DEVICE constexpr int hadamard_base(int size) {
  int odd = size;
  while (odd % 2 == 0) odd /= 2;
  return odd == 1 ? 1 : 4 * odd;
}

// Whether there is a transform of this size.
NIBBLE_HOST_DEVICE constexpr bool hadamard_size(int size) {
  if (size < 2 || size > 32768) return false;
  int odd = size;
  while (odd % 2 == 0) odd /= 2;
  return odd == 1 || ((odd == 3 || odd == 5 || odd == 7) && size % 4 == 0);
}

// `threads`: of a group, a power of two. `passes`: 0: shuffles only; else shared memory holds 1 /
// passes of the group at a time.
NIBBLE_HOST_DEVICE constexpr HadamardLayout hadamard_layout(int size, int element_bytes,
                                                            int vector_bytes, int threads,
                                                            int passes) {
  HadamardLayout layout{};
  layout.base = hadamard_base(size);
  layout.power = size / layout.base;
  layout.vector = (vector_bytes == 32 ? 32 : 16) / element_bytes;
  if (layout.base > 1) {  // a thread holds `base` vectors: short ones
    if (layout.vector > 4) layout.vector = 4;
    if (layout.vector > layout.power) layout.vector = layout.power;
  }
  layout.unit = size < layout.vector ? layout.vector : size;
  layout.chunks = layout.unit / (layout.vector * threads);
  layout.elements = layout.chunks * layout.vector;
  const int bits = hadamard_log2(threads);
  const int odd = layout.base > 1 ? layout.base / 4 : 1;
  layout.slice = layout.elements / odd;
  if (passes > 0 && odd == 1) layout.slice = layout.elements / passes;
  layout.slices = layout.slice > 0 ? layout.elements / layout.slice : 0;
  layout.lane_bits = bits;
  if (passes > 0) {
    const int most = hadamard_log2(layout.slice);
    layout.shared_bits = bits < most ? bits : most;
    layout.lane_bits = bits - layout.shared_bits;
  }
  return layout;
}

// Whether a kernel can be built so.
NIBBLE_HOST_DEVICE constexpr bool hadamard_legal(int size, int element_bytes, int vector_bytes,
                                                 int threads, int passes) {
  if (!hadamard_size(size)) return false;
  const HadamardLayout layout = hadamard_layout(size, element_bytes, vector_bytes, threads, passes);
  if (vector_bytes != 0 && vector_bytes > layout.vector * element_bytes) return false;
  if (layout.chunks < 1 || layout.chunks * layout.vector * threads != layout.unit ||
      layout.chunks % layout.base != 0 || layout.elements > 128 || layout.lane_bits > 5) {
    return false;
  }
  if (passes == 0) return true;
  return threads >= 8 && layout.shared_bits >= 3 && layout.together() <= 4 && layout.slice >= 8 &&
         layout.slices % passes == 0 && layout.slice * layout.slices == layout.elements;
}

// Bytes of shared memory of a group.
NIBBLE_HOST_DEVICE constexpr int hadamard_shared_bytes(int size, int passes) {
  return passes == 0 ? 0 : size / passes * 4;
}

}  // namespace nibble
