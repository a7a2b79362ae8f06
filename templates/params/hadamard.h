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

// The constants of a kernel's Config that decide how a group along a row is divided.
struct HadamardTiling {
  int size;
  int element_bytes;
  int vector_bytes;
  int threads;  // of a group, a power of two
  int passes;   // 0: shuffles only; else shared memory holds 1 / passes of the group at a time
  int narrow;   // outputs are in vectors 2^narrow times shorter; 0 where passes is 0
};

// What one thread holds of a group, all of it constant in a kernel.
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
  // The bits of the thread's number, lowest first: those whose butterflies are shuffles between
  // lanes, those that shared memory brings into the registers of one thread, and `narrow` bits
  // that the way back leaves in registers.
  int lane_bits;
  int shared_bits;
  // Shared memory works on slices of so many registers, a power of two.
  int slice;
  int slices;      // elements / slice
  int out_vector;  // the same of what is stored: vector >> narrow, chunks << narrow
  int out_chunks;

  // Registers of a slice that are neighbours in both of its orders.
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

NIBBLE_HOST_DEVICE constexpr HadamardLayout hadamard_layout(const HadamardTiling& tiling) {
  HadamardLayout layout{};
  layout.base = hadamard_base(tiling.size);
  layout.power = tiling.size / layout.base;
  layout.vector = (tiling.vector_bytes == 32 ? 32 : 16) / tiling.element_bytes;
  if (layout.base > 1) {  // a thread holds `base` vectors: short ones
    if (layout.vector > 4) layout.vector = 4;
    if (layout.vector > layout.power) layout.vector = layout.power;
  }
  layout.unit = tiling.size < layout.vector ? layout.vector : tiling.size;
  layout.chunks = layout.unit / (layout.vector * tiling.threads);
  layout.elements = layout.chunks * layout.vector;
  layout.out_vector = layout.vector >> tiling.narrow;
  layout.out_chunks = layout.chunks << tiling.narrow;
  layout.slices = layout.base > 1 ? layout.base / 4 : tiling.passes > 0 ? tiling.passes : 1;
  layout.slice = layout.elements / layout.slices;
  layout.lane_bits = hadamard_log2(tiling.threads);
  if (tiling.passes > 0) {
    const int most = hadamard_log2(layout.slice), bits = layout.lane_bits - tiling.narrow;
    layout.shared_bits = bits < most ? bits : most;
    layout.lane_bits = bits - layout.shared_bits;
  }
  return layout;
}

// Whether a kernel can be built so.
NIBBLE_HOST_DEVICE constexpr bool hadamard_legal(const HadamardTiling& tiling) {
  if (!hadamard_size(tiling.size)) return false;
  const HadamardLayout layout = hadamard_layout(tiling);
  if (tiling.vector_bytes > layout.vector * tiling.element_bytes) return false;
  if (layout.chunks < 1 || layout.elements * tiling.threads != layout.unit ||
      layout.chunks % layout.base != 0 || layout.elements > 128 || layout.lane_bits > 5) {
    return false;
  }
  if (tiling.passes == 0) return tiling.narrow == 0;
  return tiling.threads >= 8 && layout.shared_bits >= 3 && layout.together() <= 4 &&
         layout.slice >= 8 && layout.slice * layout.slices == layout.elements &&
         layout.slices % tiling.passes == 0 && layout.out_vector >= 1;
}

// Bytes of shared memory of a group.
NIBBLE_HOST_DEVICE constexpr int hadamard_shared_bytes(int size, int passes) {
  return passes == 0 ? 0 : size / passes * 4;
}

}  // namespace nibble
