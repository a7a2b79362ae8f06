// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "autotune/tune.h"

#include <algorithm>
#include <cmath>

#include "runtime/jit/tuning.h"
#include "runtime/result.h"

namespace nibble::autotune {

namespace {

// Of the budget, after which the next step begins.
constexpr double kCheckShare = 0.5;
constexpr double kTimeShare = 0.8;
constexpr int kRoundsBetweenCuts = 3;
constexpr size_t kFinalists = 4;
constexpr size_t kLeastSamples = 3;
constexpr int kConfirmations = 11;  // samples of the second measurement
constexpr int kProofs = 16;         // more runs of the winner that must give the right bytes

double quantile(std::vector<double> values, double fraction) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = fraction * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

void reject(Outcome* outcome, Verdict verdict, std::string reason) {
  outcome->verdict = verdict;
  outcome->reason = std::move(reason);
}

class Tuner {
 public:
  Tuner(Machine& machine, const std::vector<KernelSpec>& candidates, const Limits& limits,
        const Progress& progress)
      : machine_(machine), limits_(limits), progress_(progress), start_(machine.now()) {
    report_.outcomes.resize(candidates.size());
    for (size_t i = 0; i < candidates.size(); ++i) report_.outcomes[i].spec = candidates[i];
  }

  Result<Report> run() {
    NIBBLE_TRY(run_default());
    for (size_t next = 1; next < report_.outcomes.size(); next += machine_.parallel()) {
      if (late(kCheckShare)) break;
      check_some(next, std::min(next + machine_.parallel(), report_.outcomes.size()));
    }
    if (machine_.has_times()) {
      time_all();
      while (!choose()) {
      }
    }
    return std::move(report_);
  }

 private:
  Outcome& standard() { return report_.outcomes.front(); }

  // Notes that the share of the budget is used up, or that it is to stop.
  bool late(double share) {
    if (limits_.stop && limits_.stop()) return report_.stopped = true;
    const bool is_late = machine_.now() - start_ > share * limits_.budget;
    report_.out_of_time = report_.out_of_time || is_late;
    return is_late;
  }

  // `done`: of the steps that end at `share`.
  void tell(double from, double share, double done, const Outcome& outcome) {
    if (!progress_) return;
    const double elapsed = (machine_.now() - start_) / limits_.budget;
    progress_(std::clamp(std::max(from + (share - from) * done, elapsed), 0.0, 1.0),
              config_text(outcome.spec));
  }

  // Whether one more run of the candidate gives the right bytes.
  bool run_right(Outcome* outcome, uint8_t poison) {
    return autotune::run_right(machine_, right_, poison, outcome);
  }

  Status run_default() {
    tell(0, kCheckShare, 0, standard());
    NIBBLE_TRY_ASSIGN(right_, right_outputs(machine_));
    NIBBLE_TRY(machine_.prepare({&standard().spec, 1}).front());
    standard().verdict = Verdict::kRight;
    for (const uint8_t poison : kPoisons) {
      if (run_right(&standard(), poison)) continue;
      return {Code::kInternal,
              "the default (" + config_text(standard().spec) + "): " + standard().reason};
    }
    return {};
  }

  void check_some(size_t first, size_t last) {
    std::vector<KernelSpec> specs;
    for (size_t i = first; i < last; ++i) specs.push_back(report_.outcomes[i].spec);
    const std::vector<Status> ready = machine_.prepare(specs);
    for (size_t i = first; i < last && !late(kCheckShare); ++i) {
      Outcome& outcome = report_.outcomes[i];
      tell(0, kCheckShare, static_cast<double>(i) / static_cast<double>(report_.outcomes.size()),
           outcome);
      if (!ready[i - first].ok()) {
        reject(&outcome, Verdict::kFailed, ready[i - first].to_string());
      } else if (run_right(&outcome, kPoisons[i % 2])) {
        outcome.verdict = Verdict::kRight;
      }
    }
  }

  bool sample(Outcome* outcome) {
    const Result<double> seconds = machine_.seconds(outcome->spec);
    if (seconds.ok()) {
      outcome->seconds.push_back(*seconds);
    } else {
      reject(outcome, Verdict::kFailed, seconds.status().to_string());
    }
    return seconds.ok();
  }

  // Rounds over all that are left; now and then the slower half of them is dropped.
  void time_all() {
    std::vector<Outcome*> live;
    for (Outcome& outcome : report_.outcomes) {
      if (outcome.verdict == Verdict::kRight) live.push_back(&outcome);
    }
    for (int round = 0; round < limits_.rounds && !late(kTimeShare); ++round) {
      for (size_t i = 0; i < live.size() && !late(kTimeShare); ++i) {
        // Each round begins with another one, so that a drift of the clocks favours none.
        Outcome* const outcome = live[(i + static_cast<size_t>(round)) % live.size()];
        tell(kCheckShare, kTimeShare, static_cast<double>(round) / limits_.rounds, *outcome);
        sample(outcome);
      }
      std::erase_if(live, [](const Outcome* one) { return one->verdict != Verdict::kRight; });
      if ((round + 1) % kRoundsBetweenCuts == 0) cut(&live);
    }
  }

