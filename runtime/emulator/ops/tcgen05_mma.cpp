// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// tcgen05.mma, .mma.sp, .mma.ws, .mma.ws.sp: PTX ISA 9.7.16.10.9. Each active thread issues one.
// Collector buffers are hints: operands are read anew by each instruction.
#include <bit>
#include <memory>

#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/counters.h"
#include "runtime/emulator/machine/report.h"
#include "runtime/emulator/ops/tcgen05.h"
#include "runtime/emulator/ops/tcgen05_multiply.h"

namespace nibble::emulator::tcgen05 {

namespace {

using tensor::MmaKind;

// Rows of the table by what their modifiers and operands are.
enum class Family : uint8_t { kFloat, kInteger, kBlock, kVector, kWideBlock, kFourBlock };

template <Family kOf, bool kSparse, bool kStationary, bool kTensorA>
struct MmaRow {
  // Groups: mma, (ws), (sp), CTA group, kind, then by family.
  static constexpr uint32_t kGroup = 1 + (kSparse ? 1 : 0) + (kStationary ? 1 : 0);
  static constexpr uint32_t kKind = kGroup + 1;
  static constexpr bool kScaled = kOf != Family::kFloat && kOf != Family::kInteger;
  // Of scaled kinds: .block_scale, then the size; of others: .ashift with A in tensor memory.
  static constexpr uint32_t kSize = kKind + 2;
  static constexpr uint32_t kShift = kKind + 1;
  // Operands: d, a, b, (metadata), descriptor, then by family.
  static constexpr uint32_t kDescriptor = kSparse ? 4 : 3;

  static MmaKind kind(const Inst& inst) {
    const uint8_t choice = inst.choice[kKind];
    switch (kOf) {
      case Family::kInteger:
        return MmaKind::kI8;
      case Family::kBlock:
      case Family::kVector:
      case Family::kWideBlock:
        return static_cast<MmaKind>(static_cast<uint8_t>(MmaKind::kMxf8f6f4) + choice);
      case Family::kFourBlock:
        return static_cast<MmaKind>(static_cast<uint8_t>(MmaKind::kMxf4) + choice);
      default:
        return static_cast<MmaKind>(choice);
    }
  }

  // Elements to a scale, 0 where kind and size do not fit each other (table 57).
  static uint32_t scale_block(const Inst& inst) {
    const MmaKind of = kind(inst);
    const uint8_t size = inst.choice[kSize];
    if (kOf == Family::kVector) {  // 1X, 2X, 4X
      if (of == MmaKind::kMxf8f6f4) return size == 0 ? 32 : 0;
      if (of == MmaKind::kMxf4) return size == 1 ? 32 : 0;
      return size == 1 ? 32 : size == 2 ? 16 : 0;
    }
    if (of == MmaKind::kMxf4nvf4) return size == kAbsent ? 0 : size == 0 ? 16 : 32;
    if (kOf == Family::kWideBlock) return 32;
    return size == 0 ? 0 : 32;
  }

  static tensor::MmaVariant variant(const Inst& inst) {
    tensor::MmaVariant variant;
    variant.kind = kind(inst);
    variant.group = kStationary ? 1 : group_of(inst.choice[kGroup]);
    variant.is_sparse = kSparse;
    variant.is_stationary = kStationary;
    variant.scale_block = kScaled ? scale_block(inst) : 0;
    return variant;
  }

  // Words of disable-output-lane: what is left between descriptor and predicate.
  static uint32_t mask_words(const Inst& inst) {
    if (kScaled || kStationary) return 0;
    const uint32_t others = kDescriptor + (kOf == Family::kFloat ? 3 : 2);
    return inst.arg_count - others;
  }

