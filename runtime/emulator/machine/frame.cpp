// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A warp's frames: starting a kernel, calls and returns.
#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/special.h"

namespace nibble::emulator {

Warp::Warp(Block& block, uint32_t index)
    : counters(block.cluster().counters()), block_(block), index_(index) {
  stack_bytes_ = block.grid().layout.stack_bytes;
  if (stack_bytes_ == 0) return;
  local_.reset(new std::byte[size_t{stack_bytes_} * kWarpSize]);
  if (block.grid().settings.check_uninitialized) {
    local_written_.reset(new uint8_t[size_t{stack_bytes_} * kWarpSize]);
  }
}

Warp::~Warp() = default;

void Warp::start(const DecodedFunction& kernel, uint32_t lanes) {
  fragments_.clear();
  spare_frames_.clear();
  if (frames_.size() > 1) frames_.resize(1);  // the first is the kernel's
  if (!frames_.empty()) frame_bytes_ = kernel.image.size();
  live_ = lanes;
  carry = 0;
  cluster_pending = 0;
  pick_again_ = false;
  copies.clear();
  bulk_copies.clear();
  multiplications.clear();
  has_fenced_multiplications = false;
  unfinished.clear();
  if (local_written_) std::memset(local_written_.get(), 0, size_t{stack_bytes_} * kWarpSize);
  Fragment first;
  first.next = kernel.body.data();
  first.lanes = lanes;
  if (frames_.empty()) {
    first.frame = push_frame(kernel, nullptr);
  } else {
    first.frame = frames_[0].get();
    std::copy(kernel.image.begin(), kernel.image.end(), first.frame->data);
    fill_values(*first.frame, true);
  }
  first.frame->users = 1;
  fragments_.push_back(first);
}

Frame* Warp::push_frame(const DecodedFunction& function, Frame* caller) {
  Frame* frame = nullptr;
  for (size_t i = spare_frames_.size(); i-- > 0;) {
    if (spare_frames_[i]->function != &function) continue;
    frame = spare_frames_[i];
    spare_frames_.erase(spare_frames_.begin() + static_cast<std::ptrdiff_t>(i));
    break;
  }
  const bool is_new = frame == nullptr;
  if (is_new) {
    constexpr size_t kMostBytes = size_t{512} << 20;
    frame_bytes_ += function.image.size();
    if (frame_bytes_ > kMostBytes) {
      fault(Fault::Kind::kIllegalAddress,
            "calls nested so deep that their registers take 512 MiB: " + function.name, active);
    }
    frame = frames_.emplace_back(std::make_unique<Frame>()).get();
    frame->function = &function;
    const size_t size = function.image.size();
    frame->storage.reset(new std::byte[size + 64]);
    const auto address = reinterpret_cast<uintptr_t>(frame->storage.get());
    frame->data = frame->storage.get() + (64 - address % 64);
    std::copy(function.image.begin(), function.image.end(), frame->data);
  }
  frame->caller = caller;
  frame->depth = caller != nullptr ? caller->depth + 1 : 0;
  frame->local_base = caller != nullptr ? caller->local_base + caller->function->local_bytes : 0;
  if (caller != nullptr) ++caller->users;
  fill_values(*frame, is_new);
  return frame;
}

// Constants that depend on the warp; a frame used before has all but the addresses of its locals.
void Warp::fill_values(Frame& frame, bool all) {
  for (const FrameValue& value : frame.function->values) {
    if (!all && value.kind != FrameValue::Kind::kLocal) continue;
    std::byte* const at = frame.data + value.frame_offset;
    for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
      uint64_t bits = 0;
      switch (value.kind) {
        case FrameValue::Kind::kSpecial:
          bits = special_value(*this, value.special, lane);
          break;
        case FrameValue::Kind::kShared:
          bits = block_.grid().model.shared_reserved +
                 block_.grid().layout.shared_offset.at(static_cast<uint32_t>(value.value)) +
                 (uint64_t{block_.rank()} << kRankShift);
          break;
        case FrameValue::Kind::kLocal:
          bits = frame.local_base + value.value;
          break;
      }
      bits += static_cast<uint64_t>(value.addend);
      std::memcpy(at + lane * value.width, &bits, std::min<uint32_t>(value.width, 8));
    }
  }
}

