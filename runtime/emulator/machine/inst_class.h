// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Kinds of instructions, for counters and traces, read off an instruction's spelling.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nibble::emulator {

enum class InstClass : uint8_t {
  kInteger,
  kLogic,  // bits: and, shl, lop3, prmt, ...
  kFloat,
  kDouble,
  kHalf,     // f16, bf16 and their pairs
  kSpecial,  // rcp, sqrt, ex2, sin, ...
  kConversion,
  kCompare,  // setp, selp, ...
  kMove,
  kLoadGlobal,
  kLoadShared,
  kLoadLocal,
  kLoadParameter,
  kLoadConstant,
  kLoadGeneric,
  kStoreGlobal,
  kStoreShared,
  kStoreLocal,
  kStoreParameter,
  kStoreGeneric,
  kAtomic,  // atom, red
  kCacheHint,
  kControl,
  kWarpExchange,  // shfl, vote, match, redux, elect
  kWarpBarrier,   // bar.warp.sync
  kBarrier,
  kClusterBarrier,
  kMbarrier,
  kFence,
  kAsyncCopy,   // cp.async
  kBulkCopy,    // cp.async.bulk and its reductions
  kTensorCopy,  // cp.async.bulk.tensor and its reductions
  kAsyncStore,  // st.async, red.async, st.bulk
  kCopyGroup,   // commit_group, wait_group
  kTensorMap,
  kMatrixLoad,  // ldmatrix, wmma.load, movmatrix
  kMatrixStore,
  kMma,    // mma.sync, wmma.mma
  kWgmma,  // wgmma.mma_async
  kWgmmaGroup,
  kTensorAllocate,  // tcgen05.alloc and its kin
  kTensorLoad,
  kTensorStore,
  kTensorFill,  // tcgen05.cp, .shift
  kTensorMma,
  kTensorCommit,
  kTensorWait,  // tcgen05.wait, .fence
  kOther,
};
constexpr size_t kInstClasses = static_cast<size_t>(InstClass::kOther) + 1;

// "load global".
std::string_view name_of(InstClass kind);
// Of an opcode with its modifiers: "ld.global.v4.f32".
InstClass class_of(std::string_view opcode);
// Of an instruction's text: without guard and operands.
std::string_view opcode_of(std::string_view text);

// What the spelling of a matrix multiplication says.
struct MmaSpelling {
  uint32_t m = 0, n = 0, k = 0;  // zero where a descriptor says it
  std::string types;             // "f32.f16.f16.f32", "kind::mxf4"
  uint64_t b_bytes() const;      // of types D, A, B
};
MmaSpelling mma_spelling(std::string_view opcode);

}  // namespace nibble::emulator
