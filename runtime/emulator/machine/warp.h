// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The unit of execution: 32 lanes that execute one decoded instruction at a time.
//
// Lanes that diverge become fragments: a next instruction, a lane mask, a frame. The fragment
// deepest in calls and lowest in the code runs first, so that others are waited for where paths
// join; where two meet they merge. A fragment that keeps branching backward while others could run
// yields to them, so lanes that spin on what another lane will do make progress.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/emulator/isa/isa.h"
#include "runtime/emulator/machine/async.h"
#include "runtime/emulator/machine/device.h"

namespace nibble::emulator {

constexpr int kWarpSize = 32;
constexpr uint32_t kAllLanes = 0xFFFFFFFFu;

class Block;
struct CallSite;
struct Counters;
struct DecodedFunction;

// A call's registers, and where it returns to.
struct Frame {
  const DecodedFunction* function = nullptr;
  Frame* caller = nullptr;          // null: the kernel
  const Inst* return_to = nullptr;  // in the caller
  const CallSite* site = nullptr;
  uint32_t depth = 0;
  uint32_t users = 0;       // fragments and frames called from here
  uint32_t local_base = 0;  // of its .local variables in the thread's stack
  std::byte* data = nullptr;
  std::unique_ptr<std::byte[]> storage;
};

constexpr uint32_t kNoMbarrier = ~0u;

struct Fragment {
  // What it waits for; it is run again when that has come.
  enum class Wait : uint8_t {
    kNone,
    kLanes,     // the other lanes of a .sync instruction, which is then executed anew
    kBarrier,   // of the block, number `barrier`
    kAnywhere,  // the same, but they may stand at different instructions (bar.warp.sync)
    kCluster,   // barrier.cluster
    kEvent,     // asynchronous work, after which the instruction is executed anew
  };
  const Inst* next = nullptr;
  uint32_t lanes = 0;
  Frame* frame = nullptr;
  Wait wait = Wait::kNone;
  uint8_t barrier = 0;
  bool expired = false;         // kEvent: released since nothing else could go on
  const void* event = nullptr;  // kEvent: Warp::wait_event()'s
  uint32_t mbarrier = 0;        // kEvent: the offset of the one waited for; kNoMbarrier: none
  uint32_t parity = 0;          // kEvent: of the phase
  uint32_t turn = 0;            // how often it has yielded
  uint32_t backward = 0;        // branches since it last yielded
};

class Warp {
 public:
  // Lanes that execute the current instruction: the running fragment's lanes under its guard.
  uint32_t active = 0;
  // The condition code CC.CF of add.cc and its kin, a bit a lane.
  uint32_t carry = 0;

  // The 32-lane array behind an operand. T's size must be the register's or (for wider registers)
  // the caller widens by arg.width.
  template <class T>
  T* reg(const Arg& arg) {
    return reinterpret_cast<T*>(frame_ + arg.offset);
  }

  // The 32-bit lane mask behind a predicate operand, negation applied.
  uint32_t predicate(const Arg& arg) const {
    const uint32_t mask = *reinterpret_cast<const uint32_t*>(frame_ + arg.offset);
    return arg.negated ? ~mask : mask;
  }
  // Sets the active lanes of a predicate; kNoArg (the sink) is ignored.
  void set_predicate(const Arg& arg, uint32_t mask) {
    if (arg.offset == kNoArg) return;
    auto* bits = reinterpret_cast<uint32_t*>(frame_ + arg.offset);
    *bits = (*bits & ~active) | (mask & active);
  }
  // One lane of an integer operand, zero-extended from the width of its register.
  uint64_t integer(const Arg& arg, uint32_t lane) const;

  Warp(Block& block, uint32_t index);
  ~Warp();
  Warp(const Warp&) = delete;
  Warp& operator=(const Warp&) = delete;

  // Begins a kernel with the given lanes alive. The block is set up.
  void start(const DecodedFunction& kernel, uint32_t lanes);
  // Executes up to `quantum` instructions; returns how many. Stops early when nothing is runnable.
  // Throws FaultError.
  uint64_t run(uint64_t quantum);
  bool is_runnable() const;
  bool is_done() const { return live_ == 0; }

  Block& block() const { return block_; }
  uint32_t index() const { return index_; }  // in the block
  uint32_t live() const { return live_; }    // lanes that have not exited
  const Inst& current() const { return *(next_ - 1); }
  const Frame& frame() const { return *fragments_[running_].frame; }
  const std::vector<Fragment>& fragments() const { return fragments_; }
  // The thread's private memory: stack_bytes() a lane, lane after lane.
  std::byte* local(uint32_t lane) const { return local_.get() + size_t{lane} * stack_bytes_; }
  uint8_t* local_written(uint32_t lane) const {
    return local_written_ ? local_written_.get() + size_t{lane} * stack_bytes_ : nullptr;
  }
  uint32_t stack_used() const;  // bytes of it that the running call and its callers have

