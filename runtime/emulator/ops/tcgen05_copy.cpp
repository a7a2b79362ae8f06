// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// tcgen05.cp, .shift and .commit: PTX ISA 9.7.16.9, 9.7.16.12. Each active thread issues one; they
// are performed in the queue of the block's (of the pair's) tensor core.
#include <array>
#include <bit>
#include <cstring>

#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/report.h"
#include "runtime/emulator/ops/tcgen05.h"
#include "runtime/emulator/ops/tcgen05_operands.h"

namespace nibble::emulator::tcgen05 {

namespace {

using tensor::MatrixTile;
using tensor::Packing;

constexpr uint32_t kWordsPerChunk = tensor::kChunkBytes / 4;

template <class F>
void for_each_active(const Warp& warp, F f) {
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    f(static_cast<uint32_t>(std::countr_zero(rest)));
  }
}

enum class CopyShape : uint8_t { k128x256b, k4x256b, k128x128b, k64x128b02, k64x128b01, k32x128b };

struct CopyForm {
  CopyShape shape = CopyShape::k32x128b;
  uint32_t group = 1;
  Packing from = Packing::k8;  // k4Padded, k6Padded: spread over bytes
};

uint32_t rows_of(CopyShape shape) {
  switch (shape) {
    case CopyShape::k4x256b:
      return 4;
    case CopyShape::k64x128b02:
    case CopyShape::k64x128b01:
      return 64;
    case CopyShape::k32x128b:
      return 32;
    default:
      return 128;
  }
}

uint32_t chunks_of(CopyShape shape) {
  return shape == CopyShape::k128x256b || shape == CopyShape::k4x256b ? 2 : 1;
}

// The lanes that a row goes to, `copies` of them, from the address's lane.
struct Lanes {
  uint32_t first = 0, step = 0, copies = 1;
};

Lanes lanes_of(CopyShape shape, uint32_t row) {
  switch (shape) {
    case CopyShape::k4x256b:
      return {32 * row, 0, 1};
    case CopyShape::k64x128b02:  // all rows to lanes 0 to 63, and again to 64 to 127
      return {row, 64, 2};
    case CopyShape::k64x128b01:  // 32 rows to the first two quarters, 32 to the others
      return {row % 32 + row / 32 * 64, 32, 2};
    case CopyShape::k32x128b:
      return {row, 32, 4};
    default:
      return {row, 0, 1};
  }
}

// Narrow codes in bytes: E2M1 in the middle four bits, six-bit formats in the lower six (as
// 9.7.14.5.14 has it for mma).
std::array<uint32_t, kWordsPerChunk> words_of(const std::byte* chunk, Packing from) {
  std::array<uint32_t, kWordsPerChunk> words{};
  if (from == Packing::k8) {
    std::memcpy(words.data(), chunk, tensor::kChunkBytes);
    return words;
  }
  std::array<uint32_t, 16> codes{};
  tensor::unpack_chunk(from, chunk, codes.data());
  const int up = from == Packing::k4Padded ? 2 : 0;
  for (uint32_t i = 0; i < codes.size(); ++i) words[i / 4] |= codes[i] << up << i % 4 * 8;
  return words;
}

class CopyToTensor : public Operation {
 public:
  CopyToTensor(const Origin& origin, const CopyForm& form, const Blocks& blocks,
               const MatrixTile& tile, TensorAddress to)
      : Operation(origin), form_(form), blocks_(blocks), tile_(tile), to_(to) {}

  void check() const {
    for (uint32_t i = 0; i < blocks_.count; ++i) {
      check_rows(origin(), tile_, *blocks_.block[i], "the source");
      blocks_.block[i]->tensor_memory().check_allocated(origin(), to_.column, columns(), "a copy");
    }
  }

  void list_extents(std::vector<Extent>& extents) const override {
    for (uint32_t i = 0; i < blocks_.count; ++i) {
      add_rows(extents, tile_, *blocks_.block[i]);
      const TensorRange range{0, TensorMemory::kLanes, to_.column, columns()};
      extents.push_back({blocks_.block[i], Access::kWrite, true, 0, 0, range});
    }
  }

  void perform() override {
    check();
    for (uint32_t i = 0; i < blocks_.count; ++i) {
      Block& block = *blocks_.block[i];
      check_written(origin(), tile_, form_.from, block, "the source");
      for (uint32_t row = 0; row < tile_.lines; ++row) {
        for (uint32_t chunk = 0; chunk < tile_.chunks; ++chunk) {
          const auto words = words_of(chunk_in(block, tile_, row, chunk), form_.from);
          put(block.tensor_memory(), row, chunk, words.data());
        }
      }
    }
  }

