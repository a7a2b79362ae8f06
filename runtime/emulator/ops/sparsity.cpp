// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/ops/sparsity.h"

#include <algorithm>

namespace nibble::emulator {

void refuse_operand(Warp& warp, const std::string& what) {
  warp.fault(Fault::Kind::kIllegalInstruction, what, warp.active);
}

uint32_t uniform_value(Warp& warp, const Arg& arg, const char* what) {
  const auto value = static_cast<uint32_t>(warp.integer(arg, 0));
  for (uint32_t lane = 1; lane < kWarpSize; ++lane) {
    if (warp.integer(arg, lane) != value) {
      refuse_operand(warp, std::string("the lanes of the warp differ in the ") + what);
    }
  }
  return value;
}

Metadata::Metadata(Warp& warp, const Arg& metadata, const Arg& selector, const SparseRow& row)
    : warp_(warp),
      stored_(row.bits == 32  ? 1
              : row.bits == 4 ? 4
                              : 2),
      unit_(row.bits == 4 ? 2 : 1),
      row_a_lane_(row.bits < 16),
      is_one_of_two_(row.bits == 32),
      needs_order_(row.needs_order) {
  std::copy_n(warp.reg<const uint32_t>(metadata), kWarpSize, words_.begin());
  const uint32_t chunks = row.k / 2 / stored_;
  const uint32_t lanes = chunks / 4;  // of four, that contribute: 8 nibbles each, of two rows
  const uint32_t chosen = uniform_value(warp, selector, "sparsity selector");
  if (chosen >= 4 / lanes) {
    refuse_operand(warp, "sparsity selector " + std::to_string(chosen) + "; this shape has 0 to " +
                             std::to_string(4 / lanes - 1));
  }
  first_ = chosen * lanes;
}

uint16_t Metadata::column(uint32_t row, uint32_t i) const {
  const uint32_t chunk = i / stored_, in_chunk = i % stored_;
  const uint32_t nibble = nibble_of(row, chunk), start = chunk * stored_ * 2;
  if (is_one_of_two_) return static_cast<uint16_t>(start + (nibble == 0b1110));
  const uint32_t index = nibble >> (in_chunk / unit_ * 2) & 3;
  return static_cast<uint16_t>(start + index * unit_ + in_chunk % unit_);
}

uint32_t Metadata::nibble_of(uint32_t row, uint32_t chunk) const {
  const uint32_t lower = row / 8;
  const uint32_t lane = row % 8 * 4 + first_ + (row_a_lane_ ? chunk / 8 * 2 + lower : chunk / 4);
  const uint32_t shift = row_a_lane_ ? chunk % 8 * 4 : lower * 16 + chunk % 4 * 4;
  const uint32_t nibble = words_[lane] >> shift & 15;
  check(nibble, lane);
  return nibble;
}

void Metadata::check(uint32_t nibble, uint32_t lane) const {
  const uint32_t low = nibble & 3, high = nibble >> 2;
  const bool fits = is_one_of_two_ ? nibble == 0b0100 || nibble == 0b1110
                                   : low != high && (low < high || !needs_order_);
  if (fits) return;
  warp_.fault(Fault::Kind::kIllegalInstruction,
              "sparsity metadata " + std::to_string(low) + ", " + std::to_string(high) +
                  " (a nibble, low bits first) " +
                  (is_one_of_two_ ? "is neither 0b0100 nor 0b1110"
                   : low == high  ? "names one element twice"
                                  : "is not in increasing order"),
              1u << lane);
}

}  // namespace nibble::emulator
