// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// mbarrier instructions.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#parallel-synchronization-and-communication-instructions-mbarrier
#include "runtime/emulator/machine/mbarrier.h"

#include <bit>
#include <string>

#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/machine/access.h"

namespace nibble::emulator {

namespace {

constexpr uint32_t kSize = 8;

SharedPlace object(Warp& warp, const Inst& inst, uint32_t arg, uint32_t lane) {
  return shared_operand(warp, inst.arg[arg], inst.space, lane, kSize, kSize);
}

uint32_t count_in(const Warp& warp, const Inst& inst, uint32_t arg, uint32_t lane, uint32_t none) {
  if (arg >= inst.arg_count || inst.arg[arg].offset == kNoArg) return none;
  return static_cast<uint32_t>(warp.integer(inst.arg[arg], lane));
}

template <class F>
void for_each_active(Warp& warp, F f) {
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    f(static_cast<uint32_t>(std::countr_zero(rest)));
  }
}

void init(Warp& warp, const Inst& inst) {
  for_each_active(warp, [&](uint32_t lane) {
    const SharedPlace at = object(warp, inst, 0, lane);
    at.block->mbarriers().init(Origin(warp, lane), at.offset, count_in(warp, inst, 1, lane, 0));
  });
}

void invalidate(Warp& warp, const Inst& inst) {
  for_each_active(warp, [&](uint32_t lane) {
    const SharedPlace at = object(warp, inst, 0, lane);
    at.block->mbarriers().invalidate(Origin(warp, lane), at.offset);
  });
}

void expect_tx(Warp& warp, const Inst& inst) {
  for_each_active(warp, [&](uint32_t lane) {
    const SharedPlace at = object(warp, inst, 0, lane);
    at.block->mbarriers().expect_tx(Origin(warp, lane), at.offset,
                                    count_in(warp, inst, 1, lane, 0));
  });
}

// What the warp knows now, for a barrier.
Knowledge hand_over(Warp& warp) {
  Knowledge knowledge;
  Order& order = warp.block().cluster().order();
  order.release_to_cluster(warp);
  order.release(warp, knowledge);
  return knowledge;
}

void complete_tx(Warp& warp, const Inst& inst) {
  const Knowledge knowledge = hand_over(warp);
  for_each_active(warp, [&](uint32_t lane) {
    const SharedPlace at = object(warp, inst, 0, lane);
    at.block->mbarriers().complete_tx(Origin(warp, lane), at.offset,
                                      count_in(warp, inst, 1, lane, 0), knowledge);
  });
}

enum class Arrive { kPlain, kExpectTx, kNoComplete };

// d, [a], count or bytes.
template <Arrive kKind, bool kDrops>
void arrive(Warp& warp, const Inst& inst) {
  const Knowledge knowledge = hand_over(warp);
  for_each_active(warp, [&](uint32_t lane) {
    const Origin origin(warp, lane);
    const SharedPlace at = object(warp, inst, 1, lane);
    Mbarriers& barriers = at.block->mbarriers();
    Mbarriers::Arrival arrival{1, kDrops, kKind == Arrive::kNoComplete};
    if constexpr (kKind == Arrive::kExpectTx) {
      barriers.expect_tx(origin, at.offset, count_in(warp, inst, 2, lane, 0));
    } else {
      arrival.count = count_in(warp, inst, 2, lane, 1);
    }
    const uint64_t state = barriers.arrive(origin, at.offset, arrival, knowledge);
    if (inst.arg[0].offset == kNoArg) return;
    if (at.block != &warp.block()) {
      fault_at(origin, Fault::Kind::kIllegalInstruction,
               "an arrival at another block's mbarrier has no result: write _ for it");
    }
    warp.reg<uint64_t>(inst.arg[0])[lane] = state;
  });
}

void pending_count(Warp& warp, const Inst& inst) {
  lanes<uint32_t, uint64_t>(warp, inst,
                            [](uint64_t state) { return MbarrierState::unpack(state).pending; });
}

// p, [a], state or parity. Suspends the lanes until a phase completes; returns false only when the
// cluster could not go on otherwise. Hardware may do so for try_wait, and test_wait cannot tell.
template <bool kParity>
void wait(Warp& warp, const Inst& inst) {
  uint32_t complete = 0;
  SharedPlace first;
  uint32_t first_parity = 0;
  bool same = true;  // all lanes wait for the same
  for_each_active(warp, [&](uint32_t lane) {
    const Origin origin(warp, lane);
    const SharedPlace at = object(warp, inst, 1, lane);
    Mbarriers& barriers = at.block->mbarriers();
    const uint64_t phase = warp.integer(inst.arg[2], lane);
    const auto parity =
        static_cast<uint32_t>(kParity ? phase : MbarrierState::unpack(phase).phase) & 1;
    const bool is_complete =
        kParity ? barriers.is_complete(origin, at.offset, static_cast<uint32_t>(phase))
                : barriers.is_complete_after(origin, at.offset, phase);
    if (is_complete) {
      complete |= 1u << lane;
      warp.block().cluster().order().acquire(warp, barriers.completed(at.offset));
    }
    if (first.block == nullptr) {
      first = at;
      first_parity = parity;
    }
    same &= first.offset == at.offset && first_parity == parity;
  });
  const bool has_expired = warp.take_expired();
  if (complete == 0 && !has_expired) {
    warp.wait_event(same ? first.data() : nullptr, first.offset, first_parity);
    return;
  }
  warp.set_predicate(inst.arg[0], complete);
}

// An arrival once all cp.async of the lane so far are over.
class ArriveAfterCopies : public Operation {
 public:
  ArriveAfterCopies(const Origin& origin, SharedPlace barrier, std::vector<Issued> copies)
      : Operation(origin), barrier_(barrier), copies_(std::move(copies)) {}

