// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The loop: compile, check, time, choose. What it rests on is in README.md.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cache/digest.h"
#include "nibble/status.hpp"
#include "runtime/jit/family.h"

namespace nibble::autotune {

struct Outputs {
  cache::Digest digest;  // of all that a launch has to write
  bool intact = true;    // false: it wrote beside that
};

// Where candidates run. Tests have machines of their own.
class Machine {
 public:
  virtual ~Machine() = default;
  // How many candidates prepare() compiles at a time.
  virtual size_t parallel() const = 0;
  // Makes them ready to launch; a status for each.
  virtual std::vector<Status> prepare(std::span<const KernelSpec> specs) = 0;
  // What one launch makes of memory that is filled with `poison`.
  virtual Result<Outputs> outputs(const KernelSpec& spec, uint8_t poison) = 0;
  // The same of the trusted kernel, which is right.
  virtual Result<Outputs> trusted_outputs(uint8_t poison) = 0;
  virtual bool has_times() const = 0;                          // false: an emulated GPU
  virtual Result<double> seconds(const KernelSpec& spec) = 0;  // of one launch: a mean of many
  virtual double now() const = 0;                              // seconds on some clock
};

struct Limits {
  double budget = 30;        // seconds, of the machine's clock; a step that has begun is ended
  int rounds = 20;           // samples of a candidate that is never dropped
  double least_gain = 0.02;  // over the default, for another to be chosen
  // True: no more candidates and rounds, as if the budget were used up. Null: never.
  std::function<bool()> stop;
};

enum class Verdict {
  kChosen,
  kSlower,   // than the chosen one, or not enough faster than the default
  kWrong,    // other bytes than the trusted kernel's, or bytes beside the output
  kFailed,   // it does not compile or launch
  kRight,    // the trusted kernel's bytes; not timed, for the machine has no times
  kUntried,  // the budget was used up before
};
std::string_view verdict_text(Verdict verdict);

struct Outcome {
  KernelSpec spec;
  Verdict verdict = Verdict::kUntried;
  std::string reason;  // of kWrong and kFailed
  std::vector<double>
      seconds;            // a sample each round, and of the last two all of a second measurement
  double median() const;  // seconds; 0 without samples
  double noise() const;   // half the interquartile range over the median
};

struct Report {
  std::vector<Outcome> outcomes;  // of the candidates, in their order
  size_t chosen = 0;              // 0: the default
  bool timed = false;             // whether the choice rests on times, and may be recorded
  bool out_of_time = false;       // whether the budget cut something off
  bool stopped = false;           // whether Limits::stop did
};

// What the trusted kernel writes, whatever was there before. A failure where it does not write the
// same bytes twice, and no others.
Result<Outputs> right_outputs(Machine& machine);
// Runs the candidate once, which must be prepared. True: it writes those bytes, and no others; else
// the outcome says what is wrong.
bool run_right(Machine& machine, const Outputs& right, uint8_t poison, Outcome* outcome);
// To be used in turn, so that a byte which is not written differs from run to run.
constexpr uint8_t kPoisons[] = {0xA5, 0x5A};

// 0 to 1, and what is being done.
using Progress = std::function<void(double, const std::string&)>;

// The first candidate is the default: what the others must beat. All must equal the trusted kernel;
// a failure where it or the default cannot be run, or the default does not.
Result<Report> tune(Machine& machine, const std::vector<KernelSpec>& candidates,
                    const Limits& limits, const Progress& progress);

}  // namespace nibble::autotune
