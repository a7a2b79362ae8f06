// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The loop on a machine made up for it: what is rejected, what is chosen, when it stops.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "autotune/tune.h"

namespace nibble::autotune {
namespace {

constexpr int kNumbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr Constant kConstants[] = {
    {"kNumber", "number", "of the candidate", Constant::Origin::kTuned, kNumbers, {}}};
const Family kFamily{.name = "test", .params_type = "", .constants = kConstants, .variants = {}};

std::vector<KernelSpec> numbered(int count) {
  std::vector<KernelSpec> specs;
  for (int i = 0; i < count; ++i) {
    specs.push_back(default_spec(kFamily, all_archs().front()));
    specs.back().values[0] = i;
  }
  return specs;
}

// By number: how fast it is and what is wrong with it. Its clock goes as fast as it says.
class FakeMachine : public Machine {
 public:
  struct Candidate {
    double seconds = 1e-3;
    bool compiles = true;
    bool launches = true;
    bool intact = true;
    uint64_t digest = 1;
    bool writes_all = true;    // else what was there shows
    int wrong_from = 1 << 30;  // the run from which on its bytes are wrong
    int slow_from = 1 << 30;   // the sample from which on it takes twice as long
  };

  std::map<int, Candidate> candidate;
  Candidate trusted;
  double noise = 0;  // half the width of what a sample may be off, as a fraction
  bool timed = true;
  double compile_cost = 0.01;  // of this clock
  double sample_cost = 0.002;
  double run_cost = 0.001;
  size_t at_once = 3;
  std::map<int, int> runs, samples;
  int prepared = 0;
  double clock = 100;

  size_t parallel() const override { return at_once; }
  std::vector<Status> prepare(std::span<const KernelSpec> specs) override {
    EXPECT_LE(specs.size(), parallel());
    std::vector<Status> statuses;
    for (const KernelSpec& spec : specs) {
      ++prepared;
      clock += compile_cost;
      statuses.push_back(of(spec).compiles ? Status() : Status(Code::kCompileFailed, "no"));
    }
    return statuses;
  }
  Result<Outputs> outputs(const KernelSpec& spec, uint8_t poison) override {
    const Candidate& one = of(spec);
    const int run = runs[spec.values[0]]++;
    clock += run_cost;
    if (!one.launches) return Status(Code::kDriverError, "cuLaunchKernel");
    const uint64_t low = one.digest + (run >= one.wrong_from ? 1 : 0);
    const uint64_t high = one.writes_all ? 0 : poison;
    return Outputs{{low, high}, one.intact};
  }
  Result<Outputs> trusted_outputs(uint8_t poison) override {
    clock += run_cost;
    if (!trusted.launches) return Status(Code::kDriverError, "cuLaunchKernel");
    return Outputs{{trusted.digest, trusted.writes_all ? 0u : poison}, trusted.intact};
  }
  bool has_times() const override { return timed; }
  Result<double> seconds(const KernelSpec& spec) override {
    EXPECT_TRUE(of(spec).compiles && of(spec).launches && of(spec).intact);
    const int sample = samples[spec.values[0]]++;
    clock += sample_cost;
    std::uniform_real_distribution<double> spread(1 - noise, 1 + noise);
    return of(spec).seconds * spread(random_) * (sample >= of(spec).slow_from ? 2 : 1);
  }
  double now() const override { return clock; }

