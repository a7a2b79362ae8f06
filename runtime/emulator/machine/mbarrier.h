// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// mbarrier objects: PTX ISA 9.7.13.15. The state lies in the kernel's shared memory:
//   bits 0-19 pending arrivals, 20-39 expected arrivals, 40-60 tx-count (two's complement),
//   61-63 phase
// Beside it the block keeps who arrived, for reports, and what waiting warps learn.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "runtime/emulator/machine/order.h"
#include "runtime/emulator/machine/origin.h"

namespace nibble::emulator {

class Block;

struct MbarrierState {
  uint32_t pending = 0, expected = 0;
  int32_t tx = 0;
  uint32_t phase = 0;

  static MbarrierState unpack(uint64_t bits);
  uint64_t pack() const;
};

constexpr uint32_t kMaxMbarrierCount = (1u << 20) - 1;

// The mbarriers of one block.
class Mbarriers {
 public:
  explicit Mbarriers(Block& block) : block_(block) {}
  void start() {
    records_.clear();
    over_.clear();
  }

  // `offset`: of the object's 8 bytes in the block's shared memory, a multiple of 8. Each faults,
  // blaming `origin`, where there is no valid object or a rule is broken.
  void init(const Origin& origin, uint32_t offset, uint32_t count);
  void invalidate(const Origin& origin, uint32_t offset);
  // Whether mbarrier.inval ended the object. Asynchronous work that nobody waits for any more, such
  // as the last commit that frees a stage, signals it later; hardware lets that pass.
  bool is_over(uint32_t offset) const { return over_.contains(offset); }
  void check_not_over(const Origin& origin, uint32_t offset) {
    if (is_over(offset)) read(origin, offset);
  }
  // What an arrival may do besides.
  struct Arrival {
    uint32_t count = 1;
    bool drops = false;        // arrive_drop: expects as many less from the next phase on
    bool no_complete = false;  // may not end the phase
  };
  // Returns the state before.
  uint64_t arrive(const Origin& origin, uint32_t offset, Arrival arrival, const Knowledge& from);
  void expect_tx(const Origin& origin, uint32_t offset, uint32_t bytes);
  void complete_tx(const Origin& origin, uint32_t offset, uint32_t bytes, const Knowledge& from);
  // One more arrival is expected in this phase (cp.async.mbarrier.arrive without .noinc).
  void add_pending(const Origin& origin, uint32_t offset);

  // Whether the phase with this parity, or that of a state, has completed.
  bool is_complete(const Origin& origin, uint32_t offset, uint32_t parity);
  bool is_complete_after(const Origin& origin, uint32_t offset, uint64_t state);
  // What those know who wait for a completed phase.
  const Knowledge& completed(uint32_t offset) { return records_[offset].completed; }

  // Counts, phase, who has arrived and who did in the phase before: for deadlock reports.
  std::string state_text(uint32_t offset) const;
  // Whether [offset, offset + bytes) overlaps a live object.
  bool overlaps(uint32_t offset, uint32_t bytes) const;

 private:
  struct Event {  // for reports
    Origin origin;
    const char* what = "";
    uint32_t amount = 0;
  };
  struct Record {
    uint64_t bits = 0;  // as last written here
    uint32_t phases = 0;
    Epoch init;
    Knowledge arriving, completed;
    std::vector<Event> events, previous;  // of this phase, of the last
  };
  MbarrierState read(const Origin& origin, uint32_t offset);
  // The same for a use by who knows `known`.
  MbarrierState use(const Origin& origin, uint32_t offset, const Knowledge& known);
  MbarrierState use(const Origin& origin, uint32_t offset);  // by the warp itself
  void write(uint32_t offset, MbarrierState state);
  void update(const Origin& origin, uint32_t offset, MbarrierState state);
  static void note(Record& record, const Origin& origin, const char* what, uint32_t amount);

  Block& block_;
  std::map<uint32_t, Record> records_;
  std::set<uint32_t> over_;
};

}  // namespace nibble::emulator