  // Control, for bodies. The active lanes go to `target`; the others fall through.
  void branch(const Inst* target);
  // Each active lane goes to targets[lane].
  void branch_each(const Inst* const targets[kWarpSize]);
  void call(const DecodedFunction& callee, const CallSite& site);
  void call_each(const CallSite& site);  // indirect
  void ret();
  void exit();

  // Waiting, for bodies.
  // True when every live lane of `needed` executes the current instruction now. Otherwise the
  // fragment will execute it anew once more lanes have come, and the body must return.
  bool gather(uint32_t needed);
  // The same for lanes that may stand at different instructions (bar.warp.sync).
  bool gather_anywhere(uint32_t needed);
  // The active lanes go on after the current instruction once released.
  void wait(Fragment::Wait what, uint8_t barrier = 0);
  // The current instruction is one where the warp waits; for counters.
  void count_wait() const;
  // Lets fragments go on that wait for this; `finish` sees each with its frame's registers.
  template <class Finish>
  void release(Fragment::Wait what, uint8_t barrier, Finish finish) {
    for (Fragment& fragment : fragments_) {
      if (fragment.wait != what || fragment.barrier != barrier) continue;
      fragment.wait = Fragment::Wait::kNone;
      finish(fragment);
    }
  }
  // The active lanes execute the current instruction anew after Cluster::wake(event), or wake of
  // any event where it is null; `mbarrier` and `parity` say in reports what they wait for.
  void wait_event(const void* event, uint32_t mbarrier = kNoMbarrier, uint32_t parity = 0);
  // Whether the current instruction is executed anew since nothing else in the cluster could go
  // on: what may time out does so. Asked once.
  bool take_expired();
  bool wake(const void* event);  // true when a fragment waited for it
  bool expire();                 // lets fragments that wait for events go on; true when there were
  uint32_t waiting_at(Fragment::Wait what, uint8_t barrier) const;  // lanes
  void yield();                                                     // to other warps

  // Ends the launch. `lane` is the first of `lanes` to blame; `what` is the report's first lines.
  [[noreturn]] void fault(Fault::Kind kind, const std::string& what, uint32_t lanes) const;

  // The current access orders others, as volatile ones and those with .acquire or .release do.
  bool is_ordering = false;
  // It is none of the warp's: an asynchronous operation will make it.
  bool is_unordered = false;

  Counters* const counters;  // of the worker; null: nothing is counted

  CopyGroups copies;                        // of cp.async
  CopyGroups bulk_copies;                   // of cp.async.bulk with .bulk_group
  CopyGroups multiplications;               // of wgmma.mma_async
  bool has_fenced_multiplications = false;  // wgmma.fence has been executed
  // Instructions whose results no wait has come for, where some instruction looks (isa/pending.h).
  struct Unfinished {
    const Inst* inst = nullptr;
    uint32_t access = 0;  // Order::last_tensor_access()
  };
  std::vector<Unfinished> unfinished;

  // Lanes that have arrived at the cluster barrier and whose phase has not completed.
  uint32_t cluster_pending = 0;

 private:
  enum class Watch : uint8_t { kNothing, kCounts, kTrace };
  template <Watch kWatch>
  uint64_t step(uint64_t quantum);
  uint64_t run_traced(uint64_t quantum);
  void trace_current(uint64_t time) const;
  bool pick();  // loads the fragment to run; false when none is runnable
  void save();
  void reschedule();
  void merge();
  void find_merge_point();
  void split(uint32_t lanes, const Inst* next, Frame* frame);
  void drop_running(uint32_t lanes);
  void wake_gathering();
  Frame* push_frame(const DecodedFunction& function, Frame* caller);
  void release_frame(Frame* frame);
  void fill_values(Frame& frame, bool all);
  void return_values(Frame& frame, uint32_t lanes);

  std::byte* frame_ = nullptr;
  const Inst* next_ = nullptr;
  const Inst* merge_at_ = nullptr;  // where the running fragment may meet another
  uint32_t lanes_ = 0;
  int64_t budget_ = 0;
  int64_t spare_ = 0;     // budget kept while a body asks for another pick
  int64_t given_up_ = 0;  // by yield()
  bool pick_again_ = false;
  size_t running_ = 0;
  uint32_t live_ = 0;
  std::vector<Fragment> fragments_;
  std::vector<std::unique_ptr<Frame>> frames_;  // all that were made
  std::vector<Frame*> spare_frames_;
  size_t frame_bytes_ = 0;  // of the registers in them
  Block& block_;
  uint32_t index_;
  uint32_t stack_bytes_ = 0;
  std::unique_ptr<std::byte[]> local_;
  std::unique_ptr<uint8_t[]> local_written_;
};

}  // namespace nibble::emulator
