// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// 8x8 matrices and their kin between shared memory and registers: ldmatrix, stmatrix, movmatrix.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#warp-level-matrix-instructions
#include <array>
#include <cstring>
#include <string>

#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/code.h"
#include "runtime/emulator/machine/report.h"
#include "runtime/emulator/ops/fragment.h"

namespace nibble::emulator {

bool gather_warp(Warp& warp) {
  if (!warp.gather(kAllLanes)) return false;
  if (warp.active != kAllLanes) {
    warp.fault(Fault::Kind::kIllegalInstruction,
               "only some lanes of the warp execute this, which needs all 32: lanes " +
                   hexadecimal(warp.active),
               warp.active);
  }
  return true;
}

namespace {

constexpr uint32_t kRowBytes = 16;

using MatrixRow = std::array<uint8_t, kRowBytes>;

// The 16-byte rows that the first `count` lanes point to.
class MatrixRows {
 public:
  MatrixRows(Warp& warp, const Inst& inst, const Arg& address, uint32_t count, Access access) {
    warp.active = count == kWarpSize ? kAllLanes : (1u << count) - 1;
    check_space(warp, inst, address);
    resolve(warp, inst, address, kRowBytes, access, places_);
    warp.active = kAllLanes;
  }
  MatrixRow load(uint32_t row) const {
    MatrixRow bytes;
    std::memcpy(bytes.data(), places_.at(row), kRowBytes);
    return bytes;
  }
  void store(uint32_t row, const MatrixRow& bytes) const {
    std::memcpy(places_.at(row), bytes.data(), kRowBytes);
  }

 private:
  static void check_space(Warp& warp, const Inst& inst, const Arg& address) {
    if (inst.space != Space::kGeneric) return;
    for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
      const uint64_t at = warp.integer(address, lane) + static_cast<uint64_t>(address.immediate);
      if (at - kSharedWindow < kWindowSize) continue;
      warp.fault(Fault::Kind::kIllegalAddress,
                 "illegal address: " + hexadecimal(at) + " is not in shared memory", 1u << lane);
    }
  }

