// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// cp.async.bulk.tensor and cp.reduce.async.bulk.tensor from shared to global memory.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-cp-reduce-async-bulk-tensor
#include <algorithm>

#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/ops/reduction.h"
#include "runtime/emulator/ops/tensor_copy.h"

namespace nibble::emulator {

namespace {

using Mode = TensorAccess::Mode;

class TensorStore : public Operation {
 public:
  TensorStore(const Origin& origin, TensorBox box, const SharedPlace& from, Reduce reduce)
      : Operation(origin), box_(std::move(box)), from_(from), reduce_(reduce) {}

  void perform() override {
    alignas(16) std::byte row[kMaxRow];
    const uint32_t base = absolute(from_);
    const uint32_t skipped = box_.first * global_bits(box_.map.type) / 8;
    std::byte* const memory = box_memory(origin(), box_, true, box_.begin);
    const Access access = reduce_ != nullptr ? Access::kAtomic : Access::kWrite;
    if (box_.pitch == box_.row_bytes) check_shared(origin(), from_, box_.shared_bytes());
    for (uint32_t i = 0; i < box_.rows.size(); ++i) {
      const uint64_t at = box_.rows[i];
      if (at == TensorBox::kOutside) continue;
      std::byte* const to = memory != nullptr
                                ? memory + (at - box_.begin)
                                : global_place(origin(), at, box_.inside_bytes(), access);
      gather_row(box_, row, from_.data(), base, base + i * box_.pitch);
      if (reduce_ != nullptr) {
        reduce_(to, row + skipped, box_.inside_bytes());
      } else {
        store_row(box_, row, to);
      }
    }
  }
  void list_extents(std::vector<Extent>& extents) const override {
    list_box(box_, from_, Access::kRead, extents);
  }
  uint64_t global_bytes() const override { return box_.global_bytes(); }