  static bool fits(const Inst& inst) {
    if (kScaled) return scale_block(inst) != 0;
    if (kStationary) return true;
    const uint32_t words = mask_words(inst);
    if (words != 0 && words != 4 * group_of(inst.choice[kGroup])) return false;
    if (!kTensorA || inst.choice[kShift] == kAbsent) return true;
    const uint8_t collector = inst.choice[kShift + 1];  // fill, use, lastuse, discard
    return collector == kAbsent || collector >= 2;
  }
};

tensor::MatrixTile rows_of(const Origin& origin, uint64_t descriptor, const Product& product,
                           bool is_a) {
  const tensor::MmaShape& shape = product.shape;
  const bool is_transposed = is_a ? shape.transposes_a : shape.transposes_b;
  const char* const name = is_a ? "A" : "B";
  tensor::MatrixTile tile = tile_of(origin, descriptor, !is_transposed, name);
  const bool has_wide_atoms = tile.at.swizzle == tensor::Swizzle::k128Atom32;
  const bool is_tf32 = product.variant.kind == MmaKind::kTf32;
  if (is_transposed && has_wide_atoms != is_tf32) {
    refuse(origin, std::string("a transposed ") + name + (is_tf32 ? " needs" : " may not have") +
                       " 128-byte swizzling with atoms of 32 bytes with " +
                       tensor::name_of(product.variant.kind));
  }
  if (tile.at.leading_is_address && (shape.k != 96 || is_transposed)) {
    refuse(origin, std::string(name) + ": an absolute leading address (bit 52) without K = 96");
  }
  const uint32_t k = is_a ? product.stored_k() : shape.k;
  const uint32_t rows = is_a ? product.layout.rows : product.b_rows() + product.columns.shift;
  const uint32_t per_chunk =
      tensor::elements_per_chunk(row_packing(product.variant.kind, is_a ? shape.a : shape.b));
  tile.lines = is_transposed ? k : rows;
  tile.chunks = ((is_transposed ? rows : k) + per_chunk - 1) / per_chunk;
  return tile;
}

uint32_t tensor_operand(Warp& warp, const Arg& arg, uint32_t lane) {
  return static_cast<uint32_t>(address_in(warp, arg, lane));
}

// The first column of a matrix that begins at lane 0.
uint32_t whole_lanes(const Origin& origin, uint32_t address, const char* what) {
  const TensorAddress at = tensor_address(address);
  if (at.lane != 0) {
    refuse(origin, std::string(what) + " begins at lane " + std::to_string(at.lane) +
                       " of tensor memory, not 0");
  }
  return at.column;
}

// D, A and metadata, which in layouts of half the lanes begin at lane 0 or 16, all at the same.
uint32_t layout_lanes(const Origin& origin, const LaneLayout& layout, uint32_t address,
                      const char* what) {
  const TensorAddress at = tensor_address(address);
  if (at.lane != layout.first_lane) {
    refuse(origin, std::string(what) + " begins at lane " + std::to_string(at.lane) +
                       " of tensor memory, not " + std::to_string(layout.first_lane) +
                       (layout.is_half ? " as D" : ""));
  }
  return at.column;
}

void read_descriptor(const Origin& origin, uint32_t bits, Product& product) {
  const Target& target = origin.warp->block().grid().code.target;
  product.variant.has_k96 = target.number == 103 && target.suffix == 'a';
  std::string error;
  if (!tensor::decode_instruction(bits, product.variant, product.shape, error)) {
    refuse(origin, error);
  }
}

void read_result_address(const Origin& origin, uint32_t address, Product& product) {
  product.layout = layout_of(product.variant, product.shape);
  const TensorAddress at = tensor_address(address);
  if (product.layout.is_half && at.lane == 16) product.layout.first_lane = 16;
  product.d = layout_lanes(origin, product.layout, address, "D");
}

void read_down_scale(const Origin& origin, const Arg& arg, Product& product) {
  if (arg.offset == kNoArg) return;
  const Target& target = origin.warp->block().grid().code.target;
  const bool has_it =
      product.variant.kind == MmaKind::kF16 || product.variant.kind == MmaKind::kTf32;
  if (!has_it || target.number >= 110 || !arg.is_constant || arg.immediate < 0 ||
      arg.immediate > 15) {
    refuse(origin, "scale-input-d " + std::to_string(arg.immediate) +
                       "; it is a constant from 0 to 15, for .kind::f16 and .kind::tf32 on sm_100");
  }
  product.down_scale = static_cast<uint32_t>(arg.immediate);
}

template <class Row>
void read_tail(Warp& warp, const Inst& inst, const Origin& origin, bool is_float,
               bool is_stationary, Product& product) {
  const Arg* arg = inst.arg + Row::kDescriptor + 1;
  if (Row::kScaled) {
    // Bits 30 and 31 are where software keeps the scale factor id.
    constexpr uint32_t kAddressBits = 0x3FFFFFFF;
    product.a_scales = whole_lanes(origin, tensor_operand(warp, arg[0], origin.lane) & kAddressBits,
                                   "the scale factors of A");
    product.b_scales = whole_lanes(origin, tensor_operand(warp, arg[1], origin.lane) & kAddressBits,
                                   "the scale factors of B");
    arg += 2;
  }
  const uint32_t words = Row::mask_words(inst);
  for (uint32_t i = 0; i < words; ++i) {
    product.disabled[i] = static_cast<uint32_t>(warp.integer(arg[i], origin.lane));
  }
  arg += words;
  product.accumulates = (warp.predicate(arg[0]) >> origin.lane & 1) != 0;
  if (is_stationary && arg[1].offset != kNoArg) {
    std::string error;
    if (!tensor::decode_column_mask(warp.integer(arg[1], origin.lane), product.shape,
                                    product.columns, error)) {
      refuse(origin, error);
    }
  } else if (is_float && !is_stationary) {
    read_down_scale(origin, arg[1], product);
  }
}

template <Family kOf, bool kSparse, bool kStationary, bool kTensorA>
void multiply(Warp& warp, const Inst& inst) {
  using Row = MmaRow<kOf, kSparse, kStationary, kTensorA>;
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const Origin origin(warp, lane);
    Product product;
    product.variant = Row::variant(inst);
    product.blocks = blocks_of(origin, product.variant.group);
    read_descriptor(origin, static_cast<uint32_t>(warp.integer(inst.arg[Row::kDescriptor], lane)),
                    product);
    read_result_address(origin, tensor_operand(warp, inst.arg[0], lane), product);
    read_tail<Row>(warp, inst, origin, kOf == Family::kFloat, kStationary, product);
    if constexpr (kTensorA) {
      product.has_a_rows = false;
      product.a_column =
          layout_lanes(origin, product.layout, tensor_operand(warp, inst.arg[1], lane), "A");
      product.shifts_a = !Row::kScaled && !kStationary && inst.choice[Row::kShift] != kAbsent;
      if (product.shape.transposes_a) refuse(origin, "a transposed A in tensor memory");
      if (product.shifts_a && product.layout.rows != TensorMemory::kLanes) {
        refuse(origin, ".ashift with M = " + std::to_string(product.shape.m));
      }
    } else {
      product.a = rows_of(origin, warp.integer(inst.arg[1], lane), product, true);
    }
    product.b = rows_of(origin, warp.integer(inst.arg[2], lane), product, false);
    if constexpr (kSparse) {
      product.metadata = layout_lanes(origin, product.layout,
                                      tensor_operand(warp, inst.arg[3], lane), "sparsity metadata");
    }
    auto operation = std::make_unique<Multiplication>(origin, product);
    operation->check();
    count_mma(warp, inst, product.shape.m, product.shape.n, product.shape.k);
    warp.block().cluster().async().issue_tensor(std::move(operation), product.blocks.queue());
  }
}

template <Family kOf, bool kSparse, bool kStationary, bool kTensorA>
Body select_multiply(const Inst& inst) {
  return MmaRow<kOf, kSparse, kStationary, kTensorA>::fits(inst)
             ? multiply<kOf, kSparse, kStationary, kTensorA>
             : nullptr;
}

constexpr const char* kCollectorA =
    "{.collector::a::fill,.collector::a::use,.collector::a::lastuse,.collector::a::discard}";
constexpr const char* kFloatKinds = ".{kind::f16,kind::tf32,kind::f8f6f4}";

std::string collector_b() {
  std::string group;
  for (const char* buffer : {"b0", "b1", "b2", "b3"}) {
    for (const char* use : {"fill", "use", "lastuse", "discard"}) {
      group += std::string(group.empty() ? "{" : ",") + ".collector::" + buffer + "::" + use;
    }
  }
  return group + "}";
}

template <bool kSparse, bool kTensorA>
std::string first_operands() {
  return std::string(" [d], ") + (kTensorA ? "[a]" : "a:b64") + ", b:b64, " +
         (kSparse ? "[e], " : "");
}

template <bool kSparse, bool kTensorA>
void append_plain(Rows& rows) {
  const std::string start = std::string("tcgen05.mma") + (kSparse ? ".sp" : "");
  const std::string tail = (kTensorA ? "{.ashift}" : "") + std::string(kCollectorA);
  const std::string operands = first_operands<kSparse, kTensorA>();
  for (const char* mask : {"", "{m:b32}, "}) {
    rows.push_back({start + std::string(kGroups) + kFloatKinds + tail + operands + "i:b32, " +
                        mask + "p:pred, s?:u32",
                    {100, kEveryTarget},
                    nullptr,
                    select_multiply<Family::kFloat, kSparse, false, kTensorA>});
    rows.push_back(
        {start + std::string(kGroups) + ".kind::i8" + tail + operands + "i:b32, " + mask + "p:pred",
         {100, kIntegerTarget},
         nullptr,
         select_multiply<Family::kInteger, kSparse, false, kTensorA>});
  }
}

template <bool kSparse, bool kTensorA>
void append_scaled(Rows& rows) {
  const std::string start =
      std::string("tcgen05.mma") + (kSparse ? ".sp" : "") + std::string(kGroups);
  const std::string operands =
      kCollectorA + first_operands<kSparse, kTensorA>() + "i:b32, [x], [y], p:pred";
  auto add = [&](const std::string& modifiers, std::string_view target, Select select) {
    rows.push_back({start + modifiers + operands, {100, target}, nullptr, select});
  };
  if constexpr (kSparse) {
    add(".{kind::mxf8f6f4}.block_scale{.block32}", kEveryTarget,
        select_multiply<Family::kWideBlock, kSparse, false, kTensorA>);
    add(".{kind::mxf4,kind::mxf4nvf4}.block_scale{.block16,.block32}", kExactTarget,
        select_multiply<Family::kFourBlock, kSparse, false, kTensorA>);
  } else {
    add(".{kind::mxf8f6f4,kind::mxf4,kind::mxf4nvf4}.block_scale{.block16,.block32}", kEveryTarget,
        select_multiply<Family::kBlock, kSparse, false, kTensorA>);
  }
  add(".{kind::mxf8f6f4,kind::mxf4,kind::mxf4nvf4}.block_scale"
      ".{scale_vec::1X,scale_vec::2X,scale_vec::4X}",
      kExactTarget, select_multiply<Family::kVector, kSparse, false, kTensorA>);
}

template <bool kSparse, bool kTensorA>
void append_stationary(Rows& rows) {
  const std::string start =
      std::string("tcgen05.mma.ws") + (kSparse ? ".sp" : "") + ".cta_group::1";
  const std::string operands =
      collector_b() + first_operands<kSparse, kTensorA>() + "i:b32, p:pred, z?:b64";
  rows.push_back({start + kFloatKinds + operands,
                  {100, kEveryTarget},
                  nullptr,
                  select_multiply<Family::kFloat, kSparse, true, kTensorA>});
  rows.push_back({start + ".kind::i8" + operands,
                  {100, kIntegerTarget},
                  nullptr,
                  select_multiply<Family::kInteger, kSparse, true, kTensorA>});
}

template <bool kSparse, bool kTensorA>
void append_all(Rows& rows) {
  append_plain<kSparse, kTensorA>(rows);
  append_scaled<kSparse, kTensorA>(rows);
  append_stationary<kSparse, kTensorA>(rows);
}

}  // namespace

void append_mma_rows(Rows& rows) {
  append_all<false, false>(rows);
  append_all<false, true>(rows);
  append_all<true, false>(rows);
  append_all<true, true>(rows);
}

}  // namespace nibble::emulator::tcgen05
