// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/sass.h"

#include <algorithm>
#include <cctype>
#include <map>

namespace nibble::bench {

namespace {

constexpr size_t kLongLoop = 32;  // instructions

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> starts) {
  return std::any_of(starts.begin(), starts.end(),
                     [&](std::string_view start) { return text.substr(0, start.size()) == start; });
}

bool has_part(std::string_view opcode, std::string_view part) {
  const size_t at = opcode.find(part);
  return at != std::string_view::npos &&
         (at + part.size() == opcode.size() || opcode[at + part.size()] == '.');
}

int access_bytes(std::string_view opcode) {
  if (has_part(opcode, ".256")) return 32;
  if (has_part(opcode, ".128")) return 16;
  if (has_part(opcode, ".64")) return 8;
  if (has_part(opcode, ".U16") || has_part(opcode, ".S16")) return 2;
  return has_part(opcode, ".U8") || has_part(opcode, ".S8") ? 1 : 4;
}

Pipe pipe_of(std::string_view opcode) {
  if (starts_with_any(opcode, {"LD", "ST", "RED", "ATOM", "CCTL", "UBLK", "SYNCS", "UTMA"})) {
    return Pipe::kMemory;
  }
  if (starts_with_any(opcode, {"BRA", "BSSY", "BSYNC", "EXIT", "BAR", "WARPSYNC", "NOP", "DEPBAR",
                               "CALL", "RET", "ERRBAR", "MEMBAR", "YIELD", "BREAK"})) {
    return Pipe::kControl;
  }
  if (starts_with_any(opcode, {"MUFU", "I2F", "F2I", "F2F.", "POPC", "S2R", "REDUX", "SHFL"})) {
    return Pipe::kSpecial;
  }
  if (starts_with_any(opcode, {"FFMA", "FMUL", "FADD", "IMAD", "HFMA", "HADD", "HMUL"})) {
    return Pipe::kFma;
  }
  // The uniform datapath; UNPACK and the like are not there to be taken for it.
  if (opcode.size() > 2 && opcode[0] == 'U' && opcode.substr(0, 4) != "UNPK") return Pipe::kUniform;
  return starts_with_any(opcode, {"R2UR", "VOTEU"}) ? Pipe::kUniform : Pipe::kAlu;
}

std::string_view next_word(std::string_view& text) {
  const size_t begin = std::min(text.find_first_not_of(' '), text.size());
  const size_t end = std::min(text.find(' ', begin), text.size());
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

// A branch is conditional by its predicate or by an operand before its target.
bool has_condition(std::string_view operands) { return next_word(operands).substr(0, 2) != "`("; }

Instruction parse_instruction(std::string_view text, std::string& label) {
  Instruction one;
  std::string_view word = next_word(text);
  one.conditional = word[0] == '@';
  if (one.conditional) word = next_word(text);
  one.opcode = word;
  while (!one.opcode.empty() && one.opcode.back() == ';') one.opcode.pop_back();
  one.pipe = pipe_of(one.opcode);
  if (one.opcode.substr(0, 3) == "BRA") {
    one.conditional = one.conditional || has_condition(text);
    const size_t open = text.find("`("), close = text.find(')');
    if (open != std::string_view::npos) label = text.substr(open + 2, close - open - 2);
  }
  const int bytes = access_bytes(one.opcode);
  if (starts_with_any(one.opcode, {"LDG."}) || one.opcode.substr(0, 6) == "LDGSTS") {
    one.load_bytes = bytes >= 8 ? bytes : 0;
  }
  if (starts_with_any(one.opcode, {"STG"})) one.store_bytes = bytes;
  if (starts_with_any(one.opcode, {"STS"}) && bytes >= 4) one.shared_bytes = bytes;
  return one;
}

bool ends(const Instruction& one) {
  return !one.conditional && starts_with_any(one.opcode, {"EXIT", "RET", "BRX"});
}

// What follows an instruction lies behind it: backward branches are loops.
class Paths {
 public:
  Paths(const std::vector<Instruction>& code, bool rounds) : code_(code), best_(code.size() + 1) {
    size_t first_store = code.size();
    for (size_t i = 0; i < code.size() && first_store == code.size(); ++i) {
      if (code[i].store_bytes > 0) first_store = i;
    }
    for (size_t i = code.size(); i-- > 0;) {
      // A tile has been written: this is where the kernel ends that has no other.
      const bool last = !rounds && i > first_store && code[i].opcode == "EXIT";
      best_[i] = extended(i, last);
    }
  }

  std::vector<size_t> path() const {
    std::vector<size_t> all;
    for (size_t at = 0; at < code_.size();) {
      all.push_back(at);
      if (!best_[at].possible) return {};
      if (best_[at].next == code_.size()) break;
      at = best_[at].next;
    }
    return all;
  }

 private:
  struct Best {
    bool possible = true;
    int bytes = 0, instructions = 0;
    size_t next = 0;
    bool better_than(const Best& other) const {
      if (possible != other.possible) return possible;
      if (bytes != other.bytes) return bytes > other.bytes;
      return instructions < other.instructions;
    }
  };

  Best extended(size_t i, bool last) const {
    const Instruction& one = code_[i];
    Best best;
    best.next = code_.size();
    if (one.opcode.substr(0, 4) == "CALL") best.possible = false;
    if (best.possible && !last && !ends(one)) {
      best = {.possible = false, .next = code_.size()};
      const bool branches = one.opcode.substr(0, 3) == "BRA";
      const auto consider = [&](size_t next) {
        Best other = best_[next];
        other.next = next;
        if (other.better_than(best)) best = other;
      };
      if ((!branches || one.conditional) && i + 1 < code_.size()) consider(i + 1);
      if (branches && one.target > static_cast<int>(i)) consider(static_cast<size_t>(one.target));
    }
    best.bytes += one.load_bytes + one.store_bytes;
    best.instructions += 1;
    return best;
  }

  const std::vector<Instruction>& code_;
  std::vector<Best> best_;
};

struct Loop {
  size_t first, last;  // instructions; the last branches back to the first
  bool holds(size_t i) const { return first <= i && i <= last; }
  size_t size() const { return last - first + 1; }
};

// Those whose branch back is on the path, outer ones before inner ones.
std::vector<Loop> loops_on(const std::vector<Instruction>& code, const std::vector<size_t>& path) {
  std::map<size_t, size_t> last_of;
  for (const size_t i : path) {
    if (code[i].target >= 0 && code[i].target <= static_cast<int>(i)) {
      last_of[static_cast<size_t>(code[i].target)] = i;
    }
  }
  std::vector<Loop> loops;
  loops.reserve(last_of.size());
  for (const auto& [first, last] : last_of) loops.push_back({first, last});
  return loops;
}

}  // namespace

std::vector<Instruction> parse_sass(std::string_view text) {
  std::vector<Instruction> code;
  std::map<std::string, int> labels;
  std::vector<std::string> targets;
  bool inside = false;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.substr(0, 6) == ".text.") {
      inside = true;
    } else if (inside && line.substr(0, 10) == "$__interna") {
      break;  // division and the like
    } else if (inside && !line.empty() && line[0] == '.' && line.back() == ':') {
      labels[std::string(line.substr(0, line.size() - 1))] = static_cast<int>(code.size());
    } else if (const size_t close = line.find("*/"); inside && close != std::string_view::npos) {
      line.remove_prefix(close + 2);
      targets.emplace_back();
      code.push_back(parse_instruction(line, targets.back()));
    }
  }
  for (size_t i = 0; i < code.size(); ++i) {
    if (const auto at = labels.find(targets[i]); at != labels.end()) code[i].target = at->second;
  }
  return code;
}

