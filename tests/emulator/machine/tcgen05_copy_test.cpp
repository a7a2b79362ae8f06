// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// tcgen05.cp in every shape, its formats, tcgen05.shift, and their order with what else touches
// shared and tensor memory.
#include <gtest/gtest.h>

#include "tests/emulator/machine/tensor_kernel.h"

namespace nibble::emulator {
namespace {

constexpr uint32_t kUntouched = 0xDEADBEEF;

struct Case {
  const char* shape;  // with its multicast
  uint32_t rows, words;
  std::vector<std::vector<uint32_t>> lanes;  // quarters (of row / 32) that rows go to
};

const Case kCases[] = {
    {"128x256b", 128, 8, {{0}, {1}, {2}, {3}}},
    {"128x128b", 128, 4, {{0}, {1}, {2}, {3}}},
    {"64x128b.warpx2::02_13", 64, 4, {{0, 2}, {1, 3}}},
    {"64x128b.warpx2::01_23", 64, 4, {{0, 1}, {2, 3}}},
    {"32x128b.warpx4", 32, 4, {{0, 1, 2, 3}}},
};

uint32_t word(uint32_t block, uint32_t row, uint32_t i) {
  return block << 24 | row << 8 | i | 0x800000;
}

// Core matrices of 8 rows of 16 bytes, 128 bytes apart along rows, 2048 along k.
uint64_t bit_of(uint32_t row, uint32_t word) {
  return (row * 16u + word / 4 * 2048 + word % 4 * 4) * 8u;
}
constexpr uint64_t kRest = uint64_t{1} << 46 | uint64_t{128 >> 4} << 32 | uint64_t{2048 >> 4} << 16;

TEST(Tcgen05Copy, PutsRowsInTheirLanes) {
  for (const uint32_t blocks : {1, 2}) {
    for (const Case& c : kCases) {
      TensorKernel kernel(blocks, 32, 4096);
      for (uint32_t block = 0; block < blocks; ++block) {
        for (uint32_t lane = 0; lane < 128; ++lane) {
          for (uint32_t column = 0; column < 32; ++column) {
            kernel.tensor(lane, column, block) = kUntouched;
          }
        }
        for (uint32_t row = 0; row < c.rows; ++row) {
          for (uint32_t i = 0; i < c.words; ++i) {
            kernel.put_bits(block, bit_of(row, i), 32, word(block, row, i));
          }
        }
      }
      kernel.body = TensorKernel::descriptor(10, 0, kRest) +
                    "tcgen05.cp.cta_group::" + std::to_string(blocks) + "." + c.shape +
                    " [%tmem+3], %rd10;\n";
      const auto fault = kernel.run();
      ASSERT_FALSE(fault) << fault->report;
      for (uint32_t block = 0; block < blocks; ++block) {
        for (uint32_t row = 0; row < c.rows; ++row) {
          for (const uint32_t quarter : c.lanes[row / 32]) {
            for (uint32_t i = 0; i < c.words; ++i) {
              ASSERT_EQ(kernel.tensor(quarter * 32 + row % 32, 3 + i, block), word(block, row, i))
                  << c.shape << ", row " << row << ", quarter " << quarter;
            }
          }
        }
        EXPECT_EQ(kernel.tensor(5, 2, block), kUntouched);
        EXPECT_EQ(kernel.tensor(5, 3 + c.words, block), kUntouched);
      }
    }
  }
}

TEST(Tcgen05Copy, PutsFourRowsInOneLaneOfEachQuarter) {
  TensorKernel kernel(1, 32, 4096);
  for (uint32_t row = 0; row < 4; ++row) {
    for (uint32_t i = 0; i < 8; ++i) kernel.put_bits(0, bit_of(row, i), 32, word(0, row, i));
  }
  kernel.body = TensorKernel::descriptor(10, 0, kRest) + "tcgen05.cp.cta_group::1.4x256b [%tmem+" +
                std::to_string(31u << 16) + "], %rd10;\n";
  const auto fault = kernel.run();
  ASSERT_FALSE(fault) << fault->report;
  for (uint32_t row = 0; row < 4; ++row) {
    for (uint32_t i = 0; i < 8; ++i) {
      EXPECT_EQ(kernel.tensor(31 + 32 * row, i), word(0, row, i));
      EXPECT_EQ(kernel.tensor(30 + 32 * row, i), 0u);
    }
  }
}

TEST(Tcgen05Copy, SpreadsNarrowElementsOverBytes) {
  for (const bool is_four : {true, false}) {
    TensorKernel kernel(1, 32, 4096);
    const uint32_t bits = is_four ? 4 : 6;
    const auto code = [&](uint32_t row, uint32_t i) {
      return (row * 11 + i * 5 + 3) & ((1 << bits) - 1);
    };
    for (uint32_t row = 0; row < 128; ++row) {
      for (uint32_t i = 0; i < 16; ++i)
        kernel.put_bits(0, row * 128 + i * bits, bits, code(row, i));
    }
    kernel.body = TensorKernel::descriptor(10, 0, kRest) +
                  "tcgen05.cp.cta_group::1.128x128b.b8x16." +
                  (is_four ? "b4x16_p64" : "b6x16_p32") + " [%tmem], %rd10;\n";
    const auto fault = kernel.run();
    ASSERT_FALSE(fault) << fault->report;
    for (uint32_t row = 0; row < 128; ++row) {
      for (uint32_t i = 0; i < 16; ++i) {
        const uint32_t byte = kernel.tensor(row, i / 4) >> i % 4 * 8 & 0xFF;
        ASSERT_EQ(byte, code(row, i) << (is_four ? 2 : 0)) << row << ", " << i;
      }
    }
  }
}

TEST(Tcgen05Copy, ShiftsRowsOfOneQuarter) {
  for (const uint32_t blocks : {1, 2}) {
    TensorKernel kernel(blocks, 32, 1024);
    const auto cell = [](uint32_t block, uint32_t lane, uint32_t column) {
      return block * 1000000 + lane * 1000 + column;
    };
    for (uint32_t block = 0; block < blocks; ++block) {
      for (uint32_t lane = 0; lane < 128; ++lane) {
        for (uint32_t i = 0; i < 32; ++i) kernel.tensor(lane, i, block) = cell(block, lane, i);
      }
    }
    kernel.body = "tcgen05.shift.cta_group::" + std::to_string(blocks) + ".down [%tmem+" +
                  std::to_string((32u << 16) + 8) + "];\n";
    const auto fault = kernel.run();
    ASSERT_FALSE(fault) << fault->report;
    for (uint32_t block = 0; block < blocks; ++block) {
      for (uint32_t lane = 0; lane < 128; ++lane) {
        for (uint32_t i = 0; i < 32; ++i) {
          const bool moves = lane >= 32 && lane < 63 && i >= 8 && i < 16;
          ASSERT_EQ(kernel.tensor(lane, i, block), cell(block, lane + (moves ? 1 : 0), i));
        }
      }
    }
  }
}

std::string fault_of(const std::string& body, const std::string& before_reading = "") {
  TensorKernel kernel(1, 32, 8192);
  kernel.body = body;
  kernel.before_reading = before_reading;
  const auto fault = kernel.run();
  return fault ? fault->report : "";
}

void expect_fault(const std::string& report, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    EXPECT_NE(report.find(part), std::string::npos) << part << " not in: " << report;
  }
}

const std::string kCopy = "tcgen05.cp.cta_group::1.128x256b [%tmem], %rd10;\n";

TEST(Tcgen05Copy, RefusesWhatIsOutside) {
  expect_fault(fault_of(TensorKernel::descriptor(10, 6144, kRest) + kCopy),
               {"illegal address: the source", "outside of the block's shared memory"});
  expect_fault(fault_of(TensorKernel::descriptor(10, 0, kRest) +
                        "tcgen05.cp.cta_group::1.128x256b [%tmem+28], %rd10;\n"),
               {"illegal address: a copy in columns 28 to 35", "not all allocated"});
  expect_fault(fault_of(TensorKernel::descriptor(10, 0, kRest) +
                        "tcgen05.cp.cta_group::1.128x256b [%tmem+65536], %rd10;\n"),
               {"a copy to lane 1 of tensor memory"});
  expect_fault(fault_of(TensorKernel::descriptor(10, 0, kRest & ~(uint64_t{1} << 46)) + kCopy),
               {"the source: matrix descriptor", "bits 46-48 are 0, not 0b001"});
  expect_fault(fault_of(TensorKernel::descriptor(10, 0, kRest | uint64_t{3} << 61) + kCopy),
               {"swizzle 3 (bits 61-63)"});
  expect_fault(fault_of("tcgen05.shift.cta_group::1.down [%tmem+65536];\n"),
               {"a shift from lane 1", "multiple of 32"});
}

TEST(Tcgen05Copy, RefusesHalfAFormat) {
  EXPECT_NE(fault_of("tcgen05.cp.cta_group::1.128x256b.b8x16 [%tmem], %rd10;\n")
                .find("no form for these"),
            std::string::npos);
}

TEST(Tcgen05Copy, NeedsAProxyFenceAfterGenericStores) {
  const std::string store = "st.shared.u32 [%smem+16], %r1;\n";
  const std::string copy = TensorKernel::descriptor(10, 0, kRest) + kCopy;
  expect_fault(fault_of(store + copy),
               {"missing fence.proxy.async", "tcgen05.cp", "st.shared.u32"});
  EXPECT_EQ(fault_of(store + "fence.proxy.async.shared::cta;\n" + copy), "");
}

TEST(Tcgen05Copy, MayNotBeOvertaken) {
  const std::string copy = TensorKernel::descriptor(10, 0, kRest) + kCopy;
  // Its source is written while it is on its way.
  expect_fault(
      fault_of(copy + "st.shared.u32 [%smem+16], %r1;\n"),
      {"unordered access while an asynchronous operation may be pending: writes shared memory",
       "reads it at PTX line", "tcgen05.cp"});
  // Its destination is read by warps that were let go too early.
  expect_fault(
      fault_of(copy + "mbarrier.arrive.shared::cta.b64 _, [%bar];\n"),
      {"unordered access while an asynchronous operation may be pending: reads tensor memory",
       "writes it at PTX line", "tcgen05.cp"});
}

}  // namespace
}  // namespace nibble::emulator