 private:
  static constexpr uint32_t kMaxRow = 256 * 8;
  TensorBox box_;
  SharedPlace from_;
  Reduce reduce_;
};

// What the manual restricts in this direction (9.7.9.27.1.1).
void check_store(const Origin& origin, const TensorBox& box, const Inst& inst,
                 const TensorOperands& operands) {
  using Type = TensorMap::Type;
  if (box.map.type == Type::kU4Padded) {
    refuse(origin, "a map of type b4x16_p64 is for loads alone");
  }
  if (box.map.atomicity == TensorMap::Atomicity::k32BFlip8B) {
    refuse(origin, "a swizzle with atoms of 32B and a flip of 8B is for loads alone");
  }
  for (uint32_t i = 0; i < operands.coordinates; ++i) {
    const auto at =
        static_cast<int32_t>(origin.warp->integer(inst.arg[operands.map + 1 + i], origin.lane));
    if (at < 0) {
      refuse(origin, "coordinate " + std::to_string(i) + " of a store is " + std::to_string(at) +
                         "; it must not be negative");
    }
  }
  if (box.map.mode == TensorMap::Mode::kTiled) return;
  for (uint32_t i = 0; i + 2 < box.map.rank; ++i) {
    if (box.map.lower[i] < 0 || box.map.upper[i] > 0) {
      refuse(origin, "the bounding box of a store must lie within the tensor");
    }
  }
}

// [map, {coordinates}], [from]{, policy}
template <class MakeReduce>
void store(Warp& warp, const Inst& inst, TensorOperands operands, MakeReduce make_reduce) {
  const uint32_t from = 1 + operands.coordinates;
  for_each_origin(warp, [&](const Origin& origin) {
    TensorBox box = read_box(origin, inst, operands);
    check_store(origin, box, inst, operands);
    const Reduce reduce = make_reduce(origin, box.map);
    const SharedPlace place = shared_operand(warp, inst.arg[from], Space::kShared, origin.lane,
                                             box.shared_bytes(), kBoxAlign);
    issue_in_group(origin, std::make_unique<TensorStore>(origin, std::move(box), place, reduce));
  });
}

// Groups: async, bulk, tensor, dimension; behind reduce one later.
constexpr int kCopyDimension = 3;
constexpr int kReduceDimension = 4;

template <Mode mode, int dimension_group>
TensorOperands operands_of(const Inst& inst) {
  TensorOperands operands;
  operands.mode = mode;
  operands.coordinates = mode == Mode::kRows ? 5 : inst.choice[dimension_group] + 1u;
  return operands;
}

template <Mode mode>
void copy(Warp& warp, const Inst& inst) {
  store(warp, inst, operands_of<mode, kCopyDimension>(inst),
        [](const Origin&, const TensorMap&) -> Reduce { return nullptr; });
}

// Null where tensors of this type are not reduced.
Reduce find_tensor_reduction(ReduceOp op, TensorMap::Type type) {
  using Type = TensorMap::Type;
  switch (type) {
    case Type::kU32:
      return find_reduction(op, ReduceType::kU32);
    case Type::kS32:
      return find_reduction(op, ReduceType::kS32);
    case Type::kU64:
      return find_reduction(op, ReduceType::kU64);
    case Type::kS64:  // no bits of it: cards refuse them
      return op <= ReduceOp::kMax ? find_reduction(op, ReduceType::kS64) : nullptr;
    case Type::kF16:
      return find_reduction(op, ReduceType::kF16);
    case Type::kBf16:
      return find_reduction(op, ReduceType::kBf16);
    case Type::kF32:
      return find_reduction(op, ReduceType::kF32Kept);
    case Type::kF32Ftz:
      return find_reduction(op, ReduceType::kF32);
    default:
      return nullptr;
  }
}

template <ReduceOp op, Mode mode>
void reduce(Warp& warp, const Inst& inst) {
  static constexpr const char* kNames[] = {"add", "min", "max", "inc", "dec", "and", "or", "xor"};
  store(warp, inst, operands_of<mode, kReduceDimension>(inst),
        [](const Origin& origin, const TensorMap& map) {
          const Reduce function = find_tensor_reduction(op, map.type);
          if (function == nullptr) {
            refuse(origin, std::string("no reduction ") + kNames[static_cast<size_t>(op)] +
                               " of type " + name_of(map.type));
          }
          return function;
        });
}

// As many coordinates as dimensions; a policy where the modifier says so.
template <Mode mode, int dimension_group>
bool fits(const Inst& inst, int hint_group) {
  const uint32_t dimension = operands_of<mode, dimension_group>(inst).coordinates;
  if (mode == Mode::kIm2col && dimension < 3) return false;
  const bool has_policy = inst.arg[inst.arg_count - 1].offset != kNoArg;
  return inst.arg_count == dimension + 3 && has_policy == (inst.choice[hint_group] != kAbsent);
}

template <Mode mode>
Body select_copy(const Inst& inst) {
  return fits<mode, kCopyDimension>(inst, 8) ? copy<mode> : nullptr;
}
template <ReduceOp op, Mode mode>
Body select_reduce(const Inst& inst) {
  return fits<mode, kReduceDimension>(inst, 9) ? reduce<op, mode> : nullptr;
}

template <Mode mode>
std::string middle() {
  const char* const text = mode == Mode::kTile   ? "{.tile}"
                           : mode == Mode::kRows ? ".tile::scatter4"
                                                 : ".im2col_no_offs";
  return std::string(".global.{shared::cta,shared}") + text + ".bulk_group";
}

constexpr const char* kOperands = " [m, {c}], [a], policy?:b64";

template <Mode mode>
void append_copies(Rows& rows) {
  constexpr bool kScatters = mode == Mode::kRows;
  const std::string start = std::string("cp.async.bulk.tensor.") +
                            (kScatters ? "2d" : "{1d,2d,3d,4d,5d}") + middle<mode>();
  rows.push_back({start + "{.L2::cache_hint}" + kOperands,
                  kScatters ? kTensorCoreTargets : Requires{90}, nullptr, select_copy<mode>});
}

template <ReduceOp op, Mode mode>
void append_reduction(Rows& rows, const char* name) {
  rows.push_back({"cp.reduce.async.bulk.tensor.{1d,2d,3d,4d,5d}" + middle<mode>() +
                      "{.L2::cache_hint}." + name + kOperands,
                  {90},
                  nullptr,
                  select_reduce<op, mode>});
}

template <ReduceOp op>
void append_reductions(Rows& rows, const char* name) {
  append_reduction<op, Mode::kTile>(rows, name);
  append_reduction<op, Mode::kIm2col>(rows, name);
}

}  // namespace

void append_tensor_store_rows(Rows& rows) {
  append_copies<Mode::kTile>(rows);
  append_copies<Mode::kRows>(rows);
  append_copies<Mode::kIm2col>(rows);
  append_reductions<ReduceOp::kAdd>(rows, "add");
  append_reductions<ReduceOp::kMin>(rows, "min");
  append_reductions<ReduceOp::kMax>(rows, "max");
  append_reductions<ReduceOp::kInc>(rows, "inc");
  append_reductions<ReduceOp::kDec>(rows, "dec");
  append_reductions<ReduceOp::kAnd>(rows, "and");
  append_reductions<ReduceOp::kOr>(rows, "or");
  append_reductions<ReduceOp::kXor>(rows, "xor");
}

}  // namespace nibble::emulator
