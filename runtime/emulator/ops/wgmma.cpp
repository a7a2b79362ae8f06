// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// wgmma (PTX ISA 9.7.15): the four warps of a warpgroup multiply 64 rows, each its 16, as an
// asynchronous operation that reads shared memory and adds to the warp's registers.
//
// In plain turns an operation is performed when it is issued; with a seed some time until
// wgmma.wait_group. Warps of a group do not wait for each other.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "runtime/emulator/isa/pending.h"
#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/async.h"
#include "runtime/emulator/machine/report.h"
#include "runtime/emulator/ops/arithmetic_of.h"
#include "runtime/emulator/ops/mma.h"
#include "runtime/emulator/ops/sparsity.h"
#include "runtime/emulator/ops/wgmma.h"

namespace nibble::emulator {

namespace {

using tensor::Format;

constexpr uint32_t kRows = 16;  // of a warp

// What the modifiers and immediates of one instruction say.
struct Wgmma {
  uint32_t n = 0, k = 0;
  Format a = Format::kF16, b = Format::kF16, d = Format::kF32;
  bool a_in_registers = false;
  bool is_sparse = false;
  bool saturates = false;
  bool conjunction = false;
  bool negates_a = false, negates_b = false;
  bool is_transposed_a = false, is_transposed_b = false;

  uint32_t stored_k() const { return is_sparse ? k / 2 : k; }
  uint32_t d_registers() const { return Mma::registers(kRows * n / kWarpSize, register_bits(d)); }
  // Args: D, then A (a descriptor or four registers), B's descriptor, the metadata and the selector
  // where sparse, scale-d.
  uint32_t at_a() const { return d_registers(); }
  uint32_t at_b() const { return at_a() + (a_in_registers ? 4 : 1); }
  uint32_t at_metadata() const { return at_b() + 1; }
  uint32_t at_scale() const { return at_metadata() + (is_sparse ? 2 : 0); }
};

// One warp's share.
class Multiplication : public Operation {
 public:
  Multiplication(Warp& warp, const Inst& inst, const Wgmma& wgmma)
      : Operation(Origin(warp, 0)),
        block_(warp.block()),
        wgmma_(wgmma),
        frame_(warp.frame().data),
        accumulates_(warp.predicate(inst.arg[wgmma.at_scale()]) != 0),
        arithmetic_(arithmetic_of(warp, tensor::Arithmetic::kWgmmaHopper)) {
    const Element element = dense(wgmma.a);
    a_.resize(size_t{kRows} * wgmma.stored_k());
    if (wgmma.a_in_registers) {
      read_codes(warp, inst.arg + wgmma.at_a(), element, kRows * wgmma.stored_k() / kWarpSize,
                 [&](uint32_t lane, uint32_t i, uint32_t code) {
                   const Place place = place_in_a(lane, i, 32u / element.bits);
                   a_[place.line * wgmma.stored_k() + place.along] = code;
                 });
    } else {
      const uint32_t first = warp.index() % 4 * kRows;
      a_matrix_ = matrix(warp, inst.arg[wgmma.at_a()],
                         {element.bits, !wgmma.is_transposed_a, first, kRows, wgmma.stored_k()});
    }
    b_matrix_ = matrix(warp, inst.arg[wgmma.at_b()],
                       {register_bits(wgmma.b), !wgmma.is_transposed_b, 0, wgmma.n, wgmma.k});
    if (wgmma.is_sparse) read_metadata(warp, inst);
  }

  void perform() override {
    if (block_.shared_written() != nullptr) check_written();
    const uint32_t n = wgmma_.n, k = wgmma_.k;
    if (!wgmma_.a_in_registers) a_matrix_.read(block_, a_.data());
    std::vector<uint32_t> b(size_t{n} * k), d(size_t{kRows} * n);
    b_matrix_.read(block_, b.data());
    if (wgmma_.negates_a) negate(a_, wgmma_.a);
    if (wgmma_.negates_b) negate(b, wgmma_.b);
    if (accumulates_) transfer<false>(d);
    tensor::Multiply shape;
    shape.m = kRows;
    shape.n = n;
    shape.k = wgmma_.stored_k();
    shape.a = wgmma_.a;
    shape.b = wgmma_.b;
    shape.d = wgmma_.d;
    shape.arithmetic = arithmetic_;
    shape.saturates = wgmma_.saturates;
    shape.conjunction = wgmma_.conjunction;
    if (wgmma_.is_sparse) {
      tensor::multiply_sparse(shape, a_.data(), columns_.data(), b.data(), k, nullptr, nullptr,
                              d.data());
    } else {
      tensor::multiply(shape, a_.data(), b.data(), nullptr, nullptr, d.data());
    }
    transfer<true>(d);
  }

