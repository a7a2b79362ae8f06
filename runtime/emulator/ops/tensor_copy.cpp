// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// cp.async.bulk.tensor from global to shared memory, and prefetches.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-cp-async-bulk-tensor
//
// Of the modes im2col::w and im2col::w::128 the manual's text does not say which pixels are the
// halo: they have no rows. Interleaved layouts are refused where a map is used.
#include "runtime/emulator/ops/tensor_copy.h"

#include <cstring>

#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/machine/report.h"

namespace nibble::emulator {

TensorMap read_map(const Origin& origin, uint64_t address) {
  if (address % TensorMap::kAlign != 0) {
    fault_at(origin, Fault::Kind::kMisaligned,
             "misaligned address: the tensor map at " + hexadecimal(address) +
                 ", which is no multiple of 64");
  }
  uint64_t words[TensorMap::kWords];
  std::memcpy(words, read_global(origin, address, sizeof words), sizeof words);
  const std::optional<TensorMap> map = decode(words);
  if (!map) refuse(origin, "there is no tensor map at " + hexadecimal(address));
  const Target& target = origin.warp->block().grid().model.target;
  if (target.number < 100 && is_sub_byte(map->type)) {
    refuse(origin, std::string("sm_90 has no tensor map of type ") + name_of(map->type));
  }
  if (target.number < 100 && map->atomicity != TensorMap::Atomicity::k16B) {
    refuse(origin, "sm_90 has no swizzle atomicity other than 16B");
  }
  if (target.number != 103 && map->swizzle == TensorMap::Swizzle::k96B) {
    refuse(origin, "only sm_103a has the 96B swizzle");
  }
  return *map;
}

TensorBox read_box(const Origin& origin, const Inst& inst, const TensorOperands& operands) {
  const Warp& warp = *origin.warp;
  const TensorMap map = read_map(origin, address_in(warp, inst.arg[operands.map], origin.lane));
  TensorAccess access;
  access.mode = operands.mode;
  for (uint32_t i = 0; i < operands.coordinates; ++i) {
    const Arg& arg = inst.arg[operands.map + 1 + i];
    access.coordinates[i] = static_cast<int32_t>(warp.integer(arg, origin.lane));
  }
  const bool gathers = operands.mode == TensorAccess::Mode::kRows;
  if (!gathers && map.rank != operands.coordinates) {
    refuse(origin, "the tensor map has rank " + std::to_string(map.rank) + ", the instruction " +
                       std::to_string(operands.coordinates) + " dimensions");
  }
  if (operands.mode == TensorAccess::Mode::kIm2col && operands.offsets != 0) {
    for (uint32_t i = 0; i + 2 < operands.coordinates; ++i) {
      access.offsets[i] =
          static_cast<uint32_t>(warp.integer(inst.arg[operands.offsets + i], origin.lane));
    }
  }
  TensorBox box;
  const std::string wrong = make_box(map, access, box);
  if (!wrong.empty()) refuse(origin, wrong);
  return box;
}

void list_box(const TensorBox& box, const SharedPlace& place, Access access,
              std::vector<Extent>& extents) {
  if (box.pitch == box.row_bytes) {
    extents.push_back(extent_of(place, box.shared_bytes(), access));
    return;
  }
  // Rows are shorter than the swizzle's span: 16 bytes here and there.
  constexpr uint32_t kChunk = 16;
  const uint32_t base = absolute(place);
  for (uint32_t row = 0; row < box.rows.size(); ++row) {
    for (uint32_t i = 0; i < box.row_bytes; i += kChunk) {
      SharedPlace chunk = place;
      chunk.offset += swizzled(box.map, base + row * box.pitch + i) - base;
      if (!extents.empty() && extents.back().block == place.block &&
          extents.back().offset + extents.back().bytes == chunk.offset) {
        extents.back().bytes += kChunk;
      } else {
        extents.push_back(extent_of(chunk, kChunk, access));
      }
    }
  }
}

std::byte* box_memory(const Origin& origin, const TensorBox& box, bool writes, uint64_t address) {
  if (box.end <= box.begin) return nullptr;
  const GlobalMemory& memory = origin.warp->block().grid().memory;
  const auto* const found = memory.find(box.begin, box.end - box.begin);
  if (found == nullptr || found->written != nullptr || (writes && found->read_only)) return nullptr;
  return found->data + (address - found->address);
}

namespace {

class TensorLoad : public Operation {
 public:
  TensorLoad(const Origin& origin, TensorBox box, std::vector<Destination> destinations)
      : Operation(origin), box_(std::move(box)), destinations_(std::move(destinations)) {}

