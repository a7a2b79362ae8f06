// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// run(): the grid's clusters spread over host threads.
#include <algorithm>
#include <deque>
#include <mutex>
#include <new>
#include <thread>

#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/counter_table.h"
#include "runtime/emulator/machine/report.h"

namespace nibble::emulator {

namespace {

std::atomic<uint64_t> executed_instructions{0};
std::atomic<uint64_t> launches{0};

// Instructions after which a cluster that is not done gives way to another: blocks may wait for
// what later blocks write.
constexpr uint64_t kClusterTurn = 1 << 20;
// Clusters that a worker keeps at once before it becomes slow to begin more, for their memory.
constexpr size_t kFreelyKept = 16;

struct Shared {  // by the workers of a launch
  const Grid& grid;
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::optional<Fault> fault;
  std::atomic<uint64_t> executed{0};

  // Instructions of a cluster's next turn. Throws FaultError when all are used up.
  uint64_t turn(const Cluster& cluster) const {
    const uint64_t limit = grid.settings.max_instructions;
    if (limit == 0) return kClusterTurn;
    const uint64_t used = executed.load(std::memory_order_relaxed);
    if (used < limit) return std::min(kClusterTurn, limit - used);
    throw FaultError{
        {Fault::Kind::kLimit, "the launch is not done after " + std::to_string(used) +
                                  " warp instructions, the limit is " + std::to_string(limit) +
                                  "\n  kernel: " + grid.kernel.name + cluster.state()}};
  }

