// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Hadamard transforms of groups of elements along the rows or down the columns of a matrix, random
// ones too: y = scale * H (signs * x), sums in fp32, rounded once to the element type. The bits
// are those of the numerics contract in templates/README.md, on every target.
#pragma once

#include <array>

#include "nibble/context.hpp"
#include "nibble/status.hpp"
#include "nibble/types.hpp"

namespace [[gnu::visibility("default")]] nibble {

// Along what the elements of a group follow each other.
enum class Axis : int { kRow = 0, kColumn = 1 };

// Which elements of a group change their sign, before the sums (after them in the inverse).
enum class SignVector : int {
  kNone = 0,
  kDefault = 1,  // 0xD7E8: bit i is element i of 16, and again; sizes 16, 32, 64, 128
  kMask = 2,     // HadamardRequest::sign_mask; sizes up to 128
  kDevice = 3,   // HadamardRequest::signs
};

struct HadamardRequest {
  Matrix x;  // rows, columns >= 1
  Matrix y;  // x's shape and type; may be x itself. y.data 0: not written, only amax is wanted
  // Elements of a group, a divisor of the axis' length; 0: that length. Along rows a power of two
  // from 2 to 32768, or 12, 20 or 28 (so 40 too) times one, up to 32768; down columns a power of
  // two from 2 to 128.
  int64_t size = 0;
  Axis axis = Axis::kRow;
  SignVector sign_vector = SignVector::kNone;
  std::array<uint32_t, 4> sign_mask{};  // bit i % 32 of word i / 32: 1 flips element i
  DevicePointer signs = 0;  // kDevice: the same, ceil(size / 32) words of 4 bytes on the device
  bool inverse = false;     // of the transform with the same signs, where both are orthonormal
  float scale = 0;          // what sums are multiplied by; 0: 1 / sqrt(size), orthonormal
  DevicePointer amax = 0;   // one float, overwritten: max |y| as rounded; 0: not wanted
  Stream stream = nullptr;
  KernelKind kernel = KernelKind::kFast;  // kTrusted: y may not be x
};

// Enqueues the transform on the stream. Compiles what is not yet in memory or on disk, except
// while the stream is being captured (kWouldCompile).
Status hadamard(Context& context, const HadamardRequest& request);

}  // namespace nibble