void Warp::release_frame(Frame* frame) {
  while (frame != nullptr && --frame->users == 0) {
    spare_frames_.push_back(frame);
    frame = frame->caller;
  }
}

uint32_t Warp::stack_used() const {
  const Frame& running = frame();
  return running.local_base + running.function->local_bytes;
}

namespace {
// Copies the lanes of one parameter; sizes differ where a register meets a .param variable.
void copy_parameter(const std::byte* from, const ParameterStorage& source, std::byte* to,
                    const ParameterStorage& destination, uint32_t lanes) {
  const uint32_t size = std::min(source.size, destination.size);
  for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const size_t lane = static_cast<size_t>(std::countr_zero(rest));
    std::memcpy(to + destination.offset + lane * destination.size,
                from + source.offset + lane * source.size, size);
  }
}
}  // namespace

void Warp::call(const DecodedFunction& callee, const CallSite& site) {
  const uint32_t lanes = active;
  Frame* const caller = fragments_[running_].frame;
  if (site.parameters.size() != callee.parameters.size() ||
      site.returns.size() > callee.returns.size()) {
    fault(Fault::Kind::kIllegalInstruction,
          "call of " + callee.name + " with another number of arguments than it has", lanes);
  }
  Frame* const frame = push_frame(callee, caller);
  if (frame->local_base + callee.local_bytes > stack_bytes_ && callee.local_bytes > 0) {
    fault(Fault::Kind::kIllegalAddress, "stack overflow in the call of " + callee.name, lanes);
  }
  constexpr uint32_t kMaxDepth = 4096;
  if (frame->depth > kMaxDepth) {
    fault(Fault::Kind::kIllegalAddress,
          "calls nested more than " + std::to_string(kMaxDepth) + " deep: " + callee.name, lanes);
  }
  frame->return_to = next_;
  frame->site = &site;
  for (size_t i = 0; i < site.parameters.size(); ++i) {
    copy_parameter(caller->data, site.parameters[i], frame->data, callee.parameters[i], lanes);
  }
  split(lanes, callee.body.data(), frame);
  drop_running(lanes);
}

void Warp::call_each(const CallSite& site) {
  const uint32_t lanes = active;
  uint32_t left = lanes;
  // One callee at a time: the first call takes its lanes out, the others come back to this
  // instruction, which calls them in turn.
  const uint64_t address = integer(site.target, static_cast<uint32_t>(std::countr_zero(left)));
  uint32_t same = 0;
  for (; left != 0; left &= left - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(left));
    if (integer(site.target, lane) == address) same |= 1u << lane;
  }
  const DecodedFunction* const callee = block_.grid().code.function_at(address);
  if (callee == nullptr) {
    fault(Fault::Kind::kIllegalAddress, "indirect call to an address that is no function", same);
  }
  if (same != lanes) split(lanes & ~same, next_ - 1, fragments_[running_].frame);
  if (const uint32_t others = lanes & ~same; others != 0) {
    fragments_[running_].lanes &= ~others;
    lanes_ &= ~others;
  }
  active = same;
  call(*callee, site);
}

void Warp::return_values(Frame& frame, uint32_t lanes) {
  for (size_t i = 0; i < frame.site->returns.size(); ++i) {
    copy_parameter(frame.data, frame.function->returns[i], frame.caller->data,
                   frame.site->returns[i], lanes);
  }
}

void Warp::ret() {
  Frame* const frame = fragments_[running_].frame;
  if (frame->caller == nullptr) {
    exit();
    return;
  }
  const uint32_t lanes = active;
  return_values(*frame, lanes);
  split(lanes, frame->return_to, frame->caller);
  drop_running(lanes);
}

}  // namespace nibble::emulator
