// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/isa/pending.h"

#include <algorithm>
#include <set>
#include <utility>

#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/report.h"
#include "runtime/emulator/machine/warp.h"

namespace nibble::emulator {

namespace {

// By opcode: the modifier that makes a producer, whose first operand is what it writes, and the one
// that makes a wait for all of them. `is_kept`: a read waits by itself.
struct Rule {
  std::string_view opcode, producer, wait;
  bool is_kept;
};
constexpr Rule kRules[] = {
    {"tcgen05", "ld", "wait::ld", true},
    {"wgmma", "mma_async", "wait_group", false},
};

bool has_modifier(const Instruction& instruction, std::string_view modifier) {
  return std::find(instruction.modifiers.begin(), instruction.modifiers.end(), modifier) !=
         instruction.modifiers.end();
}

bool is_producer(const Instruction& instruction) {
  return std::any_of(std::begin(kRules), std::end(kRules), [&](const Rule& rule) {
    return instruction.opcode == rule.opcode && has_modifier(instruction, rule.producer);
  });
}

bool is_wait(const Instruction& instruction) {
  return std::any_of(std::begin(kRules), std::end(kRules), [&](const Rule& rule) {
    return instruction.opcode == rule.opcode && has_modifier(instruction, rule.wait);
  });
}

template <class F>
void for_each_register(const Operand& operand, F f) {
  if (operand.kind == Operand::Kind::kRegister) f(operand.index);
  for (const Operand& element : operand.elements) for_each_register(element, f);
}

// The operands that a row of the table writes: a first one called d that is no address. ld.red has
// a second.
size_t written_operands(const Row& row) {
  const size_t begin = row.spelling.find(' ');
  if (begin == std::string::npos) return 0;
  const std::string_view operands = std::string_view(row.spelling).substr(begin + 1);
  if (operands.starts_with("{d}, d")) return 2;
  const bool is_written = operands.starts_with("{d}") || operands.starts_with("{d:") ||
                          operands == "d" || operands.starts_with("d,") ||
                          operands.starts_with("d|") || operands.starts_with("d:") ||
                          operands.starts_with("d?");
  return is_written ? 1 : 0;
}

class Pass {
 public:
  Pass(const Function& source, const DecodedFunction& out) : source_(source), out_(out) {}

  // By instruction: those whose results it may read before a wait.
  std::vector<std::set<uint32_t>> run() {
    find_leaders();
    states_.resize(source_.body.size());
    reads_.resize(source_.body.size());
    std::vector<uint32_t> work = {0};
    states_[0].is_reached = true;
    while (!work.empty()) {
      const uint32_t leader = work.back();
      work.pop_back();
      follow(leader, work);
    }
    return std::move(reads_);
  }

 private:
  // A producer by register; few registers are ever pending.
  using Pending = std::vector<std::pair<uint32_t, uint32_t>>;
  struct State {
    bool is_reached = false;
    Pending pending;  // sorted
  };

  void find_leaders() {
    is_leader_.assign(source_.body.size() + 1, false);
    is_leader_[0] = true;
    for (size_t i = 0; i < source_.body.size(); ++i) {
      for (const uint32_t target : targets(source_.body[i])) is_leader_[target] = true;
      if (is_end(source_.body[i])) is_leader_[i + 1] = true;
    }
  }

  std::vector<uint32_t> targets(const Instruction& instruction) const {
    std::vector<uint32_t> found;
    for (const Operand& operand : instruction.operands) {
      if (operand.kind != Operand::Kind::kLabel) continue;
      if (instruction.opcode == "brx") return source_.branch_targets.at(operand.index);
      found.push_back(operand.index);
    }
    return found;
  }

  static bool is_end(const Instruction& instruction) {
    const std::string& opcode = instruction.opcode;
    return opcode == "bra" || opcode == "brx" || opcode == "ret" || opcode == "exit" ||
           opcode == "trap";
  }

  // Through one basic block and into those behind it.
  void follow(uint32_t leader, std::vector<uint32_t>& work) {
    Pending pending = states_[leader].pending;
    for (uint32_t i = leader; i < source_.body.size(); ++i) {
      if (i != leader && is_leader_[i]) return enter(i, pending, work);
      const Instruction& instruction = source_.body[i];
      step(i, pending);
      if (!is_end(instruction)) continue;
      for (const uint32_t target : targets(instruction)) enter(target, pending, work);
      if (instruction.guard != kNoRegister) enter(i + 1, pending, work);
      return;
    }
  }

  void enter(uint32_t at, const Pending& pending, std::vector<uint32_t>& work) {
    if (at >= source_.body.size()) return;  // the end returns
    State& state = states_[at];
    const size_t before = state.pending.size();
    Pending joined;
    std::set_union(state.pending.begin(), state.pending.end(), pending.begin(), pending.end(),
                   std::back_inserter(joined));
    state.pending = std::move(joined);
    if (std::exchange(state.is_reached, true) && state.pending.size() == before) return;
    work.push_back(at);
  }

  static void insert(Pending& pending, std::pair<uint32_t, uint32_t> entry) {
    const auto at = std::lower_bound(pending.begin(), pending.end(), entry);
    if (at == pending.end() || *at != entry) pending.insert(at, entry);
  }
  static void erase(Pending& pending, uint32_t reg) {
    const auto first = std::lower_bound(pending.begin(), pending.end(), std::pair{reg, 0u});
    auto last = first;
    while (last != pending.end() && last->first == reg) ++last;
    pending.erase(first, last);
  }