 private:
  uint32_t columns() const { return tile_.chunks * kWordsPerChunk; }

  void put(TensorMemory& memory, uint32_t row, uint32_t chunk, const uint32_t* words) const {
    const Lanes lanes = lanes_of(form_.shape, row);
    for (uint32_t copy = 0; copy < lanes.copies; ++copy) {
      const uint32_t lane = to_.lane + lanes.first + copy * lanes.step;
      std::memcpy(memory.row(lane) + to_.column + chunk * kWordsPerChunk, words,
                  tensor::kChunkBytes);
      memory.mark_written(lane, to_.column + chunk * kWordsPerChunk, kWordsPerChunk);
    }
  }

  CopyForm form_;
  Blocks blocks_;
  MatrixTile tile_;
  TensorAddress to_;
};

// Of "tcgen05.cp.CTA_GROUP.SHAPE{.MULTICAST}{.b8x16}{.SOURCE}": kShapes are those of group 2 (or 3
// where the shape is one and the multicast has a choice).
template <uint32_t kFormatGroup>
CopyForm copy_form(const Inst& inst) {
  CopyForm form;
  form.group = group_of(inst.choice[1]);
  if (inst.choice[kFormatGroup] != kAbsent) {
    form.from = inst.choice[kFormatGroup + 1] == 0 ? Packing::k6Padded : Packing::k4Padded;
  }
  return form;
}

void copy(Warp& warp, const Inst& inst, const CopyForm& form) {
  for_each_active(warp, [&](uint32_t lane) {
    const Origin origin(warp, lane);
    const Blocks blocks = blocks_of(origin, form.group);
    const auto address = static_cast<uint32_t>(address_in(warp, inst.arg[0], lane));
    const TensorAddress to = tensor_address(address);
    const bool is_strip = form.shape == CopyShape::k4x256b;
    if (is_strip ? to.lane >= 32 : to.lane != 0) {
      refuse(origin, "a copy to lane " + std::to_string(to.lane) + " of tensor memory; " +
                         (is_strip ? "4x256b begins in lanes 0 to 31" : "it begins at lane 0"));
    }
    MatrixTile tile = tile_of(origin, warp.integer(inst.arg[1], lane), true, "the source");
    tile.lines = rows_of(form.shape);
    tile.chunks = chunks_of(form.shape);
    auto operation = std::make_unique<CopyToTensor>(origin, form, blocks, tile, to);
    operation->check();
    warp.block().cluster().async().issue_tensor(std::move(operation), blocks.queue());
  });
}

template <CopyShape kFirst, bool kHasMulticast>
void copy_shape(Warp& warp, const Inst& inst) {
  CopyForm form = copy_form < kHasMulticast ? 4 : 3 > (inst);
  const uint8_t choice = inst.choice[kHasMulticast ? 3 : 2];
  form.shape = static_cast<CopyShape>(static_cast<uint8_t>(kFirst) + choice);
  copy(warp, inst, form);
}

// Both formats or none.
template <CopyShape kFirst, bool kHasMulticast>
Body select_copy(const Inst& inst) {
  constexpr uint32_t kFormatGroup = kHasMulticast ? 4 : 3;
  const bool has_to = inst.choice[kFormatGroup] != kAbsent;
  const bool has_from = inst.choice[kFormatGroup + 1] != kAbsent;
  return has_to == has_from ? copy_shape<kFirst, kHasMulticast> : nullptr;
}

// Rows move to the lane before, 32 bytes of each; the last keeps its own, for .cp.4x256b to renew.
class ShiftDown : public Operation {
 public:
  ShiftDown(const Origin& origin, const Blocks& blocks, TensorAddress at)
      : Operation(origin), blocks_(blocks), at_(at) {}

  static constexpr uint32_t kRows = 32, kShiftedColumns = 8;

  void check() const {
    for (uint32_t i = 0; i < blocks_.count; ++i) {
      blocks_.block[i]->tensor_memory().check_allocated(origin(), at_.column, kShiftedColumns,
                                                        "a shift");
    }
  }

  void list_extents(std::vector<Extent>& extents) const override {
    for (uint32_t i = 0; i < blocks_.count; ++i) {
      const TensorRange range{at_.lane, kRows, at_.column, kShiftedColumns};
      extents.push_back({blocks_.block[i], Access::kWrite, true, 0, 0, range});
    }
  }