  Places places_;
};

// {x1,x2,x4}
constexpr uint32_t matrices_of(uint8_t choice) { return 1u << choice; }

// 16 elements of 4 or 6 bits, then padding up to 16 bytes, to 16 bytes.
MatrixRow expand(const MatrixRow& packed, uint32_t bits) {
  MatrixRow bytes;
  for (uint32_t i = 0; i < kRowBytes; ++i) {
    const uint32_t at = i * bits;
    const uint32_t two = packed[at / 8] | uint32_t{packed[(at / 8 + 1) % kRowBytes]} << 8;
    bytes[i] = static_cast<uint8_t>(two >> at % 8 & ((1u << bits) - 1));
  }
  return bytes;
}

// {b6x16_p32,b4x16_p64}
constexpr uint32_t packed_bits(uint8_t choice) { return choice == 0 ? 6 : 4; }

// Register j, matrix j: lane 4 r + t gets the t-th word of row r.
// Groups: sync aligned shape num space {formats}.
template <bool kPacked>
void ldmatrix_rows(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  const uint32_t count = matrices_of(inst.choice[3]);
  const MatrixRows rows(warp, inst, inst.arg[count], count * 8, Access::kRead);
  for (uint32_t j = 0; j < count; ++j) {
    uint32_t* const d = warp.reg<uint32_t>(inst.arg[j]);
    for (uint32_t r = 0; r < 8; ++r) {
      MatrixRow row = rows.load(j * 8 + r);
      if constexpr (kPacked) row = expand(row, packed_bits(inst.choice[6]));
      std::memcpy(d + r * 4, row.data(), kRowBytes);
    }
  }
}

// Transposed: lane 4 c + t gets column c of rows 2 t and 2 t + 1.
void ldmatrix_columns(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  const uint32_t count = matrices_of(inst.choice[3]);
  const MatrixRows rows(warp, inst, inst.arg[count], count * 8, Access::kRead);
  for (uint32_t j = 0; j < count; ++j) {
    auto* const d = warp.reg<uint16_t>(inst.arg[j]);
    for (uint32_t r = 0; r < 8; ++r) {
      const MatrixRow row = rows.load(j * 8 + r);
      for (uint32_t c = 0; c < 8; ++c) std::memcpy(d + c * 8 + r, row.data() + c * 2, 2);
    }
  }
}

// 16 rows of 16 bytes, transposed: lane 4 c + t gets rows 4 t to 4 t + 3 of column c in the first
// register of a matrix, of column c + 8 in the second.
template <bool kPacked>
void ldmatrix_square(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  const uint32_t count = matrices_of(inst.choice[3]);
  const MatrixRows rows(warp, inst, inst.arg[count * 2], count * 16, Access::kRead);
  for (uint32_t j = 0; j < count; ++j) {
    for (uint32_t r = 0; r < 16; ++r) {
      MatrixRow row = rows.load(j * 16 + r);
      if constexpr (kPacked) row = expand(row, packed_bits(inst.choice[7]));
      for (uint32_t c = 0; c < 16; ++c) {
        auto* const d = warp.reg<uint8_t>(inst.arg[j * 2 + c / 8]);
        d[c % 8 * 16 + r] = row[c];
      }
    }
  }
}

void stmatrix_rows(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  const uint32_t count = matrices_of(inst.choice[3]);
  const MatrixRows rows(warp, inst, inst.arg[0], count * 8, Access::kWrite);
  for (uint32_t j = 0; j < count; ++j) {
    const uint32_t* const s = warp.reg<const uint32_t>(inst.arg[1 + j]);
    for (uint32_t r = 0; r < 8; ++r) {
      MatrixRow row;
      std::memcpy(row.data(), s + r * 4, kRowBytes);
      rows.store(j * 8 + r, row);
    }
  }
}

void stmatrix_columns(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  const uint32_t count = matrices_of(inst.choice[3]);
  const MatrixRows rows(warp, inst, inst.arg[0], count * 8, Access::kWrite);
  for (uint32_t j = 0; j < count; ++j) {
    const auto* const s = warp.reg<const uint16_t>(inst.arg[1 + j]);
    for (uint32_t r = 0; r < 8; ++r) {
      MatrixRow row;
      for (uint32_t c = 0; c < 8; ++c) std::memcpy(row.data() + c * 2, s + c * 8 + r, 2);
      rows.store(j * 8 + r, row);
    }
  }
}

// 16x8 matrices of bytes as the accumulators of an mma have them (place_in_c), each of the 8
// columns to 16 bytes.
void stmatrix_bytes(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  const uint32_t count = matrices_of(inst.choice[3]);
  const MatrixRows rows(warp, inst, inst.arg[0], count * 8, Access::kWrite);
  for (uint32_t j = 0; j < count; ++j) {
    std::array<MatrixRow, 8> columns;
    read_codes(warp, &inst.arg[1 + j], dense(tensor::Format::kU8), 4,
               [&](uint32_t lane, uint32_t i, uint32_t code) {
                 const Place place = place_in_c(lane, i);
                 columns[place.along][place.line] = static_cast<uint8_t>(code);
               });
    for (uint32_t c = 0; c < 8; ++c) rows.store(j * 8 + c, columns[c]);
  }
}

void movmatrix(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  std::array<uint16_t, 64> source;
  std::memcpy(source.data(), warp.reg<const uint16_t>(inst.arg[1]), sizeof source);
  auto* const d = warp.reg<uint16_t>(inst.arg[0]);
  for (uint32_t r = 0; r < 8; ++r) {
    for (uint32_t c = 0; c < 8; ++c) d[c * 8 + r] = source[r * 8 + c];
  }
}

// Vectors have a register a matrix, two where it is 16x16.
template <uint32_t kRegisters, Body kBody>
Body with_registers(const Inst& inst) {
  return inst.arg_count == 1 + kRegisters * matrices_of(inst.choice[3]) ? kBody : nullptr;
}
template <Body kRows, Body kColumns>
Body transposed_or_not(const Inst& inst) {
  if (inst.arg_count != 1 + matrices_of(inst.choice[3])) return nullptr;
  return inst.choice[4] == kAbsent ? kRows : kColumns;
}

}  // namespace

void append_matrix_rows(Rows& rows) {
  const Requires bytes{0, "100f 110f 120f"};
  const Row matrix_rows[] = {
      {"ldmatrix.sync.aligned.m8n8.{x1,x2,x4}{.trans}{.shared,.shared::cta}.b16 {d:b32}, [a]",
       {75},
       nullptr,
       transposed_or_not<ldmatrix_rows<false>, ldmatrix_columns>},
      {"ldmatrix.sync.aligned.m8n16.{x1,x2,x4}{.shared,.shared::cta}.b8x16.{b6x16_p32,b4x16_p64} "
       "{d:b32}, [a]",
       bytes, nullptr, with_registers<1, ldmatrix_rows<true>>},
      {"ldmatrix.sync.aligned.m16n16.{x1,x2}.trans{.shared,.shared::cta}.b8 {d:b32}, [a]", bytes,
       nullptr, with_registers<2, ldmatrix_square<false>>},
      {"ldmatrix.sync.aligned.m16n16.{x1,x2}.trans{.shared,.shared::cta}.b8x16."
       "{b6x16_p32,b4x16_p64} {d:b32}, [a]",
       bytes, nullptr, with_registers<2, ldmatrix_square<true>>},
      {"stmatrix.sync.aligned.m8n8.{x1,x2,x4}{.trans}{.shared,.shared::cta}.b16 [a], {s:b32}",
       {90},
       nullptr,
       transposed_or_not<stmatrix_rows, stmatrix_columns>},
      {"stmatrix.sync.aligned.m16n8.{x1,x2,x4}.trans{.shared,.shared::cta}.b8 [a], {s:b32}", bytes,
       nullptr, with_registers<1, stmatrix_bytes>},
      {"movmatrix.sync.aligned.m8n8.trans.b16 d:b32, a:b32", {75}, movmatrix},
  };
  rows.insert(rows.end(), std::begin(matrix_rows), std::end(matrix_rows));
}

}  // namespace nibble::emulator
