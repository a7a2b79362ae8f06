// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// tensormap.replace, tensormap.cp_fenceproxy, fence.proxy.tensormap.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-tensormap-replace
//
// Maps are read when an instruction that uses them is issued, so a missing fence after an edit is
// not noticed. global_stride is in bytes whatever the PTX version: some assemblers before 12.5
// wanted it without its low four bits.
#include <cstring>

#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/machine/report.h"
#include "runtime/emulator/machine/tensor_map.h"
#include "runtime/emulator/ops/async_copy.h"

namespace nibble::emulator {

namespace {

// The 128 bytes at the address operand, to be edited.
std::byte* place(const Origin& origin, const Inst& inst) {
  Warp& warp = *origin.warp;
  const uint64_t address = address_in(warp, inst.arg[0], origin.lane);
  if (address % TensorMap::kAlign != 0) {
    fault_at(origin, Fault::Kind::kMisaligned,
             "misaligned address: the tensor map at " + hexadecimal(address) +
                 ", which is no multiple of 64");
  }
  const bool in_window = address - kSharedWindow < kWindowSize;
  if (inst.space == Space::kGlobal || (inst.space == Space::kGeneric && !in_window)) {
    return global_place(origin, address, TensorMap::kBytes, Access::kWrite);
  }
  const SharedPlace at = shared_place(origin, address, TensorMap::kBytes, TensorMap::kAlign, true);
  warp.block().cluster().order().access(warp, *at.block, at.offset, TensorMap::kBytes,
                                        Access::kWrite);
  mark_shared(at, TensorMap::kBytes);
  return at.data();
}

// sm_90a has none of the fields and values that sm_100 brought.
std::string missing(const Origin& origin, TensorMapField field, uint64_t value) {
  const uint32_t target = origin.warp->block().grid().model.target.number;
  if (field == TensorMapField::kElementType && value >= 13 && target < 100) {
    return "element types from 13 on are not on sm_90";
  }
  if (field == TensorMapField::kSwizzleMode && value == 4 && target != 103) {
    return "swizzle mode 4 is on sm_103a alone";
  }
  return {};
}

// [map], {ordinal,} value
template <TensorMapField field>
void replace(Warp& warp, const Inst& inst) {
  for_each_origin(warp, [&](const Origin& origin) {
    const bool has_ordinal = inst.arg_count == 3;
    const auto ordinal =
        has_ordinal ? static_cast<uint32_t>(warp.integer(inst.arg[1], origin.lane)) : 0;
    const uint64_t value = warp.integer(inst.arg[has_ordinal ? 2 : 1], origin.lane);
    std::string wrong = missing(origin, field, value);
    if (wrong.empty()) {
      std::byte* const at = place(origin, inst);
      uint64_t words[TensorMap::kWords];
      std::memcpy(words, at, sizeof words);
      wrong = replace_field(words, field, ordinal, value);
      std::memcpy(at, words, sizeof words);
    }
    if (!wrong.empty()) refuse(origin, "tensormap.replace: " + wrong);
  });
}

void fence(Warp& warp, const Inst&) {
  full_fence();
  warp.block().cluster().order().synchronize(warp);
}

void check_size(const Origin& origin, const Arg& arg) {
  const uint64_t size = origin.warp->integer(arg, origin.lane);
  if (size != TensorMap::kBytes) {
    refuse(origin, "a tensor map has 128 bytes, not " + std::to_string(size));
  }
}

// [address], 128
void acquire(Warp& warp, const Inst& inst) {
  for_each_origin(warp, [&](const Origin& origin) { check_size(origin, inst.arg[1]); });
  fence(warp, inst);
}

// [to], [from], 128: a copy by the whole warp, then a release.
void copy_and_fence(Warp& warp, const Inst& inst) {
  if (!warp.gather(warp.live())) return;
  for_each_origin(warp, [&](const Origin& origin) {
    check_size(origin, inst.arg[2]);
    const SharedPlace from = shared_operand(warp, inst.arg[1], Space::kShared, origin.lane,
                                            TensorMap::kBytes, TensorMap::kAlign);
    check_shared(origin, from, TensorMap::kBytes);
    warp.block().cluster().order().access(warp, *from.block, from.offset, TensorMap::kBytes,
                                          Access::kRead);
    const uint64_t to = address_in(warp, inst.arg[0], origin.lane);
    if (to % TensorMap::kAlign != 0) refuse(origin, "a tensor map must be a multiple of 64 bytes");
    std::memcpy(global_place(origin, to, TensorMap::kBytes, Access::kWrite), from.data(),
                TensorMap::kBytes);
  });
  fence(warp, inst);
}

constexpr Requires kReplaceTargets{0, "90a 100f 110f 120f"};
constexpr Requires kAtomicityTargets{0, "100f 110f 120f"};

template <TensorMapField field>
void append_replace(Rows& rows, const char* name, const char* type_and_operands,
                    Requires target = kReplaceTargets) {
  rows.push_back({std::string("tensormap.replace.tile.") + name + "{.global,.shared::cta}.b1024." +
                      type_and_operands,
                  target, replace<field>});
}

}  // namespace

void append_tensor_map_rows(Rows& rows) {
  using Field = TensorMapField;
  const char* const plain = "b32 [a], b";
  const char* const ordinal = "b32 [a], i:u32, b";
  append_replace<Field::kGlobalAddress>(rows, "global_address", "b64 [a], b");
  append_replace<Field::kRank>(rows, "rank", plain);
  append_replace<Field::kBoxDim>(rows, "box_dim", ordinal);
  append_replace<Field::kGlobalDim>(rows, "global_dim", ordinal);
  append_replace<Field::kGlobalStride>(rows, "global_stride", "b64 [a], i:u32, b");
  append_replace<Field::kElementStride>(rows, "element_stride", ordinal);
  append_replace<Field::kElementType>(rows, "elemtype", plain);
  append_replace<Field::kInterleave>(rows, "interleave_layout", plain);
  append_replace<Field::kSwizzleMode>(rows, "swizzle_mode", plain);
  append_replace<Field::kSwizzleAtomicity>(rows, "swizzle_atomicity", plain, kAtomicityTargets);
  append_replace<Field::kFillMode>(rows, "fill_mode", plain);
  rows.push_back(
      {"tensormap.cp_fenceproxy.global.{shared::cta,shared}.tensormap::generic.release."
       "{cta,cluster,gpu,sys}.sync.aligned [d], [a], size:u32",
       {90},
       copy_and_fence});
  rows.push_back({"fence.proxy.tensormap::generic.release.{cta,cluster,gpu,sys}", {90}, fence});
  rows.push_back({"fence.proxy.tensormap::generic.acquire.{cta,cluster,gpu,sys} [a], size:u32",
                  {90},
                  acquire});
}

}  // namespace nibble::emulator
