// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// nibble tune on an emulated GPU, where there is nothing to time; its list; wrong usage.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <unistd.h>

#include "cache/tuning_table.h"
#include "tests/cli/command.h"
#include "tests/cli/temporary_folder.h"

namespace nibble::cli {
namespace {

TEST(Tune, AnEmulatedGpuChecksAndRecordsNothing) {
  const std::vector<std::string> command{
      "tune",         "--device", "emulator:sm_90a", "--family", "amax",   "--shape", "16x64",
      "--candidates", "1",        "--budget",        "2min",     "--type", "f32"};
  const Ran text = run_command(command);
  EXPECT_EQ(text.exit, 0) << text.err;
  EXPECT_NE(text.out.find("right, the default"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("an emulated GPU has no times"), std::string::npos) << text.out;
  std::vector<std::string> as_json = command;
  as_json.emplace_back("--json");
  const nlohmann::json json = run_command(as_json).json();
  EXPECT_EQ(json.at("timed"), false);
  EXPECT_TRUE(std::string(json.at("problem")).starts_with("amax sm_90a input=f32")) << json;
  ASSERT_GT(json.at("candidates").size(), 1u);
  EXPECT_EQ(json.at("candidates")[0].at("config"), json.at("config"));
  for (const auto& candidate : json.at("candidates")) EXPECT_EQ(candidate.at("verdict"), "right");
}

TEST(Tune, ListShowsTheRecords) {
  const TemporaryFolder folder;
  cache::TuningRecord record{"A GPU", "sort sm_90a 2^4",     "digest", "threads=128", 10, 15,
                             0.01,    "2026-11-27T09:30:00Z"};
  const std::string path = folder.file("table.tsv");
  std::string text = cache::encode_tuning_table({record});
  std::ofstream(path) << text;
  ::setenv("NIBBLE_TUNING_FILE", path.c_str(), 1);
  const Ran shown = run_command({"tune", "list"});
  const nlohmann::json json = run_command({"tune", "list", "--json"}).json();
  std::ofstream(path) << text << "damage\n";
  const Ran damaged = run_command({"tune", "list"});
  std::ofstream(path) << "another file";
  const Ran unknown = run_command({"tune", "list"});
  ::unsetenv("NIBBLE_TUNING_FILE");
  EXPECT_EQ(shown.exit, 0);
  EXPECT_NE(shown.out.find("1.500"), std::string::npos) << shown.out;
  EXPECT_EQ(json.at("records").size(), 1u);
  EXPECT_EQ(json.at("records")[0].at("config"), "threads=128");
  EXPECT_NE(damaged.out.find("1 damaged record"), std::string::npos) << damaged.out;
  EXPECT_EQ(unknown.exit, static_cast<int>(Exit::kBadInput));
  EXPECT_NE(unknown.err.find(path), std::string::npos) << unknown.err;
}

// As after a run on a GPU that was interrupted between its shapes.
TEST(Tune, WhatIsRecordedIsNotMeasuredAgain) {
  const TemporaryFolder folder;
  ::setenv("NIBBLE_CACHE_DIR", folder.file("cache").c_str(), 1);
  std::vector<std::string> command{
      "tune",     "--device", "emulator:sm_90a", "--family", "amax",   "--candidates", "1",
      "--budget", "2min",     "--type",          "f32",      "--json", "--shape",      "16x64"};
  const nlohmann::json first = run_command(command).json();
  cache::TuningRecord record;
  record.gpu = first.at("gpu");
  record.problem = first.at("problem");
  record.templates = first.at("templates");
  record.config = first.at("config");
  EXPECT_EQ(cache::record_tuning(folder.file("cache"), {record}), std::nullopt);
  const nlohmann::json second = run_command(command).json();
  command.emplace_back("64x64");
  const Ran more = run_command(command);
  command.emplace_back("--again");
  const Ran again = run_command(command);
  record.templates = "of other templates";
  EXPECT_EQ(cache::record_tuning(folder.file("cache"), {record}), std::nullopt);
  command.resize(command.size() - 2);
  const nlohmann::json edited = run_command(command).json();
  ::unsetenv("NIBBLE_CACHE_DIR");
  EXPECT_EQ(second.at("known"), true);
  EXPECT_EQ(second.at("config"), record.config);
  EXPECT_FALSE(second.contains("candidates"));
  EXPECT_NE(more.out.find("\"known\""), std::string::npos) << more.out;
  EXPECT_NE(more.out.find("\"candidates\""), std::string::npos) << more.out;
  EXPECT_EQ(again.out.find("\"known\""), std::string::npos) << again.out;
  EXPECT_FALSE(edited.contains("known"));
}

// Wherever the signal meets it: within a shape, whose candidates end (tune_test of autotune/ says
// how), or between two. The shapes would take many times as long as the signal takes to come. All
// kernels are on disk by then: for a moment of a compile, the handler is the compiler's.
TEST(Tune, AnInterruptEndsIt) {
  constexpr size_t kShapes = 1000;
  const TemporaryFolder folder;
  ::setenv("NIBBLE_CACHE_DIR", folder.file("cache").c_str(), 1);
  std::vector<std::string> command{"tune",     "--device", "emulator:sm_90a", "--family", "amax",
                                   "--budget", "10min",    "--shape",         "64x512"};
  EXPECT_EQ(run_command(command).exit, 0);
  command.insert(command.end(), kShapes, "64x512");
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  struct sigaction inherited = {};
  ::sigaction(SIGINT, &standard, &inherited);  // a job in the background ignores it
  std::atomic<bool> ended{false};
  std::thread interrupting([&] {
    struct sigaction now = {};
    do {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      ::sigaction(SIGINT, nullptr, &now);
    } while (now.sa_handler == SIG_DFL && !ended);
    if (!ended) ::kill(::getpid(), SIGINT);
  });
  const Ran ran = run_command(command);
  ended = true;
  interrupting.join();
  ::unsetenv("NIBBLE_CACHE_DIR");
  EXPECT_EQ(ran.exit, static_cast<int>(Exit::kFailed));
  EXPECT_NE(ran.err.find("interrupted"), std::string::npos) << ran.err;
  size_t tuned = 0;
  const std::string sentence = "an emulated GPU has no times";
  for (size_t at = ran.out.find(sentence); at != std::string::npos;
       at = ran.out.find(sentence, at + 1)) {
    ++tuned;
  }
  EXPECT_LT(tuned, kShapes / 2);
  struct sigaction after = {};
  ::sigaction(SIGINT, &inherited, &after);
  EXPECT_EQ(after.sa_handler, SIG_DFL);
}

TEST(Tune, WrongUsageIsNamed) {
  EXPECT_NE(run_command({"tune", "--device", "emulator:sm_90a"}).err.find("ROWSxCOLUMNS"),
            std::string::npos);
  for (const char* shape : {"", "4", "4x", "x4", "0x4", "4x-1", "4x4x4", "4x99999999999"}) {
    const Ran ran = run_command({"tune", "--device", "emulator:sm_90a", "--shape", shape});
    EXPECT_EQ(ran.exit, static_cast<int>(Exit::kUsage)) << shape;
    EXPECT_NE(ran.err.find("ROWSxCOLUMNS"), std::string::npos) << ran.err;
  }
  for (const char* family : {"amax_batch", "sort"}) {
    const Ran ran =
        run_command({"tune", "--device", "emulator:sm_90a", "--family", family, "--shape", "4x4"});
    EXPECT_EQ(ran.exit, static_cast<int>(Exit::kUsage));
    EXPECT_NE(ran.err.find(std::string("'") + family + "'"), std::string::npos) << ran.err;
  }
  EXPECT_EQ(run_command({"tune", "--shape", "4x4", "--budget", "0s"}).exit, 2);
  EXPECT_EQ(run_command({"tune", "--shape", "4x4", "--type", "fp4"}).exit, 2);
  EXPECT_EQ(run_command({"tune", "--shape", "4x4", "--device", "none:sm_90a"}).exit,
            static_cast<int>(Exit::kNoDevice));
}

}  // namespace
}  // namespace nibble::cli