  std::optional<Dim3> take() {
    if (stop.load(std::memory_order_relaxed)) return std::nullopt;
    return grid.pending.take();
  }
};

// Null where nothing is counted and no timeline kept.
std::unique_ptr<Counters> make_counters(const Grid& grid) {
  if (!grid.settings.counters && !grid.settings.trace) return nullptr;
  const size_t instructions = grid.code.instructions.size();
  auto counters = std::make_unique<Counters>(instructions);
  if (grid.settings.trace) counters->trace = std::make_unique<TraceNames>(instructions);
  return counters;
}

// One host thread's clusters. Those that wait for others are kept and take turns.
void work(Shared& shared) {
  std::vector<MemorySite> sites(shared.grid.code.memory_sites);
  const std::unique_ptr<Counters> counters = make_counters(shared.grid);
  std::deque<std::unique_ptr<Cluster>> running, idle;
  uint64_t executed = 0, begin_next_at = 0;
  try {
    bool more = true;
    while (!shared.stop.load(std::memory_order_relaxed)) {
      if (more && (running.empty() || executed >= begin_next_at)) {
        if (const auto index = shared.take()) {
          if (idle.empty())
            idle.push_back(std::make_unique<Cluster>(shared.grid, sites, counters.get()));
          running.push_front(std::move(idle.back()));
          idle.pop_back();
          running.front()->start(*index);
          const bool freely = shared.grid.launch.cooperative || running.size() < kFreelyKept;
          begin_next_at = executed + (freely ? 0 : running.size() * kClusterTurn);
        } else {
          more = false;
        }
      }
      if (running.empty()) break;
      std::unique_ptr<Cluster> cluster = std::move(running.front());
      running.pop_front();
      const uint64_t done = cluster->run(shared.turn(*cluster));
      shared.executed.fetch_add(done, std::memory_order_relaxed);
      executed += done;
      (cluster->is_done() ? idle : running).push_back(std::move(cluster));
    }
  } catch (FaultError& error) {
    const std::lock_guard lock(shared.mutex);
    if (!shared.fault) shared.fault = std::move(error.fault);
    shared.stop = true;
  } catch (const std::bad_alloc&) {  // must not leave a thread
    const std::lock_guard lock(shared.mutex);
    if (!shared.fault) {
      shared.fault = {
          Fault::Kind::kLaunchConfig,
          "the host has no memory for the launch\n  kernel: " + shared.grid.kernel.name};
    }
    shared.stop = true;
  }
  executed_instructions.fetch_add(executed, std::memory_order_relaxed);
  if (shared.grid.settings.counters) CounterTable::all().add(shared.grid, *counters);
}

std::optional<std::string> refuse(const Launch& launch, const DeviceModel& model) {
  const Kernel& kernel = *launch.kernel;
  auto exceeds = [](const char* what, uint64_t value, uint64_t limit) {
    return std::string(what) + " is " + std::to_string(value) + ", the limit " +
           std::to_string(limit);
  };
  const uint64_t threads = uint64_t{launch.block[0]} * launch.block[1] * launch.block[2];
  const uint64_t blocks = uint64_t{launch.cluster[0]} * launch.cluster[1] * launch.cluster[2];
  if (threads == 0) return "a dimension of the block is 0";
  if (launch.block[2] > 64) return exceeds("block z", launch.block[2], 64);
  const uint32_t limit = std::min(1024u, kernel.max_threads_per_block);
  if (threads > limit) return exceeds("threads of a block", threads, limit);
  if (blocks == 0) return "a dimension of the cluster is 0";
  if (blocks > 16) return exceeds("blocks of a cluster", blocks, 16);
  for (int axis = 0; axis < 3; ++axis) {
    if (launch.grid[axis] == 0) return "a dimension of the grid is 0";
    if (axis > 0 && launch.grid[axis] > 65535)
      return exceeds("grid y or z", launch.grid[axis], 65535);
    if (launch.grid[axis] % launch.cluster[axis] != 0) {
      return "grid " + to_text(launch.grid) + " is no multiple of cluster " +
             to_text(launch.cluster);
    }
    if (kernel.required_threads[axis] > 1 || kernel.required_threads[0] != 0) {
      const uint32_t required = std::max(kernel.required_threads[axis], 1u);
      if (launch.block[axis] != required) {
        return "block " + to_text(launch.block) + " where the kernel requires " +
               to_text(kernel.required_threads);
      }
    }
  }
  const uint64_t bytes = uint64_t{kernel.static_shared} + launch.dynamic_shared;
  if (bytes > model.shared_per_block_optin) {
    return exceeds("shared memory of a block in bytes", bytes, model.shared_per_block_optin);
  }
  if (launch.parameters.size() < kernel.param_bytes) {
    return "parameters of " + std::to_string(launch.parameters.size()) + " bytes, the kernel has " +
           std::to_string(kernel.param_bytes);
  }
  return std::nullopt;
}

std::optional<Fault> run_once(const Launch& launch, const DeviceModel& model, GlobalMemory& memory,
                              const Settings& settings, Findings& findings) {
  const Program::Code& code = launch.program->code();
  const auto kernel = static_cast<size_t>(
      std::find_if(code.kernels.begin(), code.kernels.end(),
                   [&](const Kernel& other) { return &other == launch.kernel; }) -
      code.kernels.begin());
  Dim3 clusters{};
  for (int axis = 0; axis < 3; ++axis) clusters[axis] = launch.grid[axis] / launch.cluster[axis];
  PendingClusters pending(clusters);
  const Grid grid{launch,
                  model,
                  memory,
                  settings,
                  code,
                  code.functions[launch.kernel->function],
                  code.layouts[kernel],
                  pending,
                  launches.fetch_add(1, std::memory_order_relaxed) + 1,
                  findings};
  Shared shared{grid, {}, {}, {}, {}};
  if (settings.counters) CounterTable::all().begin(grid);
  const uint64_t wanted =
      settings.threads != 0 ? settings.threads : std::max(1u, std::thread::hardware_concurrency());
  const uint64_t workers = std::min(wanted, pending.count());
  std::vector<std::thread> threads;
  for (uint64_t i = 1; i < workers; ++i) threads.emplace_back([&] { work(shared); });
  work(shared);
  for (std::thread& thread : threads) thread.join();
  return std::move(shared.fault);
}

}  // namespace

std::optional<Fault> run(const Launch& launch, const DeviceModel& model, GlobalMemory& memory,
                         const Settings& settings) {
  if (const auto why = refuse(launch, model)) {
    return Fault{Fault::Kind::kLaunchConfig,
                 "launch refused: " + *why + "\n  kernel: " + launch.kernel->name};
  }
  Findings findings;  // of all seeds: each pair of instructions is reported with the first it shows
  if (settings.seeds <= 1) return run_once(launch, model, memory, settings, findings);
  const GlobalMemory::Contents before = memory.save();
  GlobalMemory::Contents after_first;
  for (uint32_t i = 0; i < settings.seeds; ++i) {
    Settings one = settings;
    one.seed = settings.seed + i;
    if (i > 0) memory.restore(before);
    std::optional<Fault> fault = run_once(launch, model, memory, one, findings);
    if (fault) {
      fault->report += "\n  seed: " + std::to_string(one.seed);
      return fault;
    }
    if (i == 0) {
      after_first = memory.save();
    } else if (const uint64_t address = memory.first_difference(after_first); address != 0) {
      Fault differs{Fault::Kind::kRace,
                    "the result depends on the order of execution: global memory at " +
                        hexadecimal(address) + " differs between the seeds " +
                        std::to_string(settings.seed) + " and " + std::to_string(one.seed) +
                        "\n  kernel: " + launch.kernel->name};
      // Sums in another order may differ: no fault where findings are only reported.
      if (settings.report == nullptr) return differs;
      settings.report(differs.report);
      break;
    }
  }
  return std::nullopt;
}

uint64_t executed_warp_instructions() {
  return executed_instructions.load(std::memory_order_relaxed);
}

}  // namespace nibble::emulator