namespace {

PathCount count_with(const std::vector<Instruction>& code, const std::vector<size_t>& path,
                     const std::vector<Loop>& loops, const std::vector<int>& trips,
                     const PathOptions& options) {
  PathCount count;
  for (const size_t i : path) {
    double times = 1;
    for (size_t k = 0; k < loops.size(); ++k) {
      if (loops[k].holds(i)) times *= trips[k];
    }
    count.instructions += times;
    count.of_pipe[static_cast<int>(code[i].pipe)] += times;
    count.load_bytes += times * code[i].load_bytes;
    count.store_bytes += times * code[i].store_bytes;
    count.shared_bytes += times * code[i].shared_bytes;
  }
  count.elements = count.load_bytes > 0 ? count.load_bytes / options.element_bytes
                                        : count.store_bytes / std::max(options.stored, 1e-9);
  return count;
}

// Of every assignment of 1, 2, 4, 8, 16 trips what stores enough with the least, and evenly.
PathCount count_with_least_trips(const std::vector<Instruction>& code,
                                 const std::vector<size_t>& path, const std::vector<Loop>& loops,
                                 const PathOptions& options) {
  PathCount best{.error = "no trips of " + std::to_string(loops.size()) + " loops store enough"};
  double least = 0;
  std::vector<bool> stores;
  std::vector<int> trips;
  for (const Loop& loop : loops) {
    stores.push_back(std::any_of(path.begin(), path.end(), [&](size_t i) {
      return loop.holds(i) && code[i].store_bytes + code[i].shared_bytes > 0;
    }));
    trips.push_back(stores.back() ? 1 : options.trips);
  }
  for (bool more = true; more;) {
    const PathCount count = count_with(code, path, loops, trips, options);
    const bool enough = count.elements > 0 &&
                        count.store_bytes >= 0.999 * options.stored * count.elements &&
                        count.shared_bytes >= 0.999 * options.staged * count.elements;
    const int most = trips.empty() ? 1 : *std::max_element(trips.begin(), trips.end());
    const double effort = count.store_bytes + count.shared_bytes + 1e-3 * most;
    if (enough && (!best.error.empty() || effort < least)) {
      best = count;
      least = effort;
    }
    more = false;
    for (size_t k = 0; k < trips.size() && !more; ++k) {
      if (!stores[k]) continue;
      trips[k] = trips[k] < 16 ? 2 * trips[k] : 1;
      more = trips[k] > 1;
    }
  }
  return best;
}

}  // namespace

PathCount count_path(const std::vector<Instruction>& code, const PathOptions& options) {
  std::vector<size_t> path = Paths(code, options.rounds).path();
  if (path.empty()) return {.error = "no path without a call"};
  std::vector<Loop> loops = loops_on(code, path);
  if (options.rounds) {
    // The innermost loop that loads or, where a copy engine does that, stores.
    const auto moves = [&](const Loop& loop) {
      return std::any_of(path.begin(), path.end(), [&](size_t i) {
        return loop.holds(i) && code[i].load_bytes + code[i].store_bytes > 0;
      });
    };
    const auto round = std::find_if(loops.rbegin(), loops.rend(), moves);
    if (round == loops.rend()) return {.error = "no loop loads or stores"};
    const Loop counted = *round;
    std::erase_if(path, [&](size_t i) { return !counted.holds(i); });
    std::erase_if(loops, [&](const Loop& loop) {
      return loop.first <= counted.first || !counted.holds(loop.last);
    });
  }
  std::erase_if(loops, [](const Loop& loop) { return loop.size() < kLongLoop; });
  return count_with_least_trips(code, path, loops, options);
}

}  // namespace nibble::bench
