// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/block.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "runtime/emulator/machine/report.h"
#include "runtime/emulator/machine/trace.h"

namespace nibble::emulator {

namespace {
// Bytes of fresh shared memory, so that reads of what was never written are seen in results.
constexpr std::byte kSharedPoison{0xA5};

uint32_t count(const Dim3& size) { return size[0] * size[1] * size[2]; }

Dim3 position_of(uint64_t linear, const Dim3& size) {
  return {static_cast<uint32_t>(linear % size[0]),
          static_cast<uint32_t>(linear / size[0] % size[1]),
          static_cast<uint32_t>(linear / size[0] / size[1])};
}
}  // namespace

Block::Block(const Grid& grid, Cluster& cluster, std::vector<MemorySite>& sites)
    : grid_(grid),
      cluster_(cluster),
      sites_(sites),
      thread_count_(count(grid.launch.block)),
      mbarriers_(*this) {
  const uint32_t size = grid.layout.dynamic_offset + grid.launch.dynamic_shared;
  shared_.resize(size);
  if (grid.settings.check_uninitialized) shared_written_.resize(size);
  const uint32_t warps = (thread_count_ + kWarpSize - 1) / kWarpSize;
  for (uint32_t i = 0; i < warps; ++i) warps_.push_back(std::make_unique<Warp>(*this, i));
}

void Block::start(const Dim3& index, uint32_t rank) {
  index_ = index;
  rank_ = rank;
  live_threads_ = thread_count_;
  if (grid_.settings.trace) {
    trace_process_ = Trace::all().add_process("launch " + std::to_string(grid_.id) + " " +
                                              grid_.kernel.name + " block " + to_text(index));
  }
  barriers_.fill({});
  std::fill(shared_.begin(), shared_.end(), kSharedPoison);
  std::fill(shared_written_.begin(), shared_written_.end(), uint8_t{0});
  mbarriers_.start();
  tensor_memory_.start(grid_.settings.check_uninitialized);
  for (uint32_t i = 0; i < warps_.size(); ++i) {
    const uint32_t threads = std::min<uint32_t>(thread_count_ - i * kWarpSize, kWarpSize);
    warps_[i]->start(grid_.kernel, threads == kWarpSize ? kAllLanes : (1u << threads) - 1);
  }
}

uint64_t Block::run(uint64_t quantum, std::minstd_rand* random) {
  uint64_t executed = 0;
  const size_t first = random != nullptr ? (*random)() % warps_.size() : 0;
  for (size_t i = 0; i < warps_.size(); ++i) {
    Warp& warp = *warps_[(first + i) % warps_.size()];
    if (warp.is_done() || !warp.is_runnable()) continue;
    if (random == nullptr) {
      executed += warp.run(quantum);
    } else if (const uint64_t drawn = (*random)(); drawn % 4 != 0) {  // the fourth time it rests
      // Turns of all lengths, short ones most often.
      executed += warp.run(1 + (quantum >> (drawn / 4 % 12)));
    } else {
      executed += 1;  // it could have run
    }
    cluster_.order().settle();
    cluster_.async().advance();
  }
  return executed;
}

Dim3 Block::thread_index(uint32_t linear) const { return position_of(linear, grid_.launch.block); }

uint32_t Block::special_smid() const {
  const Dim3& grid = grid_.launch.grid;
  const uint64_t linear =
      index_[0] + uint64_t{grid[0]} * (index_[1] + uint64_t{grid[1]} * index_[2]);
  return static_cast<uint32_t>(linear % grid_.model.multiprocessors);
}

void Block::arrive(Warp& warp, uint32_t id, uint32_t threads, bool waits, Vote vote) {
  Barrier& barrier = barriers_[id];
  if (barrier.is_open && barrier.expected != threads) {
    warp.fault(Fault::Kind::kIllegalInstruction,
               "barrier " + std::to_string(id) + " is used with " + std::to_string(threads) +
                   " threads while others wait for " + std::to_string(barrier.expected) +
                   " (0: all of the block)",
               warp.active);
  }
  barrier.is_open = true;
  barrier.expected = threads;
  cluster_.order().release(warp, barrier.knowledge);
  const auto arriving = static_cast<uint32_t>(std::popcount(warp.active));
  barrier.arrived += arriving;
  if (vote.is_reduction) {
    barrier.voters += arriving;
    barrier.trues += vote.trues;
  }
  if (threads != 0) {
    // A barrier with a count of threads counts warps: lanes that never were or have exited belong
    // to it once all others of their warp have come.
    const uint32_t come =
        warp.active | warp.waiting_at(Fragment::Wait::kBarrier, static_cast<uint8_t>(id));
    if (come == warp.live()) barrier.arrived += static_cast<uint32_t>(std::popcount(~warp.live()));
  }
  const bool is_last = barrier.arrived >= (threads != 0 ? threads : live_threads_);
  if (waits) {
    if (!is_last) warp.count_wait();
    warp.wait(Fragment::Wait::kBarrier, static_cast<uint8_t>(id));
  }
  if (is_last) complete(id);
}

void Block::complete(uint32_t id) {
  const Barrier result = std::exchange(barriers_[id], Barrier{});
  for (const auto& warp : warps_) {
    if (warp->waiting_at(Fragment::Wait::kBarrier, static_cast<uint8_t>(id)) != 0) {
      cluster_.order().acquire(*warp, result.knowledge);
    }
    warp->release(Fragment::Wait::kBarrier, static_cast<uint8_t>(id), [&](Fragment& fragment) {
      if (result.voters == 0) return;
      const Inst& inst = *(fragment.next - 1);
      if (inst.row->spelling.find(".red") == std::string::npos) return;
      std::byte* const to = fragment.frame->data + inst.arg[0].offset;
      if (inst.row->spelling.find(".popc") != std::string::npos) {
        for (uint32_t rest = fragment.lanes; rest != 0; rest &= rest - 1) {
          std::memcpy(to + size_t(std::countr_zero(rest)) * 4, &result.trues, 4);
        }
        return;
      }
      const bool wants_all = inst.row->spelling.find(".and") != std::string::npos;
      const bool value = wants_all ? result.trues == result.voters : result.trues != 0;
      uint32_t mask = 0;
      std::memcpy(&mask, to, sizeof mask);
      mask = value ? mask | fragment.lanes : mask & ~fragment.lanes;
      std::memcpy(to, &mask, sizeof mask);
    });
  }
}

void Block::on_exit(uint32_t threads) {
  live_threads_ -= threads;
  if (live_threads_ == 0) tensor_memory_.check_released();
  for (uint32_t id = 0; id < kBarriers; ++id) {
    const Barrier& barrier = barriers_[id];
    if (barrier.is_open && barrier.expected == 0 && live_threads_ != 0 &&
        barrier.arrived >= live_threads_) {
      complete(id);
    }
  }
  cluster_.on_exit();
}

std::string Block::state() const {
  std::string text;
  for (const auto& warp : warps_) {
    if (warp->is_done()) continue;
    for (const Fragment& fragment : warp->fragments()) {
      text += "\n  block " + to_text(index_) + " warp " + std::to_string(warp->index()) +
              " lanes " + lane_list(fragment.lanes) + ": ";
      const DecodedFunction& function = *fragment.frame->function;
      auto at = static_cast<size_t>(fragment.next - function.body.data());
      using Wait = Fragment::Wait;
      if (fragment.wait == Wait::kBarrier) {
        const Barrier& barrier = barriers_[fragment.barrier];
        text += "wait for barrier " + std::to_string(fragment.barrier) + " (" +
                std::to_string(barrier.arrived) + " of " +
                std::to_string(barrier.expected != 0 ? barrier.expected : live_threads_) +
                " threads have come)";
        --at;
      } else if (fragment.wait == Wait::kCluster) {
        text += "wait for the cluster's barrier";
        --at;
      } else if (fragment.wait == Wait::kEvent) {
        text += "wait for asynchronous work";
        if (fragment.mbarrier != kNoMbarrier) {
          text = text.substr(0, text.rfind("wait for")) + "wait for the phase of parity " +
                 std::to_string(fragment.parity) + " of an mbarrier to complete";
        }
      } else if (fragment.wait == Wait::kLanes || fragment.wait == Wait::kAnywhere) {
        text += "wait for other lanes of the warp";
      } else {
        text += "can run";
      }
      text += ", PTX line " + std::to_string(function.body[at].location.line) + ": " +
              function.text[at];
      if (fragment.wait == Wait::kEvent && fragment.mbarrier != kNoMbarrier) {
        text += mbarriers_.state_text(fragment.mbarrier);
      }
    }
  }
  return text;
}

Cluster::Cluster(const Grid& grid, std::vector<MemorySite>& sites, Counters* counters)
    : grid_(grid),
      counters_(counters),
      order_(*this, count(grid.launch.cluster),
             (count(grid.launch.block) + kWarpSize - 1) / kWarpSize, grid.settings.check_order),
      async_(*this, order_, grid.settings.seed) {
  for (uint32_t i = 0; i < count(grid.launch.cluster); ++i) {
    blocks_.push_back(std::make_unique<Block>(grid, *this, sites));
  }
}

Dim3 Cluster::position(uint32_t rank) const { return position_of(rank, grid_.launch.cluster); }

void Cluster::start(const Dim3& index) {
  index_ = index;
  arrived_ = 0;
  barrier_.clear();
  order_.start();
  random_.seed(
      static_cast<uint32_t>(grid_.settings.seed + index[0] + 131 * index[1] + 16381 * index[2]));
  const bool stops_early = grid_.settings.seed != 0 && random_() % 4 == 0;
  may_take_ = stops_early ? static_cast<uint32_t>(random_() % 4) : ~0u;
  const Dim3& size = grid_.launch.cluster;
  for (uint32_t rank = 0; rank < blocks_.size(); ++rank) {
    const Dim3 at = position(rank);
    blocks_[rank]->start(
        {index[0] * size[0] + at[0], index[1] * size[1] + at[1], index[2] * size[2] + at[2]}, rank);
  }
}

std::optional<Dim3> Cluster::take_over() {
  if (may_take_ == 0) return std::nullopt;
  --may_take_;
  const std::optional<Dim3> taken = grid_.pending.take();
  if (!taken) may_take_ = 0;
  return taken;
}

bool Cluster::is_done() const {
  return async_.is_idle() && std::all_of(blocks_.begin(), blocks_.end(),
                                         [](const auto& block) { return block->is_done(); });
}

uint64_t Cluster::run_blocks(uint64_t quantum) {
  std::minstd_rand* const random = grid_.settings.seed != 0 ? &random_ : nullptr;
  const size_t first = random != nullptr ? random_() % blocks_.size() : 0;
  uint64_t executed = 0;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    Block& block = *blocks_[(first + i) % blocks_.size()];
    if (!block.is_done()) executed += block.run(quantum, random);
  }
  return executed;
}

