// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/async.h"

#include <algorithm>

#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/code.h"
#include "runtime/emulator/machine/counters.h"
#include "runtime/emulator/machine/inst_class.h"
#include "runtime/emulator/machine/trace.h"

namespace nibble::emulator {

namespace {

void touch(Order& order, const Origin& origin, Ticket ticket, const std::vector<Extent>& extents) {
  for (const Extent& extent : extents) {
    if (extent.is_tensor) {
      order.touch_tensor(origin, ticket, *extent.block, extent.tensor, extent.access);
    } else {
      order.touch(origin, ticket, *extent.block, extent.offset, extent.bytes, extent.access);
    }
  }
}

// Copies that are still pending count as writes: touch() finds those.
void check_sources(const Order& order, const Origin& origin, const std::vector<Extent>& extents) {
  for (size_t i = 0; i < extents.size();) {
    const uint8_t part = extents[i].part;
    const Extent* source = nullptr;
    bool was_written = false;
    for (; i < extents.size() && extents[i].part == part; ++i) {
      const Extent& extent = extents[i];
      if (extent.is_tensor || extent.access != Access::kRead || extent.bytes == 0) continue;
      if (source == nullptr) source = &extent;
      was_written = was_written || order.was_written(*extent.block, extent.offset, extent.bytes);
    }
    if (source != nullptr && !was_written) {
      order.report_unwritten(origin, *source->block, source->offset);
    }
  }
}

}  // namespace

void AsyncEngine::add(std::unique_ptr<Operation> operation, const void* queue) {
  operation->id_ = next_id_++;
  operation->queue_ = queue;
  Counters* const counters = cluster_.counters();
  std::vector<Extent> extents;
  if (order_.is_enabled() || counters != nullptr) operation->list_extents(extents);
  if (order_.is_enabled()) {
    operation->hand_on_ = order_.knowledge(*operation->origin().warp);
    operation->hand_on_.seen.raise(operation->ticket_.agent, operation->ticket_.clock);
    check_sources(order_, operation->origin(), extents);
    touch(order_, operation->origin(), operation->ticket_, extents);
  }
  if (counters != nullptr) {
    count_operation(*counters, *operation, extents);
    operation->issued_at_ = Trace::all().now();
  }
  pending_.push_back(std::move(operation));
}

Issued AsyncEngine::issue(std::unique_ptr<Operation> operation, const void* queue) {
  operation->ticket_ = order_.begin(operation->origin());
  add(std::move(operation), queue);
  return {pending_.back()->id_, pending_.back()->ticket_};
}

Issued AsyncEngine::issue_tensor(std::unique_ptr<Operation> operation, Block& queue) {
  operation->ticket_ = order_.begin_tensor(operation->origin(), queue);
  add(std::move(operation), &queue);
  const Ticket ticket = pending_.back()->ticket_;
  if (order_.is_enabled()) pending_.back()->hand_on_.tensor.raise(ticket.agent, ticket.clock);
  return {pending_.back()->id_, pending_.back()->ticket_};
}

void AsyncEngine::trace(const Operation& operation) const {
  const Inst& inst = *operation.origin().inst;
  const DecodedFunction& function = *operation.origin().function;
  const std::string_view opcode =
      opcode_of(function.text[static_cast<size_t>(&inst - function.body.data())]);
  const InstClass kind = class_of(opcode);
  const bool is_tensor = kind == InstClass::kWgmma ||
                         (kind >= InstClass::kTensorFill && kind <= InstClass::kTensorCommit);
  Trace& trace = Trace::all();
  trace.add({operation.issued_at_, trace.now(), operation.origin().warp->block().trace_process(),
             is_tensor ? Trace::kTensorCore : Trace::kCopies, trace.intern(opcode), true});
}

void AsyncEngine::perform(size_t index) {
  const std::unique_ptr<Operation> operation = std::move(pending_[index]);
  pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(index));
  operation->perform();
  if (cluster_.counters() != nullptr && cluster_.counters()->trace != nullptr) trace(*operation);
  cluster_.wake(operation->queue_);
}

