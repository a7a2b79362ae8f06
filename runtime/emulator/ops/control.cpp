// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Control flow.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#control-flow-instructions
#include <chrono>
#include <thread>

#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/warp.h"

namespace nibble::emulator {

namespace {

void bra(Warp& warp, const Inst& inst) { warp.branch(inst.jump); }

void brx(Warp& warp, const Inst& inst) {
  const auto& table = warp.block().grid().code.branch_tables[inst.extra];
  const Inst* targets[kWarpSize] = {};
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    if ((warp.active >> lane & 1) == 0) continue;
    const uint64_t index = warp.integer(inst.arg[0], lane);
    if (index >= table.size()) {
      warp.fault(Fault::Kind::kIllegalInstruction,
                 "brx.idx with index " + std::to_string(index) + " into a table of " +
                     std::to_string(table.size()),
                 1u << lane);
    }
    targets[lane] = table[index];
  }
  warp.branch_each(targets);
}

void call(Warp& warp, const Inst& inst) {
  const CallSite& site = warp.block().grid().code.calls[inst.extra];
  if (site.builtin != nullptr) {
    site.builtin(warp, site);
  } else if (site.callee != nullptr) {
    warp.call(*site.callee, site);
  } else {
    warp.call_each(site);
  }
}

void ret(Warp& warp, const Inst&) { warp.ret(); }
void exit_threads(Warp& warp, const Inst&) { warp.exit(); }

void trap(Warp& warp, const Inst&) { warp.fault(Fault::Kind::kTrap, "trap executed", warp.active); }
void breakpoint(Warp& warp, const Inst&) {
  warp.fault(Fault::Kind::kTrap, "brkpt executed, and there is no debugger", warp.active);
}
void nothing(Warp&, const Inst&) {}

// Gives way to other warps and waits a little, at most a millisecond, as a device may.
void nanosleep(Warp& warp, const Inst& inst) {
  const auto lane = static_cast<uint32_t>(std::countr_zero(warp.active));
  const uint64_t wanted = warp.integer(inst.arg[0], lane);
  warp.yield();
  if (wanted >= 1000) std::this_thread::sleep_for(std::chrono::microseconds(1));
}

}  // namespace

void append_control_rows(Rows& rows) {
  const Row control_rows[] = {
      {"bra{.uni} @l", {}, bra},
      {"brx.idx{.uni} a:u32, @l", {}, brx},
      {"call{.uni} @f", {}, call},
      {"ret{.uni}", {}, ret},
      {"exit", {}, exit_threads},
      {"trap", {}, trap},
      {"brkpt", {}, breakpoint},
      {"pmevent a", {}, nothing},
      {"pmevent.mask a", {}, nothing},
      {"nanosleep.u32 a", {70}, nanosleep},
      {"griddepcontrol.{launch_dependents,wait}", {90}, nothing},
      {"setmaxnreg.{inc,dec}.sync.aligned.u32 a", {0, "90a 100f 110f 120f"}, nothing},
  };
  rows.insert(rows.end(), std::begin(control_rows), std::end(control_rows));
}

}  // namespace nibble::emulator