uint64_t Cluster::run(uint64_t limit) {
  // A warp's turn: long enough that its registers stay in the host's cache, short enough that warps
  // which spin on another's work do not burn much.
  constexpr uint64_t kQuantum = 2000;
  uint64_t executed = 0;
  while (executed < limit && !is_done()) {
    const uint64_t round = run_blocks(std::min(kQuantum, limit - executed));
    executed += round;
    // Plain turns: one operation ends a round, so that a warp which waits for it sees each phase of
    // its barrier, as on hardware, where asynchronous work takes longer than waking up.
    const bool has_performed = (round == 0 || grid_.settings.seed == 0) && async_.perform_one();
    if (round == 0 && !has_performed && !expire_waits()) report_deadlock();
  }
  return executed;
}

// When nothing else can go on, instructions that may time out do. Should that lead nowhere many
// times on end, they wait for what never comes.
bool Cluster::expire_waits() {
  constexpr uint32_t kMostFruitless = 4096;
  if (++fruitless_ > kMostFruitless) return false;
  bool any = false;
  for (const auto& block : blocks_) {
    for (const auto& warp : block->warps()) any |= warp->expire();
  }
  return any;
}

void Cluster::wake(const void* event) {
  fruitless_ = 0;
  for (const auto& block : blocks_) {
    for (const auto& warp : block->warps()) warp->wake(event);
  }
}