void AsyncEngine::finish(Issued issued) {
  const auto find = [&] {
    return std::find_if(pending_.begin(), pending_.end(),
                        [&](const auto& operation) { return operation->id_ == issued.id; });
  };
  auto at = find();
  if (at == pending_.end()) return;
  const void* const queue = (*at)->queue_;
  while (queue != nullptr) {
    const auto first = std::find_if(
        pending_.begin(), at, [&](const auto& operation) { return operation->queue_ == queue; });
    if (first == at) break;
    perform(static_cast<size_t>(first - pending_.begin()));
    at = find();
  }
  perform(static_cast<size_t>(at - pending_.begin()));
}

void AsyncEngine::finish(Issued issued, const Warp& warp) {
  finish(issued);
  order_.complete(issued.ticket, warp);
}

void AsyncEngine::finish_queue(const void* queue) {
  for (;;) {
    const auto first = std::find_if(pending_.begin(), pending_.end(), [&](const auto& operation) {
      return operation->queue_ == queue;
    });
    if (first == pending_.end()) return;
    perform(static_cast<size_t>(first - pending_.begin()));
  }
}

// The index of an operation that is first in its queue.
size_t AsyncEngine::draw() {
  if (!is_shuffled_) return 0;
  const size_t drawn = random_() % pending_.size();
  const void* const queue = pending_[drawn]->queue_;
  if (queue == nullptr) return drawn;
  size_t first = 0;
  while (pending_[first]->queue_ != queue) ++first;
  return first;
}

bool AsyncEngine::perform_one() {
  if (pending_.empty()) return false;
  perform(draw());
  return true;
}

bool AsyncEngine::advance() {
  if (pending_.empty() || !is_shuffled_) return false;
  // Mostly few, sometimes all, sometimes none: copies that are late as well as copies that are
  // early.
  const size_t drawn = random_() % 8;
  const size_t count = drawn < 4 ? 0 : drawn < 7 ? 1 + random_() % 2 : pending_.size();
  for (size_t i = 0; i < count && !pending_.empty(); ++i) perform(draw());
  return count != 0;
}

void AsyncEngine::finish_all() {
  while (perform_one()) {
  }
}

std::string AsyncEngine::state() const {
  std::string text;
  for (const auto& operation : pending_) text += "\n  pending: " + to_text(operation->origin());
  return text;
}

void CopyGroups::add(Issued operation, uint32_t lanes) { open_.push_back({operation, lanes}); }

void CopyGroups::commit(uint32_t lanes) {
  Group group;
  group.lanes = lanes;
  for (Member& member : open_) {
    if ((member.lanes & lanes) == 0) continue;
    group.members.push_back({member.operation, member.lanes & lanes});
    member.lanes &= ~lanes;
  }
  std::erase_if(open_, [](const Member& member) { return member.lanes == 0; });
  closed_.push_back(std::move(group));
}

void CopyGroups::wait(Warp& warp, uint32_t lanes, uint32_t left, bool all) {
  AsyncEngine& engine = warp.block().cluster().async();
  const size_t pending_before = engine.pending_count();
  std::vector<uint32_t> later(kWarpSize, 0);  // groups of each lane behind the one looked at
  for (size_t i = closed_.size(); i-- > 0;) {
    Group& group = closed_[i];
    uint32_t over = 0;  // lanes whose share must be over
    for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
      if ((group.lanes & lanes & 1u << lane) != 0 && later[lane]++ >= left) over |= 1u << lane;
    }
    for (const Member& member : group.members) {
      if ((member.lanes & over) != 0) engine.finish(member.operation, warp);
    }
    group.lanes &= ~over;
  }
  std::erase_if(closed_, [](const Group& group) { return group.lanes == 0; });
  for (Member& member : open_) {
    if (!all || (member.lanes & lanes) == 0) continue;
    engine.finish(member.operation, warp);
    member.lanes &= ~lanes;
  }
  std::erase_if(open_, [](const Member& member) { return member.lanes == 0; });
  if (engine.pending_count() != pending_before) warp.count_wait();
}

void CopyGroups::clear() {
  open_.clear();
  closed_.clear();
}

std::vector<Issued> CopyGroups::pending(uint32_t lane) const {
  std::vector<Issued> result;
  auto collect = [&](const std::vector<Member>& members) {
    for (const Member& member : members) {
      if ((member.lanes >> lane & 1) != 0) result.push_back(member.operation);
    }
  };
  for (const Group& group : closed_) collect(group.members);
  collect(open_);
  return result;
}

}  // namespace nibble::emulator
