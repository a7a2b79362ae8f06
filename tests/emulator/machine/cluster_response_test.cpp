// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Responses of clusterlaunchcontrol that the kernel wrote itself.
#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

// out[thread] = 1 where the response of (low, high) says that a cluster was taken over.
std::string query(const std::string& low, const std::string& high) {
  return "mov.b64 %rd3, " + low + ";\nmov.b64 %rd4, " + high + ";\nmov.b128 %q0, {%rd3, %rd4};\n" +
         R"(
clusterlaunchcontrol.query_cancel.is_canceled.pred.b128 %p1, %q0;
selp.u32 %r5, 1, 0, %p1;
mul.wide.u32 %rd5, %r1, 4;
add.u64 %rd5, %rd5, %rd2;
st.global.u32 [%rd5], %r5;
)";
}

TEST(ClusterResponse, ZerosMeanThatNothingWasTakenOver) {
  Machine machine("sm_100a");
  ASSERT_TRUE(machine.load(kernel(query("0", "0"), "", "sm_100a"))) << machine.error;
  const uint64_t out = machine.buffer(std::vector<uint32_t>(32, 0xDEADBEEF));
  const auto fault = machine.run("test", {1, 1, 1}, {32, 1, 1}, {out, out});
  ASSERT_FALSE(fault.has_value()) << fault->report;
  EXPECT_EQ(machine.read<uint32_t>(out, 32), std::vector<uint32_t>(32, 0));
}

TEST(ClusterResponse, OtherBytesAreNoResponse) {
  Machine machine("sm_100a");
  ASSERT_TRUE(machine.load(kernel(query("0", "1"), "", "sm_100a"))) << machine.error;
  const uint64_t out = machine.buffer(std::vector<uint32_t>(32, 0xDEADBEEF));
  const auto fault = machine.run("test", {1, 1, 1}, {32, 1, 1}, {out, out});
  ASSERT_TRUE(fault.has_value());
  EXPECT_NE(fault->report.find("is no response"), std::string::npos) << fault->report;
}

}  // namespace
}  // namespace nibble::emulator
