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

// add.operator()<op, type>(spelling) for the reductions of integers that every way to shared memory
// of a cluster has.
template <class Add>
void add_cluster_reductions(const Add& add) {
  using Op = ReduceOp;
  using Type = ReduceType;
  add.template operator()<Op::kAdd, Type::kU32>(".add.{u32,s32}");
  add.template operator()<Op::kAdd, Type::kU64>(".add.u64");
  add.template operator()<Op::kMin, Type::kU32>(".min.u32");
  add.template operator()<Op::kMin, Type::kS32>(".min.s32");
  add.template operator()<Op::kMax, Type::kU32>(".max.u32");
  add.template operator()<Op::kMax, Type::kS32>(".max.s32");
  add.template operator()<Op::kInc, Type::kU32>(".inc.u32");
  add.template operator()<Op::kDec, Type::kU32>(".dec.u32");
  add.template operator()<Op::kAnd, Type::kU32>(".and.b32");
  add.template operator()<Op::kOr, Type::kU32>(".or.b32");
  add.template operator()<Op::kXor, Type::kU32>(".xor.b32");
}

}  // namespace nibble::emulator
