// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the checks of order have to say.
#include <string>

#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/order.h"
#include "runtime/emulator/machine/report.h"

namespace nibble::emulator {

namespace {

std::string address_text(const Block& block, uint64_t offset) {
  return hexadecimal((uint64_t{block.rank()} << kRankShift) + offset +
                     block.grid().model.shared_reserved);
}

const char* verb_of(bool writes) { return writes ? "writes it" : "reads it"; }

}  // namespace

void Order::check_initialised(const Origin& user, const Knowledge& known, const Block& owner,
                              uint32_t offset, Epoch init) const {
  if (!is_enabled_ || init.agent() == agent_of(*user.warp)) return;
  const bool is_ordered = init.clock() <= known.seen.of(init.agent());
  const bool is_released = !owner.grid().settings.check_init_fences ||
                           &user.warp->block() == &owner ||
                           init.clock() <= knowledge(*user.warp).released.of(init.agent());
  if ((is_ordered && is_released) || !is_finding(user, init)) return;
  std::string what =
      "race: uses the mbarrier at shared memory " + address_text(owner, offset) +
      " which may not be initialised yet\n  the other: " + describe(init, "initialises it");
  what += is_ordered ? "\n  neither fence.mbarrier_init nor a release makes that known to others "
                       "than its block"
                     : "\n  no barrier, wait or fence orders the two";
  emit(user, what);
}

// What happened before through a barrier alone also needs the fences of tcgen05.
void Order::check_tensor_fences(const Attempt& attempt, const Cell& cell, uint64_t where) {
  auto check = [&](Epoch other, bool other_writes) {
    const Agent agent = other.agent();
    if (other.is_none() || agent == attempt.epoch.agent() ||
        other.clock() > attempt.seen.of(agent) ||
        other.clock() <= attempt.tensor_state->tensor_ordered.of(agent) ||
        !is_finding(attempt.origin, other)) {
      return;
    }
    const bool lacks_before = other.clock() > attempt.tensor_state->knowledge.tensor.of(agent);
    std::string what = "missing tcgen05.fence::";
    what += lacks_before ? "before_thread_sync by the other" : "after_thread_sync";
    what += attempt.access == Access::kRead ? ": reads" : ": writes";
    what += " tensor memory at lane " + std::to_string(where >> 16) + ", column " +
            std::to_string(where & 0xFFFF) +
            "\n  the other: " + describe(other, verb_of(other_writes));
    emit(attempt.origin, what);
  };
  check(cell.write, true);
  if (attempt.access == Access::kRead) return;
  for (const Epoch read : cell.read) check(read, false);
}

void Order::report_unwritten(const Origin& origin, const Block& block, uint32_t offset) const {
  if (!is_finding(origin, Epoch{})) return;
  emit(origin, "unordered access: reads shared memory at " + address_text(block, offset) +
                   ", which nobody has written yet, nor issued a copy to"
                   "\n  a wait for what fills it is missing, or is one for the wrong phase");
}

std::string Order::describe(Epoch epoch, const char* verb) const {
  const Agent agent = epoch.agent();
  const auto& instructions = cluster_.block(0)->grid().code.instructions;
  std::string text;
  const auto warps = static_cast<Agent>(2 * states_.size());
  if (agent < warps) {
    Block& block = *cluster_.block(agent / 2 / warps_);
    text = "warp " + std::to_string(agent / 2 % warps_) + " of block " + to_text(block.index());
  } else if (agent < first_slot()) {
    text = "the tensor core of block " + to_text(cluster_.block(agent - warps)->index());
  } else {
    const Slot& slot = slots_[agent - first_slot()];
    text = "an asynchronous operation";
    if (slot.clock == epoch.clock() && slot.origin.warp != nullptr) {
      text += " of warp " + std::to_string(slot.origin.warp->index()) + " of block " +
              to_text(slot.origin.warp->block().index());
    }
  }
  text += std::string(" ") + verb;
  if (epoch.instruction() < instructions.size()) {
    const auto& place = instructions[epoch.instruction()];
    const auto at = static_cast<size_t>(place.inst - place.function->body.data());
    text += " at PTX line " + std::to_string(place.inst->location.line) + ": " +
            place.function->text[at];
  }
  return text;
}

void Order::report(const Attempt& attempt, Epoch other, bool other_writes, uint64_t where,
                   bool tensor, bool lacks_fence) const {
  if (!is_finding(attempt.origin, other)) return;
  std::string what;
  if (lacks_fence) {
    what = "missing fence.proxy.async: an asynchronous operation reads";
  } else {
    const bool other_is_async = other.agent() >= 2 * states_.size() || other.agent() % 2 != 0;
    what = other_is_async ? "unordered access while an asynchronous operation may be pending: "
                          : "race: ";
    what += attempt.access == Access::kRead ? "reads" : "writes";
  }
  if (tensor) {
    what += " tensor memory at lane " + std::to_string(where >> 16) + ", column " +
            std::to_string(where & 0xFFFF);
  } else {
    what += " shared memory at " + address_text(attempt.block, where);
  }
  what += "\n  the other: " + describe(other, verb_of(other_writes));
  what += lacks_fence
              ? "\n  nobody has executed fence.proxy.async between that write and this operation"
              : "\n  no barrier, wait or fence orders the two";
  emit(attempt.origin, what);
}

bool Order::is_finding(const Origin& origin, Epoch other) const {
  const Grid& grid = cluster_.block(0)->grid();
  return grid.settings.report == nullptr ||
         grid.findings.is_new(origin.inst->id, other.instruction());
}

void Order::emit(const Origin& origin, const std::string& what) const {
  const Grid& grid = cluster_.block(0)->grid();
  grid.findings.note(what + "\n  " + to_text(origin));
  if (grid.settings.report == nullptr) fault_at(origin, Fault::Kind::kRace, what);
  std::string text =
      what + place_of(*origin.warp, *origin.function, *origin.inst, 1u << origin.lane);
  if (grid.settings.seed != 0) text += "\n  seed: " + std::to_string(grid.settings.seed);
  grid.settings.report(text);
}

}  // namespace nibble::emulator