 private:
  const Candidate& of(const KernelSpec& spec) { return candidate[spec.values[0]]; }
  std::mt19937_64 random_{3};
};

Report tuned(FakeMachine& machine, int count, const Limits& limits = {}) {
  const Result<Report> report = tune(machine, numbered(count), limits, {});
  EXPECT_TRUE(report.ok()) << report.status().to_string();
  return *report;
}

TEST(Tune, TheFastestIsChosenAndMeasuredAgain) {
  FakeMachine machine;
  machine.noise = 0.01;
  machine.candidate[5].seconds = 0.8e-3;
  machine.candidate[9].seconds = 0.9e-3;
  const Report report = tuned(machine, 12);
  EXPECT_EQ(report.chosen, 5u);
  EXPECT_TRUE(report.timed);
  EXPECT_FALSE(report.out_of_time);
  EXPECT_EQ(report.outcomes[5].verdict, Verdict::kChosen);
  EXPECT_EQ(report.outcomes[0].verdict, Verdict::kSlower);
  EXPECT_NEAR(report.outcomes[5].median(), 0.8e-3, 0.01e-3);
  EXPECT_LE(report.outcomes[5].noise(), 0.01);
  // Samples of the second measurement alone, as many of each.
  EXPECT_EQ(report.outcomes[5].seconds.size(), report.outcomes[0].seconds.size());
  EXPECT_LT(report.outcomes[5].seconds.size(), static_cast<size_t>(machine.samples[5]));
  // Bytes were looked at again after the choice.
  EXPECT_GT(machine.runs[5], 10);
}

TEST(Tune, TheDefaultStaysWhereNothingIsClearlyFaster) {
  FakeMachine machine;
  machine.candidate[3].seconds = 0.99e-3;  // 1 %: less than is asked for
  EXPECT_EQ(tuned(machine, 6).chosen, 0u);
  FakeMachine noisy;
  noisy.noise = 0.2;  // 4 % drown in it
  noisy.candidate[3].seconds = 0.96e-3;
  const Report report = tuned(noisy, 6);
  EXPECT_EQ(report.chosen, 0u);
  EXPECT_TRUE(report.timed);
  EXPECT_EQ(report.outcomes[0].verdict, Verdict::kChosen);
}

TEST(Tune, WrongCandidatesAreNeverChosenHoweverFast) {
  FakeMachine machine;
  for (const int wrong : {1, 2, 3, 4, 5, 6}) machine.candidate[wrong].seconds = 1e-6;
  machine.candidate[1].digest = 2;
  machine.candidate[2].intact = false;
  machine.candidate[3].writes_all = false;
  machine.candidate[4].compiles = false;
  machine.candidate[5].launches = false;
  machine.candidate[6].wrong_from = 5;  // right when it is checked first
  machine.candidate[7].seconds = 0.5e-3;
  const Report report = tuned(machine, 8);
  EXPECT_EQ(report.chosen, 7u);
  for (const int wrong : {1, 2, 3, 6}) {
    EXPECT_EQ(report.outcomes[static_cast<size_t>(wrong)].verdict, Verdict::kWrong) << wrong;
    EXPECT_NE(report.outcomes[static_cast<size_t>(wrong)].reason, "");
  }
  for (const size_t failed : {4u, 5u}) {
    EXPECT_EQ(report.outcomes[failed].verdict, Verdict::kFailed);
    EXPECT_NE(report.outcomes[failed].reason, "");
  }
  for (const int untimed : {1, 2, 3, 4, 5}) EXPECT_EQ(machine.samples[untimed], 0) << untimed;
}

TEST(Tune, LuckIsNotRecorded) {
  FakeMachine machine;
  machine.candidate[2].seconds = 0.6e-3;
  machine.candidate[2].slow_from = 20;  // fast in the rounds, slow in the second measurement
  machine.candidate[4].seconds = 0.9e-3;
  const Report report = tuned(machine, 6);
  EXPECT_EQ(report.chosen, 4u);
  EXPECT_EQ(report.outcomes[2].verdict, Verdict::kSlower);
}

TEST(Tune, ATrustedKernelThatDoesNotRepeatItselfIsAFailure) {
  for (auto change : {+[](FakeMachine::Candidate& one) { one.writes_all = false; },
                      +[](FakeMachine::Candidate& one) { one.intact = false; }}) {
    FakeMachine machine;
    change(machine.trusted);
    const Status status = tune(machine, numbered(3), {}, {}).status();
    EXPECT_EQ(status.code(), Code::kInternal);
    EXPECT_NE(status.message().find("trusted"), std::string::npos) << status.message();
  }
  FakeMachine broken;
  broken.trusted.launches = false;
  EXPECT_EQ(tune(broken, numbered(3), {}, {}).status().code(), Code::kDriverError);
}

TEST(Tune, ADefaultThatIsWrongIsAFailure) {
  FakeMachine other;
  other.candidate[0].digest = 2;
  const Status status = tune(other, numbered(3), {}, {}).status();
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_NE(status.message().find("number=0"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("trusted"), std::string::npos) << status.message();
  FakeMachine gaps;
  gaps.candidate[0].writes_all = false;
  EXPECT_EQ(tune(gaps, numbered(3), {}, {}).status().code(), Code::kInternal);
  FakeMachine broken;
  broken.candidate[0].compiles = false;
  EXPECT_EQ(tune(broken, numbered(3), {}, {}).status().code(), Code::kCompileFailed);
  FakeMachine beside;
  beside.candidate[0].intact = false;
  EXPECT_FALSE(tune(beside, numbered(3), {}, {}).ok());
}

TEST(Tune, WithoutTimesCandidatesAreCheckedAndNothingIsChosen) {
  FakeMachine machine;
  machine.timed = false;
  machine.candidate[1].digest = 9;
  const Report report = tuned(machine, 5);
  EXPECT_FALSE(report.timed);
  EXPECT_EQ(report.chosen, 0u);
  EXPECT_EQ(report.outcomes[1].verdict, Verdict::kWrong);
  EXPECT_EQ(report.outcomes[2].verdict, Verdict::kRight);
  EXPECT_TRUE(machine.samples.empty());
}

TEST(Tune, TheBudgetEndsTheChecks) {
  FakeMachine machine;
  machine.compile_cost = 1;
  Limits limits;
  limits.budget = 10;  // half of it for at most 6 compilations and those of one more step
  const Report report = tuned(machine, 16, limits);
  EXPECT_TRUE(report.out_of_time);
  EXPECT_LE(machine.prepared, 9);
  EXPECT_LE(machine.clock - 100, limits.budget);
  EXPECT_EQ(report.outcomes[15].verdict, Verdict::kUntried);
  EXPECT_TRUE(report.timed);  // what was tried is timed
}

// Of many candidates that were compiled together only some are looked at, so that there is time
// left to time them.
TEST(Tune, TheBudgetEndsTheChecksOfOneStep) {
  FakeMachine machine;
  machine.at_once = 16;
  machine.run_cost = 1;
  machine.candidate[1].seconds = 0.5e-3;
  Limits limits;
  limits.budget = 10;
  const Report report = tuned(machine, 16, limits);
  EXPECT_TRUE(report.out_of_time);
  EXPECT_EQ(report.outcomes[15].verdict, Verdict::kUntried);
  EXPECT_EQ(machine.runs[15], 0);
  EXPECT_TRUE(report.timed);
  EXPECT_EQ(report.chosen, 1u);
}

TEST(Tune, TheBudgetEndsTheRounds) {
  FakeMachine machine;
  machine.sample_cost = 0.1;
  machine.candidate[1].seconds = 0.5e-3;
  Limits limits;
  limits.budget = 10;
  limits.rounds = 1000000;
  const Report report = tuned(machine, 4, limits);
  EXPECT_TRUE(report.out_of_time);
  EXPECT_EQ(report.chosen, 1u);
  // The second measurement may end a little later.
  EXPECT_LE(machine.clock - 100, limits.budget * 1.1);
}

TEST(Tune, TooLittleTimeRecordsNothing) {
  FakeMachine machine;
  machine.candidate[1].seconds = 0.5e-3;
  Limits limits;
  limits.budget = 1e-3;
  const Report report = tuned(machine, 4, limits);
  EXPECT_TRUE(report.out_of_time);
  EXPECT_FALSE(report.timed);
  EXPECT_EQ(report.chosen, 0u);
}

TEST(Tune, StoppingEndsTheChecksAndRecordsNothing) {
  FakeMachine machine;
  Limits limits;
  limits.stop = [&] { return machine.prepared >= 4; };
  const Report report = tuned(machine, 16, limits);
  EXPECT_TRUE(report.stopped);
  EXPECT_FALSE(report.out_of_time);
  EXPECT_FALSE(report.timed);
  EXPECT_LE(machine.prepared, 6);
  EXPECT_EQ(report.outcomes[15].verdict, Verdict::kUntried);
}

// What was timed before is measured once more, and kept.
TEST(Tune, StoppingEndsTheRoundsAndKeepsTheBest) {
  FakeMachine machine;
  machine.candidate[2].seconds = 0.5e-3;
  Limits limits;
  limits.stop = [&] { return machine.samples[0] >= 5; };
  const Report report = tuned(machine, 4, limits);
  EXPECT_TRUE(report.stopped);
  EXPECT_TRUE(report.timed);
  EXPECT_EQ(report.chosen, 2u);
  EXPECT_LT(machine.samples[3], 20);
}

// Each candidate has its turn in a round, and the slower ones leave.
TEST(Tune, RoundsAreInterleavedAndThin) {
  FakeMachine machine;
  for (int i = 0; i < 16; ++i) machine.candidate[i].seconds = (20 - i) * 1e-3;
  const Report report = tuned(machine, 16);
  EXPECT_EQ(report.chosen, 15u);
  EXPECT_EQ(machine.samples[1], 3);  // among the slowest: out after the first three rounds
  EXPECT_GE(machine.samples[14], 20);
  EXPECT_GE(machine.samples[0], 20);  // the default is measured to the end
  EXPECT_EQ(report.outcomes[1].verdict, Verdict::kSlower);
}

TEST(Tune, ProgressGoesFromNothingToAll) {
  FakeMachine machine;
  machine.candidate[1].seconds = 0.5e-3;
  double last = 0;
  const auto progress = [&](double done, const std::string& config) {
    EXPECT_GE(done, last);
    EXPECT_LE(done, 1);
    EXPECT_TRUE(config.starts_with("number=")) << config;
    last = done;
  };
  EXPECT_TRUE(tune(machine, numbered(5), {}, progress).ok());
  EXPECT_GT(last, 0.9);
}

}  // namespace
}  // namespace nibble::autotune