  void perform() override {
    alignas(16) std::byte outside[kMaxRow], row[kMaxRow];
    fill_row(box_, outside);
    const std::byte* const memory = box_memory(origin(), box_, false, box_.begin);
    const bool as_is = box_.row_bytes == box_.inside_bytes() && !changes(box_.map.type);
    for (uint32_t i = 0; i < box_.rows.size(); ++i) {
      const std::byte* data = outside;
      if (const uint64_t at = box_.rows[i]; at != TensorBox::kOutside) {
        data = memory != nullptr ? memory + (at - box_.begin)
                                 : read_global(origin(), at, box_.inside_bytes());
        if (!as_is) {
          load_row(box_, data, row);
          data = row;
        }
      }
      for (const Destination& destination : destinations_) {
        const uint32_t base = absolute(destination.to);
        scatter_row(box_, data, destination.to.data(), base, base + i * box_.pitch);
      }
    }
    for (const Destination& destination : destinations_) {
      mark_shared(destination.to, box_.shared_bytes());
    }
    for (const Destination& destination : destinations_) {
      complete_tx(*this, destination.mbarrier, box_.transaction_bytes());
    }
  }
  void list_extents(std::vector<Extent>& extents) const override {
    for (const Destination& destination : destinations_) {
      list_box(box_, destination.to, Access::kWrite, extents);
    }
  }
  uint64_t global_bytes() const override { return box_.global_bytes(); }

 private:
  static constexpr uint32_t kMaxRow = 256 * 8;
  static bool changes(TensorMap::Type type) {
    return is_padded(type) || type == TensorMap::Type::kTf32 || type == TensorMap::Type::kTf32Ftz;
  }