  void perform() override {
    check();
    for (uint32_t i = 0; i < blocks_.count; ++i) {
      TensorMemory& memory = blocks_.block[i]->tensor_memory();
      for (uint32_t row = at_.lane; row + 1 < at_.lane + kRows; ++row) {
        std::memcpy(memory.row(row) + at_.column, memory.row(row + 1) + at_.column,
                    kShiftedColumns * sizeof(uint32_t));
      }
    }
  }

 private:
  Blocks blocks_;
  TensorAddress at_;
};

void shift(Warp& warp, const Inst& inst) {
  for_each_active(warp, [&](uint32_t lane) {
    const Origin origin(warp, lane);
    const Blocks blocks = blocks_of(origin, group_of(inst.choice[1]));
    const auto at = tensor_address(static_cast<uint32_t>(address_in(warp, inst.arg[0], lane)));
    if (at.lane % ShiftDown::kRows != 0 || at.lane >= TensorMemory::kLanes) {
      refuse(origin, "a shift from lane " + std::to_string(at.lane) +
                         " of tensor memory; a multiple of 32 below 128 is needed");
    }
    auto operation = std::make_unique<ShiftDown>(origin, blocks, at);
    operation->check();
    warp.block().cluster().async().issue_tensor(std::move(operation), blocks.queue());
  });
}

// One arrival at each mbarrier, once all before it in the queue are over.
class Commit : public Operation {
 public:
  Commit(const Origin& origin, std::vector<SharedPlace> barriers)
      : Operation(origin), barriers_(std::move(barriers)) {}

  void perform() override {
    for (const SharedPlace& at : barriers_) {
      Mbarriers& mbarriers = at.block->mbarriers();
      if (!mbarriers.is_over(at.offset)) mbarriers.arrive(origin(), at.offset, {}, hand_on());
    }
  }

 private:
  std::vector<SharedPlace> barriers_;
};

template <bool kMulticast>
void commit(Warp& warp, const Inst& inst) {
  for_each_active(warp, [&](uint32_t lane) {
    const Origin origin(warp, lane);
    const Blocks blocks = blocks_of(origin, group_of(inst.choice[1]));
    const SharedPlace at = shared_operand(warp, inst.arg[0], inst.space, lane, 8, 8);
    std::vector<SharedPlace> barriers;
    if constexpr (kMulticast) {
      Cluster& cluster = warp.block().cluster();
      const uint64_t mask = warp.integer(inst.arg[1], lane) & 0xFFFF;
      if (mask >> cluster.size() != 0 || mask == 0) {
        refuse(origin, "the mask of blocks is " + hexadecimal(mask) + "; the cluster has " +
                           std::to_string(cluster.size()));
      }
      for (uint32_t rank = 0; rank < cluster.size(); ++rank) {
        if ((mask >> rank & 1) != 0) barriers.push_back({cluster.block(rank), at.offset});
      }
    } else {
      barriers.push_back(at);
    }
    for (const SharedPlace& barrier : barriers) {
      barrier.block->mbarriers().check_not_over(origin, barrier.offset);
    }
    warp.block().cluster().async().issue_tensor(
        std::make_unique<Commit>(origin, std::move(barriers)), blocks.queue());
  });
}

}  // namespace

void append_copy_rows(Rows& rows) {
  const Requires target{100, kEveryTarget};
  const std::string groups(kGroups), formats = "{.b8x16}{.b6x16_p32,.b4x16_p64} [a], b:b64";
  rows.push_back({"tcgen05.cp" + groups + ".{128x256b,4x256b,128x128b}" + formats, target, nullptr,
                  select_copy<CopyShape::k128x256b, false>});
  rows.push_back({"tcgen05.cp" + groups + ".64x128b.{warpx2::02_13,warpx2::01_23}" + formats,
                  target, nullptr, select_copy<CopyShape::k64x128b02, true>});
  rows.push_back({"tcgen05.cp" + groups + ".32x128b.{warpx4}" + formats, target, nullptr,
                  select_copy<CopyShape::k32x128b, true>});
  rows.push_back({"tcgen05.shift" + groups + ".down [a]", {100, kExactTarget}, shift});
  const std::string start = "tcgen05.commit" + groups + ".mbarrier::arrive::one{.shared::cluster}";
  rows.push_back({start + ".b64 [a]", target, commit<false>});
  rows.push_back({start + ".multicast::cluster.b64 [a], b:b16", target, commit<true>});
}

}  // namespace nibble::emulator::tcgen05
