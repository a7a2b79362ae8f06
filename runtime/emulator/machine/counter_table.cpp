// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/counter_table.h"

#include <algorithm>
#include <tuple>

#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/code.h"

namespace nibble::emulator {

namespace {

constexpr size_t kWorst = 8;
// Warps that multiply together: each reads its rows of A, and all of B, which counts once.
constexpr uint64_t kWarpgroup = 4;

// Of an instruction that was executed; copied, as the program may be unloaded before the report.
struct Described {
  std::string text;
  uint32_t line = 0;
  InstClass kind = InstClass::kOther;
};

Described describe(const Program::Code::Place& place) {
  Described described;
  const auto index = static_cast<size_t>(place.inst - place.function->body.data());
  described.text = place.function->text[index];
  described.line = place.inst->location.line;
  described.kind = class_of(opcode_of(described.text));
  return described;
}

void keep_worst(std::vector<KernelSummary::Worst>& all) {
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.excess > b.excess; });
  if (all.size() > kWorst) all.resize(kWorst);
}

}  // namespace

struct CounterTable::Entry {
  Entry(uint64_t program_serial, const Grid& grid)
      : program(program_serial),
        kernel(grid.kernel.name),
        target("sm_" + std::to_string(grid.code.target.number)),
        sum(grid.code.instructions.size()),
        instructions(grid.code.instructions.size()) {
    if (grid.code.target.suffix != 0) target += grid.code.target.suffix;
  }

  uint64_t program;
  std::string kernel, target;
  uint64_t launches = 0, blocks = 0, threads = 0;
  Counters sum;
  std::vector<Described> instructions;  // by id; empty text: not executed

  KernelSummary summarize() const;
  void add_instruction(uint32_t id, KernelSummary& summary) const;
  void add_l2(uint32_t id, KernelSummary& summary) const;
  void add_multiplications(KernelSummary& summary) const;
};

void CounterTable::Entry::add_l2(uint32_t id, KernelSummary& summary) const {
  const InstCounts& counts = sum.detail[id];
  const InstClass kind = instructions[id].kind;
  const uint64_t bytes = counts.global.sectors * kSectorBytes;
  if (kind == InstClass::kAtomic || kind == InstClass::kAsyncStore) {
    summary.l2.atomic += bytes;
  } else if (kind == InstClass::kStoreGlobal || kind == InstClass::kStoreGeneric) {
    summary.l2.written += bytes;
  } else {
    summary.l2.read += bytes;
  }
  // Copies go from global to shared memory or the other way.
  (counts.async.shared_read != 0 ? summary.l2.written : summary.l2.read) += counts.async.global;
}

void CounterTable::Entry::add_instruction(uint32_t id, KernelSummary& summary) const {
  const InstCounts& counts = sum.detail[id];
  const Described& described = instructions[id];
  const auto kind = static_cast<size_t>(described.kind);
  summary.warp_instructions += sum.executed[id];
  summary.executed[kind] += sum.executed[id];
  summary.waits[kind] += counts.waits;
  summary.other_bytes[kind] += counts.other_bytes;
  summary.tensor_bytes[kind] += counts.tensor_bytes;
  summary.global[kind].add(counts.global);
  summary.shared[kind].add(counts.shared);
  summary.async[kind].add(counts.async);
  if (described.kind == InstClass::kWgmma) {
    const MmaSpelling spelling = mma_spelling(opcode_of(described.text));
    const uint64_t again = counts.async.operations - counts.async.operations / kWarpgroup;
    uint64_t& read = summary.async[kind].shared_read;
    read -= std::min(read, again * spelling.b_bytes());
  }
  add_l2(id, summary);
  const SharedCounts& shared = counts.shared;
  if (shared.wavefronts > shared.least) {
    summary.conflicts.push_back(
        {described.line, described.text, shared.requests, shared.wavefronts - shared.least});
  }
  const GlobalCounts& global = counts.global;
  const uint64_t least = (global.bytes + kSectorBytes - 1) / kSectorBytes;
  if (global.sectors > std::max(least, global.requests)) {
    summary.uncoalesced.push_back({described.line, described.text, global.requests,
                                   global.sectors - std::max(least, global.requests)});
  }
}

