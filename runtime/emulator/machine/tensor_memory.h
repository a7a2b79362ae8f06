// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Tensor memory of a block: 128 lanes of 512 columns of 32 bits, allocated by columns.
// PTX ISA 9.7.16.1, 9.7.16.7. A block has all of it for itself: an allocation waits for others of
// its own block alone.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/emulator/machine/order.h"
#include "runtime/emulator/machine/origin.h"

namespace nibble::emulator {

class TensorMemory {
 public:
  static constexpr uint32_t kLanes = 128;
  static constexpr uint32_t kColumns = 512;
  static constexpr uint32_t kLeastColumns = 32;  // of an allocation

  // A block begins: nothing is allocated, contents are undefined. `tracks_writes`: reads of cells
  // that nobody wrote since they were allocated are faults.
  void start(bool tracks_writes);

  // The cell; columns run fastest.
  uint32_t& at(uint32_t lane, uint32_t column) { return row(lane)[column]; }
  uint32_t* row(uint32_t lane) {
    if (cells_.empty()) cells_.assign(size_t{kLanes} * kColumns, kPoison);
    return cells_.data() + size_t{lane} * kColumns;
  }

  struct Allocation {
    uint32_t column = 0, columns = 0;
    Origin origin;
  };
  // Each faults, blaming `origin`, where a rule is broken.
  // Whether a block may ask for so many columns now.
  void check_request(const Origin& origin, uint32_t columns) const;
  // Where `columns` are free, here and in `peer` (which may be null).
  std::optional<uint32_t> find_free(uint32_t columns, const TensorMemory* peer) const;
  void allocate(const Origin& origin, uint32_t column, uint32_t columns);
  void deallocate(const Origin& origin, uint32_t address, uint32_t columns);
  void relinquish(const Origin& origin) { relinquished_ = origin; }
  // Columns that an instruction touches lie in live allocations; `what` names them.
  void check_allocated(const Origin& origin, uint32_t column, uint32_t columns,
                       const std::string& what) const;
  // Cells of a lane, where writes are tracked; `what` reads them.
  void mark_written(uint32_t lane, uint32_t column, uint32_t columns);
  void check_written(const Origin& origin, uint32_t lane, uint32_t column, uint32_t columns,
                     const char* what) const;
  // The block's last thread has exited: nothing may be allocated.
  void check_released() const;
  // All instructions of a kernel have the same .cta_group.
  void use_group(const Origin& origin, uint32_t group);

  // What the blocks of a pair ask for together (.cta_group::2): kept in the even block's, by the
  // lowest bit of the asking block's rank.
  struct Request {
    enum class Kind : uint8_t { kNone, kAllocate, kDeallocate };
    Kind kind = Kind::kNone;
    Origin origin;
    uint32_t columns = 0;
    uint32_t address = 0;
    bool is_done = false;
  };
  Request& request(uint32_t rank) { return requests_[rank & 1]; }
  // Of those who deallocated, for those who allocate.
  Knowledge& released() { return released_; }

 private:
  static constexpr uint32_t kPoison = 0x7FA5A5A5;  // a NaN as f32
  static constexpr uint32_t kUnits = kColumns / kLeastColumns;

  bool is_free(uint32_t column, uint32_t columns) const;
  std::string list() const;

  std::vector<uint32_t> cells_;   // none until touched
  std::vector<uint8_t> written_;  // by cell; none where writes are not tracked
  std::vector<Allocation> allocations_;
  std::array<bool, kUnits> taken_{};
  uint32_t last_columns_ = 0;  // of the latest allocation; 0: none yet
  Origin relinquished_;
  Origin group_origin_;
  uint32_t group_ = 0;
  std::array<Request, 2> requests_;
  Knowledge released_;
};

}  // namespace nibble::emulator