  void perform() override {
    Cluster& cluster = barrier_.block->cluster();
    Knowledge knowledge = hand_on();
    for (const Issued& copy : copies_) {
      cluster.async().finish(copy);
      cluster.order().complete(copy.ticket, hand_on(), knowledge);
    }
    barrier_.block->mbarriers().arrive(origin(), barrier_.offset, {}, knowledge);
  }

 private:
  SharedPlace barrier_;
  std::vector<Issued> copies_;
};

template <bool kNoIncrement>
void arrive_after_copies(Warp& warp, const Inst& inst) {
  for_each_active(warp, [&](uint32_t lane) {
    const Origin origin(warp, lane);
    const SharedPlace at = object(warp, inst, 0, lane);
    if (!kNoIncrement) at.block->mbarriers().add_pending(origin, at.offset);
    warp.block().cluster().async().issue(
        std::make_unique<ArriveAfterCopies>(origin, at, warp.copies.pending(lane)));
  });
}

void append_arrivals(Rows& rows) {
  const std::string order =
      "{.release,.relaxed}{.cta,.cluster}{.shared,.shared::cta,"
      ".shared::cluster}.b64 d, [a]";
  const std::string own = "{.release}{.cta}{.shared,.shared::cta}.b64 d, [a]";
  rows.push_back({"mbarrier.arrive" + order + ", count?:u32", {80}, arrive<Arrive::kPlain, false>});
  rows.push_back(
      {"mbarrier.arrive_drop" + order + ", count?:u32", {80}, arrive<Arrive::kPlain, true>});
  rows.push_back({"mbarrier.arrive.expect_tx" + order + ", bytes:u32",
                  {90},
                  arrive<Arrive::kExpectTx, false>});
  rows.push_back({"mbarrier.arrive_drop.expect_tx" + order + ", bytes:u32",
                  {90},
                  arrive<Arrive::kExpectTx, true>});
  rows.push_back({"mbarrier.arrive.noComplete" + own + ", count:u32",
                  {80},
                  arrive<Arrive::kNoComplete, false>});
  rows.push_back({"mbarrier.arrive_drop.noComplete" + own + ", count:u32",
                  {80},
                  arrive<Arrive::kNoComplete, true>});
}

}  // namespace

void append_mbarrier_rows(Rows& rows) {
  append_arrivals(rows);
  const std::string order =
      "{.acquire,.relaxed}{.cta,.cluster}{.shared,.shared::cta}.b64 d:pred, "
      "[a], ";
  const std::string tx =
      "{.relaxed}{.cta,.cluster}{.shared,.shared::cta,.shared::cluster}.b64 "
      "[a], bytes:u32";
  const Row mbarrier_rows[] = {
      {"mbarrier.init{.shared,.shared::cta}.b64 [a], count:u32", {80}, init},
      {"mbarrier.inval{.shared,.shared::cta}.b64 [a]", {80}, invalidate},
      {"mbarrier.expect_tx" + tx, {90}, expect_tx},
      {"mbarrier.complete_tx" + tx, {90}, complete_tx},
      {"mbarrier.pending_count.b64 d:u32, state", {80}, pending_count},
      {"mbarrier.test_wait" + order + "state:b64", {80}, wait<false>},
      {"mbarrier.test_wait.parity" + order + "parity:u32", {80}, wait<true>},
      {"mbarrier.try_wait" + order + "state:b64, hint?:u32", {90}, wait<false>},
      {"mbarrier.try_wait.parity" + order + "parity:u32, hint?:u32", {90}, wait<true>},
      {"cp.async.mbarrier.arrive{.shared,.shared::cta}.b64 [a]", {80}, arrive_after_copies<false>},
      {"cp.async.mbarrier.arrive.noinc{.shared,.shared::cta}.b64 [a]",
       {80},
       arrive_after_copies<true>},
  };
  rows.insert(rows.end(), std::begin(mbarrier_rows), std::end(mbarrier_rows));
}

}  // namespace nibble::emulator
