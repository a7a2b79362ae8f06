// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Reductions of arrays: cp.reduce.async.bulk, its tensor form, red.async.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nibble::emulator {

enum class ReduceOp : uint8_t { kAdd, kMin, kMax, kInc, kDec, kAnd, kOr, kXor };
// kF32 flushes subnormal operands and results to zero, as cp.reduce.async.bulk does.
enum class ReduceType : uint8_t { kU32, kS32, kU64, kS64, kF16, kBf16, kF32, kF32Kept, kF64 };

// to[i] = op(to[i], from[i]) for the elements of `bytes` bytes, each atomic among host threads.
using Reduce = void (*)(std::byte* to, const std::byte* from, size_t bytes);

// Null where the manual has no such operation on global memory.
Reduce find_reduction(ReduceOp op, ReduceType type);

}  // namespace nibble::emulator