void Cluster::report_deadlock() const {
  throw FaultError{
      {Fault::Kind::kDeadlock, "deadlock: no warp can go on\n  kernel: " + grid_.kernel.name +
                                   state() + grid_.findings.text()}};
}

std::string Cluster::state() const {
  std::string text;
  for (const auto& block : blocks_) text += block->state();
  return text + async_.state();
}

void Cluster::arrive(Warp& warp, bool releases) {
  if ((warp.cluster_pending & warp.active) != 0) {
    warp.fault(Fault::Kind::kIllegalInstruction,
               "barrier.cluster.arrive twice without a wait between",
               warp.cluster_pending & warp.active);
  }
  warp.cluster_pending |= warp.active;
  if (releases) order_.release_to_cluster(warp);
  order_.release(warp, barrier_);
  arrived_ += static_cast<uint32_t>(std::popcount(warp.active));
  complete_when_all_arrived();
}

void Cluster::on_exit() {
  if (arrived_ != 0) complete_when_all_arrived();
}

void Cluster::complete_when_all_arrived() {
  uint32_t live = 0;
  arrived_ = 0;
  for (const auto& block : blocks_) {
    live += block->live_threads();
    for (const auto& warp : block->warps()) {
      arrived_ += static_cast<uint32_t>(std::popcount(warp->cluster_pending & warp->live()));
    }
  }
  if (arrived_ < live) return;
  arrived_ = 0;
  fruitless_ = 0;
  for (const auto& block : blocks_) {
    for (const auto& warp : block->warps()) {
      // Whoever executes the wait later learns the same: the phase has completed.
      if (warp->cluster_pending != 0) order_.acquire(*warp, barrier_);
      warp->cluster_pending = 0;
      warp->release(Fragment::Wait::kCluster, 0, [](Fragment&) {});
    }
  }
  barrier_.clear();
}

}  // namespace nibble::emulator
