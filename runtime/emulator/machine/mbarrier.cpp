// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/mbarrier.h"

#include <cstring>

#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/report.h"

namespace nibble::emulator {

namespace {

constexpr uint32_t kSize = 8;
constexpr int kTxBits = 21;
constexpr int32_t kMostTx = (1 << (kTxBits - 1)) - 1;
constexpr size_t kMostEvents = 64;  // remembered of a phase

uint64_t field(uint64_t bits, int from, int count) {
  return bits >> from & ((uint64_t{1} << count) - 1);
}

}  // namespace

MbarrierState MbarrierState::unpack(uint64_t bits) {
  MbarrierState state;
  state.pending = static_cast<uint32_t>(field(bits, 0, 20));
  state.expected = static_cast<uint32_t>(field(bits, 20, 20));
  const auto tx = static_cast<int32_t>(field(bits, 40, kTxBits));
  state.tx = tx > kMostTx ? tx - (1 << kTxBits) : tx;
  state.phase = static_cast<uint32_t>(field(bits, 61, 3));
  return state;
}

uint64_t MbarrierState::pack() const {
  const auto bits = static_cast<uint64_t>(tx) & ((uint64_t{1} << kTxBits) - 1);
  return pending | uint64_t{expected} << 20 | bits << 40 | uint64_t{phase & 7} << 61;
}

MbarrierState Mbarriers::read(const Origin& origin, uint32_t offset) {
  const auto found = records_.find(offset);
  const auto name = [&] {
    return "mbarrier at shared memory " + hexadecimal(offset + block_.grid().model.shared_reserved);
  };
  if (found == records_.end()) {
    fault_at(origin, Fault::Kind::kIllegalInstruction,
             name() + (is_over(offset) ? " was invalidated by mbarrier.inval"
                                       : " was not initialised by mbarrier.init"));
  }
  uint64_t bits = 0;
  std::memcpy(&bits, block_.shared() + offset, sizeof bits);
  if (bits != found->second.bits) {
    fault_at(origin, Fault::Kind::kIllegalInstruction,
             name() + " was overwritten by something else than mbarrier operations");
  }
  return MbarrierState::unpack(bits);
}

MbarrierState Mbarriers::use(const Origin& origin, uint32_t offset, const Knowledge& known) {
  const MbarrierState state = read(origin, offset);
  block_.cluster().order().check_initialised(origin, known, block_, offset, records_[offset].init);
  return state;
}

MbarrierState Mbarriers::use(const Origin& origin, uint32_t offset) {
  return use(origin, offset, block_.cluster().order().knowledge(*origin.warp));
}

void Mbarriers::write(uint32_t offset, MbarrierState state) {
  const uint64_t bits = state.pack();
  std::memcpy(block_.shared() + offset, &bits, sizeof bits);
  records_[offset].bits = bits;
}

// Stores the state; ends the phase when nothing is awaited any more.
void Mbarriers::update(const Origin& origin, uint32_t offset, MbarrierState state) {
  if (state.tx > kMostTx || state.tx < -kMostTx) {
    fault_at(origin, Fault::Kind::kIllegalInstruction,
             "the tx-count of the mbarrier becomes " + std::to_string(state.tx) +
                 "; its range is +-" + std::to_string(kMostTx) + state_text(offset));
  }
  if (state.pending != 0 || state.tx != 0) return write(offset, state);
  Record& record = records_[offset];
  record.completed.join(record.arriving);
  record.arriving.clear();
  record.previous = std::move(record.events);
  record.events.clear();
  ++record.phases;
  state.pending = state.expected;
  ++state.phase;
  write(offset, state);
  block_.cluster().wake(block_.shared() + offset);
}

void Mbarriers::note(Record& record, const Origin& origin, const char* what, uint32_t amount) {
  if (record.events.size() < kMostEvents) record.events.push_back({origin, what, amount});
}

void Mbarriers::init(const Origin& origin, uint32_t offset, uint32_t count) {
  if (count == 0 || count > kMaxMbarrierCount) {
    fault_at(origin, Fault::Kind::kIllegalInstruction,
             "mbarrier.init with a count of " + std::to_string(count) + "; it must be 1 to " +
                 std::to_string(kMaxMbarrierCount));
  }
  Record& record = records_[offset];
  record = Record{};
  record.init = block_.cluster().order().now(*origin.warp);
  over_.erase(offset);
  MbarrierState state;
  state.pending = state.expected = count;
  write(offset, state);
}

void Mbarriers::invalidate(const Origin& origin, uint32_t offset) {
  use(origin, offset);
  records_.erase(offset);
  over_.insert(offset);
}

uint64_t Mbarriers::arrive(const Origin& origin, uint32_t offset, Arrival arrival,
                           const Knowledge& from) {
  MbarrierState state = use(origin, offset, from);
  const uint64_t before = state.pack();
  if (arrival.count == 0 || arrival.count > kMaxMbarrierCount) {
    fault_at(origin, Fault::Kind::kIllegalInstruction,
             "an arrival with a count of " + std::to_string(arrival.count));
  }
  if (arrival.count > state.pending) {
    fault_at(origin, Fault::Kind::kIllegalInstruction,
             std::to_string(arrival.count) + " arrivals where the mbarrier awaits " +
                 std::to_string(state.pending) + state_text(offset));
  }
  Record& record = records_[offset];
  note(record, origin, "arrived, count", arrival.count);
  record.arriving.join(from);
  state.pending -= arrival.count;
  if (arrival.drops) {
    if (arrival.count > state.expected) {
      fault_at(origin, Fault::Kind::kIllegalInstruction,
               "mbarrier.arrive_drop of more than is expected" + state_text(offset));
    }
    state.expected -= arrival.count;
  }
  if (arrival.no_complete && state.pending == 0) {
    fault_at(origin, Fault::Kind::kIllegalInstruction,
             "an arrival with .noComplete would end the phase" + state_text(offset));
  }
  update(origin, offset, state);
  return before;
}

void Mbarriers::expect_tx(const Origin& origin, uint32_t offset, uint32_t bytes) {
  MbarrierState state = use(origin, offset);
  note(records_[offset], origin, "expects bytes", bytes);
  state.tx += static_cast<int32_t>(bytes);
  update(origin, offset, state);
}

void Mbarriers::complete_tx(const Origin& origin, uint32_t offset, uint32_t bytes,
                            const Knowledge& from) {
  MbarrierState state = use(origin, offset, from);
  Record& record = records_[offset];
  note(record, origin, "completed bytes", bytes);
  record.arriving.join(from);
  state.tx -= static_cast<int32_t>(bytes);
  update(origin, offset, state);
}

void Mbarriers::add_pending(const Origin& origin, uint32_t offset) {
  MbarrierState state = use(origin, offset);
  ++state.pending;
  update(origin, offset, state);
}

bool Mbarriers::is_complete(const Origin& origin, uint32_t offset, uint32_t parity) {
  return (use(origin, offset).phase & 1) != (parity & 1);
}

bool Mbarriers::is_complete_after(const Origin& origin, uint32_t offset, uint64_t state) {
  return use(origin, offset).phase != MbarrierState::unpack(state).phase;
}

std::string Mbarriers::state_text(uint32_t offset) const {
  const auto found = records_.find(offset);
  if (found == records_.end()) return "";
  const Record& record = found->second;
  const MbarrierState state = MbarrierState::unpack(record.bits);
  std::string text = "\n    mbarrier at shared memory " +
                     hexadecimal((uint64_t{block_.rank()} << kRankShift) + offset +
                                 block_.grid().model.shared_reserved) +
                     ": in phase " + std::to_string(record.phases) + " (parity " +
                     std::to_string(state.phase & 1) + "), " + std::to_string(state.pending) +
                     " of " + std::to_string(state.expected) + " arrivals and " +
                     std::to_string(state.tx) + " bytes are still to come";
  auto list = [&](const char* title, const std::vector<Event>& events) {
    if (events.empty()) return;
    text += std::string("\n    ") + title;
    for (const Event& event : events) {
      text += std::string("\n      ") + event.what + " " + std::to_string(event.amount) + ": " +
              to_text(event.origin);
    }
  };
  list("in this phase:", record.events);
  list("who completed the phase before, and may be missing now:", record.previous);
  return text;
}

bool Mbarriers::overlaps(uint32_t offset, uint32_t bytes) const {
  const auto after = records_.lower_bound(offset + bytes);
  if (after == records_.begin()) return false;
  return std::prev(after)->first + kSize > offset;
}

}  // namespace nibble::emulator
