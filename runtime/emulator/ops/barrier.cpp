// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Barriers of warps, blocks and clusters, and fences.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#parallel-synchronization-and-communication-instructions-bar
#include <bit>
#include <string>

#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/warp.h"

namespace nibble::emulator {

namespace {

uint32_t first_lane(const Warp& warp) {
  return static_cast<uint32_t>(std::countr_zero(warp.active));
}

// Barrier number and thread count, the same in all lanes of a warp.
uint32_t number(Warp& warp, const Arg& arg) {
  const uint64_t id = warp.integer(arg, first_lane(warp));
  if (id >= Block::kBarriers) {
    warp.fault(Fault::Kind::kIllegalInstruction,
               "barrier " + std::to_string(id) + "; a block has 0 to 15", warp.active);
  }
  return static_cast<uint32_t>(id);
}

uint32_t threads(Warp& warp, const Arg& arg) {
  if (arg.offset == kNoArg) return 0;
  const auto count = static_cast<uint32_t>(warp.integer(arg, first_lane(warp)));
  if (count == 0 || count % kWarpSize != 0) {
    warp.fault(Fault::Kind::kIllegalInstruction,
               "a barrier for " + std::to_string(count) + " threads, which is no multiple of 32",
               warp.active);
  }
  return count;
}

void sync(Warp& warp, const Inst& inst) {
  warp.block().arrive(warp, number(warp, inst.arg[0]), threads(warp, inst.arg[1]), true, {});
}

void arrive(Warp& warp, const Inst& inst) {
  warp.block().arrive(warp, number(warp, inst.arg[0]), threads(warp, inst.arg[1]), false, {});
}

// With the count of threads, d, a, b, c; without, d, a, c.
void reduce(Warp& warp, const Inst& inst) {
  const bool has_count = inst.arg_count == 4;
  const uint32_t votes = warp.predicate(inst.arg[has_count ? 3 : 2]) & warp.active;
  warp.block().arrive(warp, number(warp, inst.arg[1]), has_count ? threads(warp, inst.arg[2]) : 0,
                      true, {true, static_cast<uint32_t>(std::popcount(votes))});
}

uint32_t union_of_masks(Warp& warp, const Arg& arg) {
  uint32_t all = 0;
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    all |= static_cast<uint32_t>(warp.integer(arg, static_cast<uint32_t>(std::countr_zero(rest))));
  }
  return all;
}

void sync_warp(Warp& warp, const Inst& inst) {
  warp.gather_anywhere(union_of_masks(warp, inst.arg[0]));
}

void cluster_arrive(Warp& warp, const Inst& inst) {
  constexpr size_t kSemantics = 2;  // the group behind .cluster and .arrive
  constexpr uint8_t kRelaxed = 1;
  warp.block().cluster().arrive(warp, inst.choice[kSemantics] != kRelaxed);
}

void cluster_wait(Warp& warp, const Inst&) {
  if ((warp.active & warp.cluster_pending) == 0) return;
  warp.count_wait();
  warp.wait(Fragment::Wait::kCluster);
}

// Within a host thread everything is in order already; this orders it for the others.
void fence(Warp& warp, const Inst&) {
  full_fence();
  warp.block().cluster().order().synchronize(warp);
}

void fence_release(Warp& warp, const Inst&) {
  full_fence();
  warp.block().cluster().order().publish(warp);
}

void fence_acquire(Warp& warp, const Inst&) {
  full_fence();
  warp.block().cluster().order().learn(warp);
}

// Between the warp's own accesses in two proxies; it does not order those of others by itself.
void fence_proxy(Warp& warp, const Inst&) {
  full_fence();
  warp.block().cluster().order().fence_async_proxy(warp);
}

void fence_async(Warp& warp, const Inst& inst) {
  fence(warp, inst);
  warp.block().cluster().order().fence_async_proxy(warp);
}

}  // namespace

void append_barrier_rows(Rows& rows) {
  for (const char* name : {"bar", "bar.cta", "barrier", "barrier.cta"}) {
    const std::string start = name;
    const std::string aligned = start.starts_with("barrier") ? "{.aligned}" : "";
    const Requires target = start == "bar" ? Requires{} : Requires{70};
    rows.push_back({start + ".sync" + aligned + " a:u32, b?:u32", target, sync});
    rows.push_back({start + ".arrive" + aligned + " a:u32, b:u32", target, arrive});
    for (const char* count : {"", "b:u32, "}) {
      rows.push_back(
          {start + ".red.popc" + aligned + ".u32 d, a:u32, " + count + "c:pred", target, reduce});
      for (const char* op : {".and", ".or"}) {
        rows.push_back({start + ".red" + op + aligned + ".pred d, a:u32, " + count + "c:pred",
                        target, reduce});
      }
    }
  }
  const Row barrier_rows[] = {
      {"bar.warp.sync a:u32", {70}, sync_warp},
      {"barrier.cluster.arrive{.release,.relaxed}{.aligned}", {90}, cluster_arrive},
      {"barrier.cluster.wait{.acquire}{.aligned}", {90}, cluster_wait},
      {"membar.{cta,gl,sys}", {}, fence},
      {"membar.proxy.alias", {70}, fence},
      {"fence{.sc,.acq_rel}.{cta,cluster,gpu,sys}", {70}, fence},
      {"fence.acquire.{cta,cluster,gpu,sys}", {90}, fence_acquire},
      {"fence.release.{cta,cluster,gpu,sys}", {90}, fence_release},
      {"fence.acquire.sync_restrict::shared::cluster.cluster", {90}, fence_acquire},
      {"fence.release.sync_restrict::shared::cta.cluster", {90}, fence_release},
      {"fence.mbarrier_init.release.cluster", {90}, fence_release},
      {"fence.proxy.alias", {70}, fence},
      {"fence.proxy.async{.global,.shared::cta,.shared::cluster}", {90}, fence_proxy},
      {"fence.proxy.async::generic.{acquire,release}{.sync_restrict::shared::cta,"
       ".sync_restrict::shared::cluster}.cluster",
       {90},
       fence_async},
  };
  rows.insert(rows.end(), std::begin(barrier_rows), std::end(barrier_rows));
}

}  // namespace nibble::emulator
