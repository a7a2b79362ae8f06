// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The step loop, fragments and waiting. Frames and calls are in frame.cpp.
#include "runtime/emulator/machine/warp.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/counters.h"

namespace nibble::emulator {

namespace {
// Backward branches after which a fragment lets others of its warp run.
constexpr uint32_t kYieldAfter = 4096;
}  // namespace

uint64_t Warp::run(uint64_t quantum) {
  if (counters == nullptr) [[likely]]
    return step<Watch::kNothing>(quantum);
  return counters->trace == nullptr ? step<Watch::kCounts>(quantum) : run_traced(quantum);
}

template <Warp::Watch kWatch>
uint64_t Warp::step(uint64_t quantum) {
  [[maybe_unused]] uint64_t* executed = nullptr;
  if constexpr (kWatch != Watch::kNothing) executed = counters->executed.data();
  budget_ = static_cast<int64_t>(quantum);
  given_up_ = 0;
  while (budget_ > 0 && pick()) {
    while (budget_ > 0) {
      if (next_ == merge_at_) [[unlikely]]
        merge();
      const Inst& inst = *next_++;
      --budget_;
      active = lanes_;
      if constexpr (kWatch != Watch::kNothing) ++executed[inst.id];
      [[maybe_unused]] uint64_t time = 0;
      if constexpr (kWatch == Watch::kTrace) time = Trace::all().tick();
      if (inst.guard != kNoArg) {
        const uint32_t mask = *reinterpret_cast<const uint32_t*>(frame_ + inst.guard);
        active &= inst.guard_negated ? ~mask : mask;
        if (active == 0) continue;
      }
      if constexpr (kWatch == Watch::kTrace) trace_current(time);
      inst.body(*this, inst);
    }
    if (pick_again_) {
      pick_again_ = false;
      budget_ = spare_;
    } else {
      save();
    }
  }
  return quantum - static_cast<uint64_t>(budget_ + given_up_);
}

// A turn, with the instructions in it that are shown.
uint64_t Warp::run_traced(uint64_t quantum) {
  static const std::string* const kName = Trace::all().intern("run");
  Trace& trace = Trace::all();
  const uint64_t begin = trace.now();
  const uint64_t executed = step<Watch::kTrace>(quantum);
  if (executed != 0) trace.add({begin, trace.now(), block_.trace_process(), index_, kName, false});
  return executed;
}

void Warp::trace_current(uint64_t time) const {
  const Inst& inst = current();
  const DecodedFunction& function = *frame().function;
  const auto at = static_cast<size_t>(&inst - function.body.data());
  const std::string* const name = counters->trace->shown(inst, function.text[at]);
  if (name != nullptr) {
    Trace::all().add({time, time + 1, block_.trace_process(), index_, name, false});
  }
}

// Leaves the inner loop of run(); the running fragment has been saved or dropped.
void Warp::reschedule() {
  if (!pick_again_) spare_ = budget_;
  pick_again_ = true;
  budget_ = 0;
}

void Warp::save() { fragments_[running_].next = next_; }

bool Warp::is_runnable() const {
  return std::any_of(fragments_.begin(), fragments_.end(), [](const Fragment& fragment) {
    return fragment.wait == Fragment::Wait::kNone;
  });
}

bool Warp::pick() {
  const Fragment* best = nullptr;
  for (const Fragment& fragment : fragments_) {
    if (fragment.wait != Fragment::Wait::kNone) continue;
    if (best == nullptr || fragment.turn < best->turn ||
        (fragment.turn == best->turn &&
         (fragment.frame->depth > best->frame->depth ||
          (fragment.frame->depth == best->frame->depth && fragment.next < best->next)))) {
      best = &fragment;
    }
  }
  if (best == nullptr) return false;
  running_ = static_cast<size_t>(best - fragments_.data());
  next_ = best->next;
  lanes_ = best->lanes;
  frame_ = best->frame->data;
  find_merge_point();
  return true;
}

namespace {
// Whether a fragment still stands at its next instruction, so that another can join it there.
bool can_be_joined(const Fragment& fragment) {
  return fragment.wait == Fragment::Wait::kNone || fragment.wait == Fragment::Wait::kLanes ||
         fragment.wait == Fragment::Wait::kAnywhere || fragment.wait == Fragment::Wait::kEvent;
}
}  // namespace

void Warp::find_merge_point() {
  merge_at_ = nullptr;
  if (fragments_.size() == 1) return;
  const Frame* const frame = fragments_[running_].frame;
  for (size_t i = 0; i < fragments_.size(); ++i) {
    const Fragment& other = fragments_[i];
    if (i == running_ || other.frame != frame || other.next < next_ || !can_be_joined(other)) {
      continue;
    }
    if (merge_at_ == nullptr || other.next < merge_at_) merge_at_ = other.next;
  }
}

// Takes in the fragments that stand where the running one is.
void Warp::merge() {
  Fragment* self = &fragments_[running_];
  for (size_t i = 0; i < fragments_.size();) {
    const Fragment& other = fragments_[i];
    if (i == running_ || other.frame != self->frame || other.next != next_ ||
        !can_be_joined(other)) {
      ++i;
      continue;
    }
    lanes_ |= other.lanes;
    self->turn = std::max(self->turn, other.turn);
    self->expired |= other.expired;
    --self->frame->users;
    // The last fragment takes the freed place.
    if (running_ == fragments_.size() - 1) running_ = i;
    fragments_[i] = fragments_.back();
    fragments_.pop_back();
    self = &fragments_[running_];
  }
  self->lanes = lanes_;
  save();
  find_merge_point();
}

void Warp::split(uint32_t lanes, const Inst* next, Frame* frame) {
  Fragment fragment;
  fragment.next = next;
  fragment.lanes = lanes;
  fragment.frame = frame;
  fragment.turn = fragments_[running_].turn;
  ++frame->users;
  fragments_.push_back(fragment);
}

// Takes lanes out of the running fragment, which is gone when it has none left.
void Warp::drop_running(uint32_t lanes) {
  Fragment& self = fragments_[running_];
  self.lanes = lanes_ & ~lanes;
  self.next = next_;
  if (self.lanes == 0) {
    Frame* const frame = self.frame;
    self = fragments_.back();
    fragments_.pop_back();
    release_frame(frame);
  }
  reschedule();
}

void Warp::branch(const Inst* target) {
  const bool is_backward = target < next_;
  if (active == lanes_) {
    next_ = target;
    if (fragments_.size() == 1) [[likely]]
      return;
  } else {
    split(lanes_ & ~active, next_, fragments_[running_].frame);
    fragments_[running_].lanes = active;
    next_ = target;
  }
  Fragment& self = fragments_[running_];
  if (is_backward && ++self.backward >= kYieldAfter) {
    self.backward = 0;
    ++self.turn;
  }
  save();
  reschedule();
}

void Warp::branch_each(const Inst* const targets[kWarpSize]) {
  const uint32_t all = active;
  const uint32_t rest = lanes_ & ~all;
  Frame* const frame = fragments_[running_].frame;
  for (uint32_t left = all; left != 0;) {
    const Inst* const target = targets[std::countr_zero(left)];
    uint32_t same = 0;
    for (uint32_t bits = left; bits != 0; bits &= bits - 1) {
      const int lane = std::countr_zero(bits);
      if (targets[lane] == target) same |= 1u << lane;
    }
    left &= ~same;
    split(same, target, frame);
  }
  if (rest != 0) split(rest, next_, frame);
  drop_running(lanes_);
}

void Warp::exit() {
  const uint32_t gone = active;
  live_ &= ~gone;
  drop_running(gone);
  wake_gathering();
  block_.on_exit(static_cast<uint32_t>(std::popcount(gone)));
}

// Fragments that wait for lanes look anew whether those can still come.
void Warp::wake_gathering() {
  for (Fragment& fragment : fragments_) {
    if (fragment.wait == Fragment::Wait::kLanes || fragment.wait == Fragment::Wait::kAnywhere) {
      fragment.wait = Fragment::Wait::kNone;
    }
  }
}

bool Warp::gather(uint32_t needed) {
  if ((needed & live_ & ~active) == 0) return true;
  const uint32_t rest = lanes_ & ~active;
  if (rest != 0) split(rest, next_, fragments_[running_].frame);
  Fragment& self = fragments_[running_];
  self.lanes = active;
  self.next = next_ - 1;
  self.wait = Fragment::Wait::kLanes;
  if (counters != nullptr) counters->retract(current().id);
  reschedule();
  return false;
}

bool Warp::gather_anywhere(uint32_t needed) {
  const uint32_t come = active | waiting_at(Fragment::Wait::kAnywhere, 0);
  if ((needed & live_ & ~come) != 0) {
    if (gather(needed)) return true;
    fragments_[running_].wait = Fragment::Wait::kAnywhere;
    return false;
  }
  bool released = false;
  for (Fragment& fragment : fragments_) {
    if (fragment.wait != Fragment::Wait::kAnywhere || (fragment.lanes & needed) == 0) continue;
    fragment.wait = Fragment::Wait::kNone;
    if (counters != nullptr) ++counters->executed[fragment.next->id];
    ++fragment.next;
    released = true;
  }
  if (released) {
    save();
    reschedule();
  }
  return true;
}

void Warp::wait(Fragment::Wait what, uint8_t barrier) {
  const uint32_t rest = lanes_ & ~active;
  if (rest != 0) split(rest, next_, fragments_[running_].frame);
  Fragment& self = fragments_[running_];
  self.lanes = active;
  self.next = next_;
  self.wait = what;
  self.barrier = barrier;
  reschedule();
}

void Warp::count_wait() const {
  if (counters != nullptr) ++counters->detail[current().id].waits;
}

void Warp::wait_event(const void* event, uint32_t mbarrier, uint32_t parity) {
  const uint32_t rest = lanes_ & ~active;
  if (rest != 0) split(rest, next_, fragments_[running_].frame);
  Fragment& self = fragments_[running_];
  self.lanes = active;
  self.next = next_ - 1;
  self.wait = Fragment::Wait::kEvent;
  if (counters != nullptr) counters->retract(current().id);
  self.event = event;
  self.mbarrier = mbarrier;
  self.parity = parity;
  reschedule();
}

bool Warp::take_expired() { return std::exchange(fragments_[running_].expired, false); }

bool Warp::wake(const void* event) {
  bool any = false;
  for (Fragment& fragment : fragments_) {
    if (fragment.wait != Fragment::Wait::kEvent) continue;
    if (fragment.event != nullptr && fragment.event != event) continue;
    fragment.wait = Fragment::Wait::kNone;
    any = true;
  }
  return any;
}

bool Warp::expire() {
  bool any = false;
  for (Fragment& fragment : fragments_) {
    if (fragment.wait != Fragment::Wait::kEvent) continue;
    fragment.wait = Fragment::Wait::kNone;
    fragment.expired = true;
    any = true;
  }
  return any;
}

uint32_t Warp::waiting_at(Fragment::Wait what, uint8_t barrier) const {
  uint32_t lanes = 0;
  for (const Fragment& fragment : fragments_) {
    if (fragment.wait == what && fragment.barrier == barrier) lanes |= fragment.lanes;
  }
  return lanes;
}

void Warp::yield() {
  Fragment& self = fragments_[running_];
  ++self.turn;
  save();
  // The whole warp gives way, with what is left of its quantum.
  reschedule();
  given_up_ = spare_;
  spare_ = 0;
}

uint64_t Warp::integer(const Arg& arg, uint32_t lane) const {
  const std::byte* const at = frame_ + arg.offset + size_t{lane} * arg.width;
  uint64_t value = 0;
  std::memcpy(&value, at, std::min<uint32_t>(arg.width, sizeof value));
  return value;
}

}  // namespace nibble::emulator
