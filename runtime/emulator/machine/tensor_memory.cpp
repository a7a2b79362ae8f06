// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/tensor_memory.h"

#include <algorithm>
#include <bit>

#include "runtime/emulator/machine/report.h"

namespace nibble::emulator {

namespace {

[[noreturn]] void refuse(const Origin& origin, const std::string& what) {
  fault_at(origin, Fault::Kind::kIllegalInstruction, what);
}

std::string count_text(uint32_t columns) { return std::to_string(columns) + " columns"; }

}  // namespace

void TensorMemory::start(bool tracks_writes) {
  std::fill(cells_.begin(), cells_.end(), kPoison);
  written_.assign(tracks_writes ? size_t{kLanes} * kColumns : 0, 0);
  allocations_.clear();
  taken_.fill(false);
  last_columns_ = 0;
  relinquished_ = {};
  group_origin_ = {};
  group_ = 0;
  requests_ = {};
  released_.clear();
}

void TensorMemory::check_request(const Origin& origin, uint32_t columns) const {
  if (columns < kLeastColumns || columns > kColumns || !std::has_single_bit(columns)) {
    refuse(origin, count_text(columns) +
                       " of tensor memory asked for; a power of two from 32 to 512 is needed");
  }
  if (relinquished_.warp != nullptr) {
    refuse(origin,
           "an allocation of tensor memory after the block gave up its right to\n  given up: " +
               to_text(relinquished_));
  }
  if (last_columns_ != 0 && columns > last_columns_) {
    refuse(origin, count_text(columns) + " of tensor memory asked for after an allocation of " +
                       std::to_string(last_columns_) + ": sizes may not grow");
  }
}

bool TensorMemory::is_free(uint32_t column, uint32_t columns) const {
  const auto first = taken_.begin() + column / kLeastColumns;
  return std::none_of(first, first + columns / kLeastColumns, [](bool taken) { return taken; });
}

std::optional<uint32_t> TensorMemory::find_free(uint32_t columns, const TensorMemory* peer) const {
  for (uint32_t column = 0; column + columns <= kColumns; column += kLeastColumns) {
    if (is_free(column, columns) && (peer == nullptr || peer->is_free(column, columns))) {
      return column;
    }
  }
  return std::nullopt;
}

void TensorMemory::allocate(const Origin& origin, uint32_t column, uint32_t columns) {
  allocations_.push_back({column, columns, origin});
  std::fill_n(taken_.begin() + column / kLeastColumns, columns / kLeastColumns, true);
  last_columns_ = columns;
  if (written_.empty()) return;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    std::fill_n(written_.begin() + size_t{lane} * kColumns + column, columns, uint8_t{0});
  }
}

void TensorMemory::mark_written(uint32_t lane, uint32_t column, uint32_t columns) {
  if (written_.empty()) return;
  std::fill_n(written_.begin() + size_t{lane} * kColumns + column, columns, uint8_t{1});
}

void TensorMemory::check_written(const Origin& origin, uint32_t lane, uint32_t column,
                                 uint32_t columns, const char* what) const {
  if (written_.empty()) return;
  const auto first = written_.begin() + size_t{lane} * kColumns + column;
  const auto found = std::find(first, first + columns, uint8_t{0});
  if (found == first + columns) return;
  fault_at(origin, Fault::Kind::kUninitialized,
           std::string("uninitialized memory: ") + what + " reads tensor memory at lane " +
               std::to_string(lane) + ", column " + std::to_string(column + (found - first)) +
               ", which was never written since it was allocated");
}

std::string TensorMemory::list() const {
  if (allocations_.empty()) return "\n  nothing is allocated";
  std::string text;
  for (const Allocation& allocation : allocations_) {
    text += "\n  allocated: columns " + std::to_string(allocation.column) + " to " +
            std::to_string(allocation.column + allocation.columns - 1) + " by " +
            to_text(allocation.origin);
  }
  return text;
}

void TensorMemory::deallocate(const Origin& origin, uint32_t address, uint32_t columns) {
  const auto found =
      std::find_if(allocations_.begin(), allocations_.end(), [&](const Allocation& allocation) {
        return allocation.column == address && allocation.columns == columns;
      });
  if (found == allocations_.end()) {
    refuse(origin, "no allocation of " + count_text(columns) + " of tensor memory at " +
                       hexadecimal(address) + list());
  }
  std::fill_n(taken_.begin() + found->column / kLeastColumns, columns / kLeastColumns, false);
  allocations_.erase(found);
}

void TensorMemory::check_allocated(const Origin& origin, uint32_t column, uint32_t columns,
                                   const std::string& what) const {
  const uint32_t end = column + columns;
  bool is_inside = end <= kColumns;
  for (uint32_t at = column; is_inside && at < end; at += kLeastColumns - at % kLeastColumns) {
    is_inside = taken_[at / kLeastColumns];
  }
  if (is_inside) return;
  fault_at(origin, Fault::Kind::kIllegalAddress,
           "illegal address: " + what + " in columns " + std::to_string(column) + " to " +
               std::to_string(end - 1) + " of tensor memory, which are not all allocated" + list());
}

void TensorMemory::check_released() const {
  if (allocations_.empty()) return;
  refuse(allocations_.front().origin, "the block has exited without deallocating " +
                                          count_text(allocations_.front().columns) +
                                          " of tensor memory that this allocated");
}

void TensorMemory::use_group(const Origin& origin, uint32_t group) {
  if (group_ == 0) {
    group_ = group;
    group_origin_ = origin;
  }
  if (group_ != group) {
    refuse(origin,
           "tcgen05 instructions of one kernel with .cta_group::1 and with .cta_group::2"
           "\n  the other: " +
               to_text(group_origin_));
  }
}

}  // namespace nibble::emulator