  void step(uint32_t at, Pending& pending) {
    const Instruction& instruction = source_.body[at];
    const bool produces = is_producer(instruction);
    if (!produces && pending.empty()) return;
    if (is_wait(instruction) || instruction.opcode == "call") return pending.clear();
    const size_t written = written_operands(*out_.body[at].row);
    std::set<uint32_t> producers;  // of what it reads
    auto read = [&](uint32_t reg) {
      auto entry = std::lower_bound(pending.begin(), pending.end(), std::pair{reg, 0u});
      for (; entry != pending.end() && entry->first == reg; ++entry)
        producers.insert(entry->second);
    };
    for (size_t i = written; i < instruction.operands.size(); ++i) {
      for_each_register(instruction.operands[i], read);
    }
    if (instruction.guard != kNoRegister) read(instruction.guard);
    const bool copies = instruction.opcode == "mov";
    if (!copies && !produces) reads_[at].insert(producers.begin(), producers.end());
    for (size_t i = 0; i < std::min(written, instruction.operands.size()); ++i) {
      for_each_register(instruction.operands[i], [&](uint32_t reg) {
        if (instruction.guard == kNoRegister) erase(pending, reg);
        if (produces) insert(pending, {reg, at});
        if (!copies) return;
        for (const uint32_t producer : producers) insert(pending, {reg, producer});
      });
    }
  }

  const Function& source_;
  const DecodedFunction& out_;
  std::vector<bool> is_leader_;
  std::vector<State> states_;  // before each leader
  std::vector<std::set<uint32_t>> reads_;
};

const Rule& rule_of(const Inst& producer) {
  return *std::find_if(std::begin(kRules), std::end(kRules), [&](const Rule& rule) {
    return producer.row->spelling.starts_with(rule.opcode);
  });
}

// As Order does it: to Settings::report, once for each pair, or the end of the launch.
void report(Warp& warp, const Inst& inst, const Inst& producer, const Rule& rule) {
  const Grid& grid = warp.block().grid();
  if (grid.settings.report != nullptr && !grid.findings.is_new(inst.id, producer.id)) return;
  const DecodedFunction& function = *warp.frame().function;
  const auto at = static_cast<size_t>(&producer - function.body.data());
  const std::string what =
      "missing " + std::string(rule.opcode) + "." + std::string(rule.wait) +
      ": this reads a register that an asynchronous instruction may still write"
      "\n  written at PTX line " +
      std::to_string(producer.location.line) + ": " + function.text[at];
  if (grid.settings.report == nullptr) warp.fault(Fault::Kind::kRace, what, warp.active);
  grid.settings.report(what + place_of(warp, function, inst, warp.active));
}

void read_pending(Warp& warp, const Inst& inst, Warp::Unfinished producer) {
  const Rule& rule = rule_of(*producer.inst);
  const Settings& settings = warp.block().grid().settings;
  if (rule.is_kept ? settings.check_tensor_waits : settings.check_order) {
    report(warp, inst, *producer.inst, rule);
  }
  if (!rule.is_kept) return;
  warp.block().cluster().order().wait_tensor(warp, producer.access);
  std::erase_if(warp.unfinished, [&](const Warp::Unfinished& other) {
    return other.access <= producer.access && &rule_of(*other.inst) == &rule;
  });
}

// The body of an instruction that may read what is still written.
void check_then_run(Warp& warp, const Inst& inst) {
  const Program::Code& code = warp.block().grid().code;
  const auto& check = code.pending_checks[code.pending_index[inst.id]];
  // The latest of those whose registers it reads: the others end with it.
  for (size_t i = warp.unfinished.size(); i-- > 0;) {
    const Warp::Unfinished producer = warp.unfinished[i];
    if (std::find(check.producers.begin(), check.producers.end(), producer.inst) !=
        check.producers.end()) {
      read_pending(warp, inst, producer);
      break;
    }
  }
  check.body(warp, inst);
}

}  // namespace

void check_pending(const Function& source, DecodedFunction& out, Program::Code& code) {
  if (std::none_of(source.body.begin(), source.body.end(), is_producer)) return;
  const auto reads = Pass(source, out).run();
  for (size_t i = 0; i < reads.size(); ++i) {
    if (reads[i].empty()) continue;
    Inst& inst = out.body[i];
    code.pending_index.resize(code.instructions.size());
    code.pending_index[inst.id] = static_cast<uint32_t>(code.pending_checks.size());
    Program::Code::PendingCheck& check = code.pending_checks.emplace_back();
    check.body = std::exchange(inst.body, check_then_run);
    for (const uint32_t producer : reads[i]) check.producers.push_back(&out.body[producer]);
  }
}

void begin_pending(Warp& warp, const Inst& inst) {
  if (warp.block().grid().code.pending_checks.empty()) return;
  std::erase_if(warp.unfinished,
                [&](const Warp::Unfinished& other) { return other.inst == &inst; });
  warp.unfinished.push_back({&inst, warp.block().cluster().order().last_tensor_access(warp)});
}

void end_pending(Warp& warp, std::string_view opcode) {
  std::erase_if(warp.unfinished, [&](const Warp::Unfinished& other) {
    return other.inst->row->spelling.starts_with(opcode);
  });
}

}  // namespace nibble::emulator