  void list_extents(std::vector<Extent>& extents) const override {
    for (const SharedMatrix* const matrix : {&a_matrix_, &b_matrix_}) {
      for (const auto& [offset, bytes] : matrix->ranges()) {
        Extent extent;
        extent.block = &block_;
        extent.access = Access::kRead;
        extent.offset = offset;
        extent.bytes = bytes;
        extent.part = matrix == &b_matrix_ ? 1 : 0;
        extents.push_back(extent);
      }
    }
  }

 private:
  // What it reads of shared memory has to be written by now.
  void check_written() const {
    std::vector<Extent> extents;
    list_extents(extents);
    for (const Extent& extent : extents) {
      const uint8_t* const begin = block_.shared_written() + extent.offset;
      const uint8_t* const found = std::find(begin, begin + extent.bytes, uint8_t{0});
      if (found == begin + extent.bytes) continue;
      const uint64_t offset = extent.offset + static_cast<uint64_t>(found - begin);
      fault_at(origin(), Fault::Kind::kUninitialized,
               "uninitialized memory: a matrix at shared memory " +
                   hexadecimal(block_.grid().model.shared_reserved + offset) +
                   " was never written");
    }
  }

  SharedMatrix matrix(Warp& warp, const Arg& arg, const SharedMatrix::Shape& shape) {
    const uint64_t descriptor = warp.reg<const uint64_t>(arg)[0];
    for (uint32_t lane = 1; lane < kWarpSize; ++lane) {
      if (warp.reg<const uint64_t>(arg)[lane] != descriptor) {
        refuse_operand(warp, "the lanes of the warp differ in a matrix descriptor");
      }
    }
    return SharedMatrix(origin(), descriptor, shape);
  }

  void read_metadata(Warp& warp, const Inst& inst) {
    const Arg* const args = inst.arg + wgmma_.at_metadata();
    const Metadata metadata(warp, args[0], args[1], {register_bits(wgmma_.a), wgmma_.k, false});
    columns_.resize(a_.size());
    for (uint32_t row = 0; row < kRows; ++row) {
      for (uint32_t i = 0; i < wgmma_.stored_k(); ++i) {
        columns_[row * wgmma_.stored_k() + i] = metadata.column(row, i);
      }
    }
  }

  static void negate(std::vector<uint32_t>& codes, Format format) {
    for (uint32_t& code : codes) code ^= 1u << (register_bits(format) - 1);
  }

  // Accumulators between the warp's registers and a row-major matrix. Elements 0 to 3 are those of
  // a tile of eight columns, 4 to 7 of the next.
  template <bool kToRegisters>
  void transfer(std::vector<uint32_t>& d) {
    const uint32_t bits = register_bits(wgmma_.d), each = 32 / bits;
    for (uint32_t i = 0; i < kRows * wgmma_.n / kWarpSize; ++i) {
      const Arg& arg = origin().inst->arg[i / each];
      auto* const words = reinterpret_cast<uint32_t*>(frame_ + arg.offset);
      const uint32_t shift = i % each * bits, mask = bits == 32 ? ~0u : 0xFFFFu;
      for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
        const Place place = place_in_c(lane, i % 4);
        uint32_t& element = d[place.line * wgmma_.n + i / 4 * 8 + place.along];
        if constexpr (kToRegisters) {
          words[lane] = (words[lane] & ~(mask << shift)) | (element & mask) << shift;
        } else {
          element = words[lane] >> shift & mask;
        }
      }
    }
  }