  TensorBox box_;
  std::vector<Destination> destinations_;
};

// sm_120 and sm_121 load such boxes to shared::cta alone.
void check_target(const Origin& origin, const TensorMap& map, Space space) {
  const uint32_t target = origin.warp->block().grid().model.target.number;
  if (target < 120 || space != Space::kSharedCluster) return;
  if (is_sub_byte(map.type) || map.atomicity != TensorMap::Atomicity::k16B) {
    refuse(origin, "sm_120 loads sub-byte types and swizzle atomicities to shared::cta alone");
  }
}

// Groups of a load: async, bulk, tensor, dimension, destination, global, mode, mbarrier, then
// cta_group where the row has it.
constexpr int kDimension = 3;
constexpr int kPair = 8;

// [to], [map, {coordinates}], [mbarrier]{, {offsets}}{, mask}{, policy}
template <Space space, TensorAccess::Mode mode, bool is_multicast, bool is_grouped>
void load(Warp& warp, const Inst& inst) {
  TensorOperands operands;
  operands.map = 1;
  operands.mode = mode;
  operands.coordinates = mode == TensorAccess::Mode::kRows ? 5 : inst.choice[kDimension] + 1u;
  const uint32_t mbarrier = 2 + operands.coordinates;
  operands.offsets = mbarrier + 1;
  const uint32_t mask =
      operands.offsets + (mode == TensorAccess::Mode::kIm2col ? operands.coordinates - 2 : 0);
  const bool pairs = is_grouped && inst.choice[kPair] == 1;
  const Space mbarrier_space = pairs ? Space::kSharedCluster : space;
  for_each_origin(warp, [&](const Origin& origin) {
    TensorBox box = read_box(origin, inst, operands);
    check_target(origin, box.map, space);
    const Destination destination{
        shared_operand(warp, inst.arg[0], space, origin.lane, box.shared_bytes(), kBoxAlign),
        shared_operand(warp, inst.arg[mbarrier], mbarrier_space, origin.lane, 8, 8)};
    std::vector<Destination> destinations{destination};
    if constexpr (is_multicast) {
      const auto blocks = static_cast<uint32_t>(warp.integer(inst.arg[mask], origin.lane));
      destinations = multicast(origin, destination, blocks, pairs);
    } else {
      check_mbarrier(origin, destination, pairs);
    }
    issue(origin, std::make_unique<TensorLoad>(origin, std::move(box), std::move(destinations)));
  });
}

// Whether there are as many coordinates and offsets as the dimension asks for, `others` besides,
// and a policy as the last operand where the modifier says so.
template <TensorAccess::Mode mode>
bool has_operands(const Inst& inst, uint32_t dimension, uint32_t others, int hint_group) {
  const bool is_im2col = mode == TensorAccess::Mode::kIm2col;
  const uint32_t wanted = dimension + (is_im2col ? dimension - 2 : 0) + others + 1;
  const bool has_policy = inst.arg[inst.arg_count - 1].offset != kNoArg;
  return inst.arg_count == wanted && (!is_im2col || dimension >= 3) &&
         has_policy == (inst.choice[hint_group] != kAbsent);
}

template <Space space, TensorAccess::Mode mode, bool is_multicast, bool is_grouped>
Body select_load(const Inst& inst) {
  const bool gathers = mode == TensorAccess::Mode::kRows;
  const uint32_t dimension = gathers ? 5 : inst.choice[kDimension] + 1u;
  const int hint_group = kPair + (is_grouped ? 1 : 0) + (is_multicast ? 1 : 0);
  const bool fits = has_operands<mode>(inst, dimension, is_multicast ? 4 : 3, hint_group);
  return fits ? load<space, mode, is_multicast, is_grouped> : nullptr;
}

// [map, {coordinates}]{, {offsets}}{, policy}: nothing is moved, the map's rules are looked at.
template <TensorAccess::Mode mode>
void prefetch(Warp& warp, const Inst& inst) {
  TensorOperands operands;
  operands.mode = mode;
  operands.coordinates = mode == TensorAccess::Mode::kRows ? 5 : inst.choice[4] + 1u;
  operands.offsets = operands.coordinates + 1;
  for_each_origin(warp, [&](const Origin& origin) { read_box(origin, inst, operands); });
}
template <TensorAccess::Mode mode>
Body select_prefetch(const Inst& inst) {
  const uint32_t dimension = mode == TensorAccess::Mode::kRows ? 5 : inst.choice[4] + 1u;
  return has_operands<mode>(inst, dimension, 1, 8) ? prefetch<mode> : nullptr;
}

void nothing(Warp&, const Inst&) {}

template <TensorAccess::Mode mode>
constexpr const char* kModeText = mode == TensorAccess::Mode::kTile   ? "{.tile}"
                                  : mode == TensorAccess::Mode::kRows ? ".tile::gather4"
                                                                      : ".im2col";

template <Space space, TensorAccess::Mode mode, bool is_multicast, bool is_grouped>
void append_load(Rows& rows) {
  constexpr bool kGathers = mode == TensorAccess::Mode::kRows;
  constexpr bool kIm2col = mode == TensorAccess::Mode::kIm2col;
  std::string text = "cp.async.bulk.tensor.";
  text += kGathers ? "2d" : "{1d,2d,3d,4d,5d}";
  text += space == Space::kShared ? ".{shared::cta,shared}" : ".shared::cluster";
  text += std::string(".global") + kModeText<mode> + ".mbarrier::complete_tx::bytes";
  if (is_grouped) text += ".{cta_group::1,cta_group::2}";
  if (is_multicast) text += ".multicast::cluster";
  text += "{.L2::cache_hint} [d], [m, {c}], [b]";
  if (kIm2col) text += ", {o:u16}";
  if (is_multicast) text += ", mask:u16";
  text += ", policy?:b64";
  Requires target{90};
  if (is_grouped || (kGathers && space == Space::kSharedCluster)) target = kTensorCoreTargets;
  if (kGathers && !is_grouped && space == Space::kShared) target = {100};
  rows.push_back({text, target, nullptr, select_load<space, mode, is_multicast, is_grouped>});
}

template <TensorAccess::Mode mode>
void append_mode(Rows& rows) {
  append_load<Space::kShared, mode, false, false>(rows);
  append_load<Space::kShared, mode, false, true>(rows);
  append_load<Space::kSharedCluster, mode, false, false>(rows);
  append_load<Space::kSharedCluster, mode, false, true>(rows);
  append_load<Space::kSharedCluster, mode, true, false>(rows);
  append_load<Space::kSharedCluster, mode, true, true>(rows);
  constexpr bool kGathers = mode == TensorAccess::Mode::kRows;
  const char* const offsets = mode == TensorAccess::Mode::kIm2col ? ", {o:u16}" : "";
  rows.push_back({std::string("cp.async.bulk.prefetch.tensor.") +
                      (kGathers ? "2d" : "{1d,2d,3d,4d,5d}") + ".L2.global" + kModeText<mode> +
                      "{.L2::cache_hint} [m, {c}]" + offsets + ", policy?:b64",
                  kGathers ? kTensorCoreTargets : Requires{90}, nullptr, select_prefetch<mode>});
}

}  // namespace

void append_tensor_copy_rows(Rows& rows) {
  append_mode<TensorAccess::Mode::kTile>(rows);
  append_mode<TensorAccess::Mode::kRows>(rows);
  append_mode<TensorAccess::Mode::kIm2col>(rows);
  rows.push_back({"prefetch{.const,.param}.tensormap [a]", {90}, nothing});
  append_tensor_store_rows(rows);
  append_tensor_map_rows(rows);
}

}  // namespace nibble::emulator