  void cut(std::vector<Outcome*>* live) {
    const auto faster = [](const Outcome* a, const Outcome* b) {
      return a->median() < b->median();
    };
    std::stable_sort(live->begin(), live->end(), faster);
    const size_t kept = std::max(kFinalists, (live->size() + 1) / 2);
    if (live->size() <= kept) return;
    live->resize(kept);
    if (std::find(live->begin(), live->end(), &standard()) == live->end()) {
      live->push_back(&standard());
    }
  }

  bool clearly_faster(const Outcome& outcome) {
    const double gain = standard().median() / outcome.median() - 1;
    return gain >= limits_.least_gain && gain > outcome.noise() + standard().noise();
  }

  // The fastest that is clearly faster than the default, if it proves to be so and right once more.
  // False where it does not, and the next one is to be looked at.
  bool choose() {
    Outcome* best = &standard();
    for (Outcome& outcome : report_.outcomes) {
      if (outcome.verdict == Verdict::kRight && outcome.seconds.size() >= kLeastSamples &&
          outcome.median() < best->median() && clearly_faster(outcome)) {
        best = &outcome;
      }
    }
    if (standard().verdict != Verdict::kRight || standard().seconds.size() < kLeastSamples) {
      return true;  // nothing to compare with: the default, and no record
    }
    if (best != &standard() && !confirm(best)) return false;
    report_.timed = true;
    report_.chosen = static_cast<size_t>(best - report_.outcomes.data());
    for (Outcome& outcome : report_.outcomes) {
      if (outcome.verdict == Verdict::kRight) {
        outcome.verdict =
            outcome.seconds.size() < kLeastSamples ? Verdict::kUntried : Verdict::kSlower;
      }
    }
    best->verdict = Verdict::kChosen;
    return true;
  }

  // The lowest of many medians is low by luck too: what is recorded is measured anew.
  bool confirm(Outcome* best) {
    standard().seconds.clear();
    best->seconds.clear();
    for (int i = 0; i < kConfirmations; ++i) {
      tell(kTimeShare, 1, static_cast<double>(i) / kConfirmations, *best);
      if (!sample(&standard()) || !sample(best)) return false;
    }
    for (int i = 0; i < kProofs; ++i) {
      if (!run_right(best, kPoisons[i % 2])) return false;
    }
    if (clearly_faster(*best)) return true;
    best->verdict = Verdict::kSlower;
    return false;
  }

  Machine& machine_;
  const Limits& limits_;
  const Progress& progress_;
  double start_;
  Outputs right_;  // of the trusted kernel
  Report report_;
};

}  // namespace

Result<Outputs> right_outputs(Machine& machine) {
  NIBBLE_TRY_ASSIGN(const Outputs right, machine.trusted_outputs(kPoisons[0]));
  NIBBLE_TRY_ASSIGN(const Outputs again, machine.trusted_outputs(kPoisons[1]));
  if (again.digest == right.digest && right.intact && again.intact) return right;
  return Status(Code::kInternal,
                "the trusted kernel does not write the same bytes twice, and no others: nothing "
                "can be compared with it");
}

bool run_right(Machine& machine, const Outputs& right, uint8_t poison, Outcome* outcome) {
  const Result<Outputs> outputs = machine.outputs(outcome->spec, poison);
  if (!outputs.ok()) {
    reject(outcome, Verdict::kFailed, outputs.status().to_string());
  } else if (!outputs->intact) {
    reject(outcome, Verdict::kWrong, "it writes beside its output");
  } else if (outputs->digest != right.digest) {
    reject(outcome, Verdict::kWrong, "other bytes than the trusted kernel's");
  } else {
    return true;
  }
  return false;
}

std::string_view verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::kChosen:
      return "chosen";
    case Verdict::kSlower:
      return "slower";
    case Verdict::kWrong:
      return "WRONG";
    case Verdict::kFailed:
      return "failed";
    case Verdict::kRight:
      return "right";
    case Verdict::kUntried:
      return "no time";
  }
  return "unknown";
}

double Outcome::median() const { return quantile(seconds, 0.5); }

double Outcome::noise() const {
  const double middle = median();
  return middle > 0 ? (quantile(seconds, 0.75) - quantile(seconds, 0.25)) / 2 / middle : 0;
}

Result<Report> tune(Machine& machine, const std::vector<KernelSpec>& candidates,
                    const Limits& limits, const Progress& progress) {
  return guarded([&] { return Tuner(machine, candidates, limits, progress).run(); });
}

}  // namespace nibble::autotune