  Block& block_;
  Wgmma wgmma_;
  std::byte* frame_;
  bool accumulates_;
  tensor::Arithmetic arithmetic_;
  std::vector<uint32_t> a_;
  std::vector<uint16_t> columns_;  // of sparse A
  SharedMatrix a_matrix_, b_matrix_;
};

void issue(Warp& warp, const Inst& inst, const Wgmma& wgmma) {
  if (!gather_warp(warp)) return;
  if (!warp.has_fenced_multiplications) {
    refuse_operand(warp, "a wgmma.mma_async without wgmma.fence before it in this warp");
  }
  const uint32_t scale = warp.predicate(inst.arg[wgmma.at_scale()]);
  if (scale != 0 && scale != kAllLanes) {
    refuse_operand(warp, "the lanes of the warp differ in scale-d");
  }
  Cluster& cluster = warp.block().cluster();
  const Issued issued =
      cluster.async().issue(std::make_unique<Multiplication>(warp, inst, wgmma), &warp);
  warp.multiplications.add(issued, kAllLanes);
  begin_pending(warp, inst);
  if (warp.block().grid().settings.seed == 0) cluster.async().finish(issued);
}

void fence(Warp& warp, const Inst&) {
  if (gather_warp(warp)) warp.has_fenced_multiplications = true;
}

void commit_group(Warp& warp, const Inst&) {
  if (gather_warp(warp)) warp.multiplications.commit(kAllLanes);
}

void wait_group(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  warp.multiplications.wait(warp, kAllLanes, static_cast<uint32_t>(inst.arg[0].immediate));
  // Also of groups that may still be pending: the pass at load takes any wait for one of all.
  end_pending(warp, "wgmma");
}
Body wait_group_of(const Inst& inst) { return inst.arg[0].is_constant ? wait_group : nullptr; }

// --- Rows. Groups: mma_async, sync, aligned, shape, types of D, A, B, then others ---

constexpr int kShape = 3, kD = 4, kA = 5, kB = 6, kOption = 7;

struct Family {
  uint32_t k;
  std::array<Format, 2> results;
  std::array<Format, 2> operands;
  bool is_float;
  bool can_transpose;
};
constexpr Family kF16 = {16, {Format::kF16, Format::kF32}, {Format::kF16}, true, true};
constexpr Family kBf16 = {16, {Format::kF32}, {Format::kBf16}, true, true};
constexpr Family kTf32 = {8, {Format::kF32}, {Format::kTf32}, true, false};
constexpr Family kFp8 = {
    32, {Format::kF16, Format::kF32}, {Format::kE4m3, Format::kE5m2}, true, false};
constexpr Family kByte = {32, {Format::kS32}, {Format::kU8, Format::kS8}, false, false};
constexpr Family kBit = {256, {Format::kS32}, {Format::kB1}, false, false};

// Floating-point shapes have every eighth n, others 8 to 32 and every sixteenth from 48 on.
constexpr uint32_t n_of(uint32_t choice, bool is_float) {
  return is_float || choice < 4 ? (choice + 1) * 8 : (choice - 1) * 16;
}

// Two scales, and transposes of the operands in shared memory.
template <const Family& kFamily, bool kRegisters>
constexpr uint32_t immediates_of() {
  return (kFamily.is_float ? 2 : 0) + (kFamily.can_transpose ? (kRegisters ? 1 : 2) : 0);
}

template <const Family& kFamily, bool kRegisters, bool kSparse>
Wgmma wgmma_of(const Inst& inst) {
  Wgmma wgmma;
  wgmma.n = n_of(inst.choice[kShape], kFamily.is_float);
  wgmma.k = kFamily.k * (kSparse ? 2 : 1);
  wgmma.d = kFamily.results[inst.choice[kD]];
  wgmma.a = kFamily.operands[inst.choice[kA]];
  wgmma.b = kFamily.operands[inst.choice[kB]];
  wgmma.a_in_registers = kRegisters;
  wgmma.is_sparse = kSparse;
  wgmma.saturates = &kFamily == &kByte && inst.choice[kOption] != kAbsent;
  wgmma.conjunction = &kFamily == &kBit;
  constexpr uint32_t kImmediates = immediates_of<kFamily, kRegisters>();
  // Fewer where D has not the registers of this shape, which multiply_of() refuses.
  if (kFamily.is_float && inst.arg_count > wgmma.at_scale() + kImmediates) {
    const Arg* const immediates = inst.arg + wgmma.at_scale() + 1;
    wgmma.negates_a = immediates[0].immediate != 1;
    wgmma.negates_b = immediates[1].immediate != 1;
    if constexpr (kFamily.can_transpose) {
      wgmma.is_transposed_a = !kRegisters && immediates[2].immediate != 0;
      wgmma.is_transposed_b = immediates[kRegisters ? 2 : 3].immediate != 0;
    }
  }
  return wgmma;
}
template <const Family& kFamily, bool kRegisters, bool kSparse>
void multiply(Warp& warp, const Inst& inst) {
  issue(warp, inst, wgmma_of<kFamily, kRegisters, kSparse>(inst));
}

// Scales are 1 or -1, transposes 0 or 1.
bool are_immediates_legal(const Inst& inst, uint32_t first, uint32_t scales) {
  for (uint32_t i = first; i < inst.arg_count; ++i) {
    const auto value = static_cast<int32_t>(inst.arg[i].immediate);
    const bool is_scale = i < first + scales;
    if (!inst.arg[i].is_constant || (value != 1 && value != (is_scale ? -1 : 0))) return false;
  }
  return true;
}
template <const Family& kFamily, bool kRegisters, bool kSparse>
Body multiply_of(const Inst& inst) {
  const Wgmma wgmma = wgmma_of<kFamily, kRegisters, kSparse>(inst);
  const uint32_t scales = kFamily.is_float ? 2 : 0;
  const uint32_t immediates = immediates_of<kFamily, kRegisters>();
  const bool fits = inst.arg_count == wgmma.at_scale() + 1 + immediates &&
                    are_immediates_legal(inst, wgmma.at_scale() + 1, scales);
  return fits ? multiply<kFamily, kRegisters, kSparse> : nullptr;
}

std::string shapes(uint32_t k, bool is_float) {
  std::string text = "{";
  for (uint32_t i = 0;; ++i) {
    const uint32_t n = n_of(i, is_float);
    if (n > 256) break;
    text += (i == 0 ? "m64n" : ",m64n") + std::to_string(n) + "k" + std::to_string(k);
  }
  return text + "}";
}

template <const Family& kFamily, bool kSparse>
void append_family(Rows& rows, const std::string& types) {
  const std::string opcode = "wgmma.mma_async.sync.aligned.";
  const uint32_t k = kFamily.k * (kSparse ? 2 : 1);
  const std::string sparse = kSparse ? ".sp" : "", metadata = kSparse ? ", e:b32, f:b32" : "";
  const std::string scales = kFamily.is_float ? ", i:s32, j:s32" : "";
  const std::string of_b = kFamily.can_transpose ? ", t:s32" : "";
  const std::string of_a = kFamily.can_transpose ? ", s:s32" : "";
  const std::string spelling = opcode + shapes(k, kFamily.is_float) + types + sparse + " {d:b32}, ";
  const Requires target{0, "90a"};
  rows.push_back({spelling + "a:b64, b:b64" + metadata + ", p:pred" + scales + of_a + of_b, target,
                  nullptr, multiply_of<kFamily, false, kSparse>});
  rows.push_back({spelling + "{a:b32}, b:b64" + metadata + ", p:pred" + scales + of_b, target,
                  nullptr, multiply_of<kFamily, true, kSparse>});
}

template <bool kSparse>
void append_families(Rows& rows) {
  append_family<kF16, kSparse>(rows, ".{f16,f32}.f16.f16");
  append_family<kBf16, kSparse>(rows, ".f32.bf16.bf16");
  append_family<kTf32, kSparse>(rows, ".f32.tf32.tf32");
  append_family<kFp8, kSparse>(rows, ".{f16,f32}.{e4m3,e5m2}.{e4m3,e5m2}");
  append_family<kByte, kSparse>(rows, ".s32.{u8,s8}.{u8,s8}{.satfinite}");
}

}  // namespace

void append_wgmma_rows(Rows& rows) {
  append_families<false>(rows);
  append_families<true>(rows);
  append_family<kBit, false>(rows, ".s32.b1.b1.and.popc");
  const Requires target{0, "90a"};
  rows.push_back({"wgmma.fence.sync.aligned", target, fence});
  rows.push_back({"wgmma.commit_group.sync.aligned", target, commit_group});
  rows.push_back({"wgmma.wait_group.sync.aligned n:u32", target, nullptr, wait_group_of});
}

}  // namespace nibble::emulator