// Shapes of the spelling, and those that a register says.
void CounterTable::Entry::add_multiplications(KernelSummary& summary) const {
  std::map<std::tuple<std::string, std::string, uint32_t, uint32_t, uint32_t>, uint64_t> issues;
  const auto add = [&](uint32_t id, const MmaSpelling& spelling, uint64_t count) {
    const std::string_view opcode = opcode_of(instructions[id].text);
    std::string name(opcode.substr(0, opcode.find('.')));
    if (name == "tcgen05" || name == "wgmma" || name == "wmma") {
      name = opcode.substr(0, opcode.find('.', name.size() + 1));
    }
    if (opcode.find(".sp") != std::string_view::npos) name += ".sp";
    if (opcode.find(".cta_group::2") != std::string_view::npos) name += ".cta_group::2";
    issues[{name, spelling.types, spelling.m, spelling.n, spelling.k}] += count;
  };
  for (uint32_t id = 0; id < instructions.size(); ++id) {
    const InstClass kind = instructions[id].kind;
    if (sum.executed[id] == 0 || (kind != InstClass::kMma && kind != InstClass::kWgmma)) continue;
    add(id, mma_spelling(opcode_of(instructions[id].text)), sum.executed[id]);
  }
  for (const auto& [issue, count] : sum.multiplications) {
    MmaSpelling spelling = mma_spelling(opcode_of(instructions[issue.id].text));
    spelling.m = issue.m;
    spelling.n = issue.n;
    spelling.k = issue.k;
    add(issue.id, spelling, count);
  }
  for (const auto& [key, count] : issues) {
    const auto& [name, types, m, n, k] = key;
    const bool by_warpgroup = name.starts_with("wgmma");
    summary.mma.push_back({name, types, m, n, k, by_warpgroup ? count / kWarpgroup : count});
  }
}

KernelSummary CounterTable::Entry::summarize() const {
  KernelSummary summary;
  summary.kernel = kernel;
  summary.target = target;
  summary.launches = launches;
  summary.blocks = blocks;
  summary.threads = threads;
  for (uint32_t id = 0; id < instructions.size(); ++id) {
    if (!instructions[id].text.empty()) add_instruction(id, summary);
  }
  keep_worst(summary.conflicts);
  keep_worst(summary.uncoalesced);
  add_multiplications(summary);
  return summary;
}

CounterTable& CounterTable::all() {
  static auto* const kTable = new CounterTable;  // never destroyed: reported while exiting
  return *kTable;
}

CounterTable::Entry& CounterTable::entry(const Grid& grid) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const auto& entry) {
    return entry->program == grid.code.serial && entry->kernel == grid.kernel.name;
  });
  if (found != entries_.end()) return **found;
  entries_.push_back(std::make_unique<Entry>(grid.code.serial, grid));
  return *entries_.back();
}

void CounterTable::begin(const Grid& grid) {
  const std::lock_guard lock(mutex_);
  Entry& to = entry(grid);
  const uint64_t blocks = uint64_t{grid.launch.grid[0]} * grid.launch.grid[1] * grid.launch.grid[2];
  ++to.launches;
  to.blocks += blocks;
  to.threads += blocks * grid.launch.block[0] * grid.launch.block[1] * grid.launch.block[2];
}

void CounterTable::add(const Grid& grid, const Counters& counters) {
  const std::lock_guard lock(mutex_);
  Entry& to = entry(grid);
  to.sum.add(counters);
  for (size_t id = 0; id < to.instructions.size(); ++id) {
    if (counters.executed[id] != 0 && to.instructions[id].text.empty()) {
      to.instructions[id] = describe(grid.code.instructions[id]);
    }
  }
}

void CounterTable::clear() {
  const std::lock_guard lock(mutex_);
  entries_.clear();
}

std::vector<KernelSummary> CounterTable::summaries() const {
  const std::lock_guard lock(mutex_);
  std::vector<KernelSummary> all;
  all.reserve(entries_.size());
  for (const auto& entry : entries_) all.push_back(entry->summarize());
  return all;
}

std::string CounterTable::json() const { return to_json(summaries()); }

std::string CounterTable::text() const {
  std::string text;
  for (const KernelSummary& summary : summaries()) text += to_text(summary);
  return text;
}

}  // namespace nibble::emulator
