// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The timeline of launches: valid JSON, in order, nested.
#include "runtime/emulator/machine/trace.h"

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

// Turns enclose what was executed in them; operations begin before they end.
TEST(Trace, IsOrderedAndNested) {
  Settings settings;
  settings.trace = true;
  settings.threads = 2;
  Machine machine("sm_90a", settings);
  ASSERT_TRUE(machine.load(kernel(R"(
mov.u32 %r5, tile;
shl.b32 %r6, %r4, 4;
add.u32 %r5, %r5, %r6;
cvt.u64.u32 %rd3, %r6;
add.u64 %rd3, %rd3, %rd1;
cp.async.cg.shared.global [%r5], [%rd3], 16;
cp.async.wait_all;
bar.sync 0;
)",
                                  ".shared .align 128 .b8 tile[1024];")))
      << machine.error;
  const uint64_t in = machine.buffer(std::vector<uint32_t>(256));
  Trace::all().clear();
  EXPECT_FALSE(machine.run("test", {3, 1, 1}, {64, 1, 1}, {in, in}));
  const auto json = nlohmann::json::parse(Trace::all().json());
  EXPECT_EQ(json["otherData"]["cut"], false);
  uint64_t last = 0, barriers = 0, begun = 0, ended = 0;
  std::map<std::pair<int, int>, uint64_t> end_of_turn;
  std::set<std::string> processes, threads;
  std::map<int, uint64_t> begins;
  for (const auto& event : json["traceEvents"]) {
    const std::string kind = event["ph"];
    if (kind == "M") {
      (event["name"] == "process_name" ? processes : threads).insert(event["args"]["name"]);
      continue;
    }
    const uint64_t time = event["ts"];
    EXPECT_GE(time, last);
    last = time;
    const std::pair<int, int> thread(event["pid"], event["tid"]);
    if (kind == "X" && event["name"] == "run") {
      EXPECT_GE(time, end_of_turn[thread]);
      end_of_turn[thread] = time + uint64_t{event["dur"]};
    } else if (kind == "X") {
      EXPECT_LE(time + uint64_t{event["dur"]}, end_of_turn[thread]);
      barriers += event["name"] == "bar.sync" ? 1 : 0;
    } else if (kind == "b") {
      EXPECT_EQ(event["name"], "cp.async.cg.shared.global");
      begins[event["id"]] = time;
      ++begun;
    } else {
      ASSERT_EQ(kind, "e");
      EXPECT_LE(begins.at(event["id"]), time);
      ++ended;
    }
  }
  EXPECT_EQ(barriers, 6u);
  EXPECT_EQ(begun, 6u);
  EXPECT_EQ(ended, 6u);
  EXPECT_EQ(processes.size(), 3u);
  EXPECT_EQ(threads, (std::set<std::string>{"copies", "warp 0", "warp 1"}));
}

TEST(Trace, IsCut) {
  Trace trace;
  const std::string* const name = trace.intern("x");
  for (size_t i = 0; i <= Trace::kMostEvents; ++i) trace.add({i, i + 1, 0, 0, name, false});
  EXPECT_TRUE(trace.is_cut());
}

}  // namespace
}  // namespace nibble::emulator
