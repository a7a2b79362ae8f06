// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// tcgen05.ld, .st, .ld.red and .wait: which cell each register of each thread holds, by the layouts
// of figures 183 to 187 written as strides in bits; and the rules about lanes, addresses and waits.
#include <gtest/gtest.h>

#include <bit>

#include "tests/emulator/machine/tensor_kernel.h"

namespace nibble::emulator {
namespace {

struct Factor {
  uint32_t size, stride;
};

struct Shape {
  const char* name;
  uint32_t lanes, row_bits;  // of .x1
  uint32_t registers;        // of .x1
};
constexpr Shape k16x64b = {"16x64b", 16, 64, 1};
constexpr Shape k16x128b = {"16x128b", 16, 128, 2};
constexpr Shape k16x256b = {"16x256b", 16, 256, 4};
constexpr Shape k32x32b = {"32x32b", 32, 32, 1};
constexpr Shape k16x32bx2 = {"16x32bx2", 16, 64, 1};

struct Case {
  Shape shape;
  uint32_t count;
  bool packs = false;
  bool upper = false;  // lanes 16 to 31 of each quarter
  uint32_t split() const { return count * (packs ? 2 : 1) + 3; }
  uint32_t registers() const { return shape.registers * count; }
};

uint32_t offset(const std::vector<Factor>& factors, uint32_t index) {
  uint32_t sum = 0;
  for (const Factor& factor : factors) {
    sum += index % factor.size * factor.stride;
    index /= factor.size;
  }
  return sum;
}

// Bit of a thread's register in the rows, one after the other.
uint32_t bit_of(const Case& c, uint32_t thread, uint32_t i) {
  const uint32_t row = c.shape.row_bits * c.count, n = c.count;
  const std::string shape = c.shape.name;
  if (shape == "16x64b") {
    return offset({{2, 8 * row}, {2, 32}, {8, row}}, thread) + offset({{n, 64}}, i);
  }
  if (shape == "16x128b") {
    return offset({{4, 32}, {8, row}}, thread) + offset({{2, 8 * row}, {n, 128}}, i);
  }
  if (shape == "16x256b") {
    return offset({{4, 64}, {8, row}}, thread) + offset({{2, 32}, {2, 8 * row}, {n, 256}}, i);
  }
  if (shape == "16x32bx2") return offset({{16, row}, {2, 32 * n}}, thread) + offset({{n, 32}}, i);
  return offset({{32, row}}, thread) + offset({{n, 32}}, i);
}

// Lane in the quarter and column from the base, of the low half where two columns are packed.
std::pair<uint32_t, uint32_t> cell_of(const Case& c, uint32_t thread, uint32_t i) {
  const uint32_t row = c.shape.row_bits * c.count, bit = bit_of(c, thread, i);
  uint32_t column = bit % row / 32;
  if (c.shape.name == k16x32bx2.name) {
    const bool is_second = column >= c.count;
    column %= c.count;
    return {bit / row + (c.upper ? 16 : 0),
            column * (c.packs ? 2 : 1) + (is_second ? c.split() : 0)};
  }
  return {bit / row + (c.upper ? 16 : 0), column * (c.packs ? 2 : 1)};
}

std::string registers(uint32_t count) {
  std::string list;
  for (uint32_t i = 0; i < count; ++i) list += (i == 0 ? "{%x" : ", %x") + std::to_string(i);
  return list + "}";
}

uint32_t fill(uint32_t lane, uint32_t column) {
  return lane * 0x01000193u + column * 0x9E3779B1u + 77;
}

constexpr uint32_t kColumns = 512, kCopy = 384;

class Tcgen05Shapes : public testing::TestWithParam<Case> {
 public:
  void fill_all() {
    for (uint32_t lane = 0; lane < 128; ++lane) {
      for (uint32_t column = 0; column < kColumns; ++column) {
        kernel.tensor(lane, column) = fill(lane, column);
      }
    }
  }
  // The shape's access at column 5.
  std::string address() const {
    const Case& c = GetParam();
    return "[%mine+" + std::to_string((c.upper ? 16u << 16 : 0u) + 5) + "]";
  }
  std::string split() const {
    const Case& c = GetParam();
    return c.shape.name == k16x32bx2.name ? ", " + std::to_string(c.split()) : "";
  }
  std::string start(const char* name, const char* pack) const {
    const Case& c = GetParam();
    return std::string("tcgen05.") + name + ".sync.aligned." + c.shape.name + ".x" +
           std::to_string(c.count) + (c.packs ? pack : "") + ".b32 ";
  }
  TensorKernel kernel{1, kColumns, 1024};
};

TEST_P(Tcgen05Shapes, Loads) {
  const Case& c = GetParam();
  fill_all();
  const std::string list = registers(c.registers()), plain = std::to_string(c.registers());
  kernel.before_reading = "{\n.reg .b32 %x<128>;\n" + start("ld", ".pack::16b") + list + ", " +
                          address() + split() + ";\ntcgen05.wait::ld.sync.aligned;\n" +
                          "tcgen05.st.sync.aligned.32x32b.x" + plain + ".b32 [%mine+384], " + list +
                          ";\ntcgen05.wait::st.sync.aligned;\n}\n";
  const auto fault = kernel.run();
  ASSERT_FALSE(fault) << fault->report;
  for (uint32_t thread = 0; thread < 128; ++thread) {
    for (uint32_t i = 0; i < c.registers(); ++i) {
      const auto [row, column] = cell_of(c, thread % 32, i);
      const uint32_t lane = thread / 32 * 32 + row;
      const uint32_t want = c.packs
                                ? (fill(lane, 5 + column) & 0xFFFF) | fill(lane, 6 + column) << 16
                                : fill(lane, 5 + column);
      ASSERT_EQ(kernel.tensor(thread, kCopy + i), want) << thread << ", " << i;
    }
  }
}

TEST_P(Tcgen05Shapes, Stores) {
  const Case& c = GetParam();
  fill_all();
  const std::string list = registers(c.registers()), plain = std::to_string(c.registers());
  kernel.before_reading = "{\n.reg .b32 %x<128>;\ntcgen05.ld.sync.aligned.32x32b.x" + plain +
                          ".b32 " + list + ", [%mine+384];\ntcgen05.wait::ld.sync.aligned;\n" +
                          start("st", ".unpack::16b") + address() + split() + ", " + list +
                          ";\ntcgen05.wait::st.sync.aligned;\n}\n";
  const auto fault = kernel.run();
  ASSERT_FALSE(fault) << fault->report;
  for (uint32_t thread = 0; thread < 128; ++thread) {
    for (uint32_t i = 0; i < c.registers(); ++i) {
      const auto [row, column] = cell_of(c, thread % 32, i);
      const uint32_t lane = thread / 32 * 32 + row, value = fill(thread, kCopy + i);
      ASSERT_EQ(kernel.tensor(lane, 5 + column), c.packs ? value & 0xFFFF : value) << thread;
      ASSERT_EQ(kernel.tensor(lane, 6 + column),
                c.packs ? value >> 16 : kernel.tensor(lane, 6 + column));
    }
  }
}

const Case kCases[] = {
    {k32x32b, 1},
    {k32x32b, 8},
    {k32x32b, 128},
    {k32x32b, 4, true},
    {k16x64b, 1},
    {k16x64b, 2},
    {k16x64b, 128},
    {k16x64b, 4, true, true},
    {k16x128b, 1},
    {k16x128b, 4, false, true},
    {k16x128b, 64},
    {k16x128b, 2, true},
    {k16x256b, 1},
    {k16x256b, 8},
    {k16x256b, 32},
    {k16x256b, 2, true, true},
    {k16x32bx2, 1},
    {k16x32bx2, 16},
    {k16x32bx2, 64, false, true},
    {k16x32bx2, 8, true},
};
INSTANTIATE_TEST_SUITE_P(All, Tcgen05Shapes, testing::ValuesIn(kCases), [](const auto& info) {
  const Case& c = info.param;
  return std::string("_") + c.shape.name + "_x" + std::to_string(c.count) +
         (c.packs ? "_packed" : "") + (c.upper ? "_upper" : "");
});

TEST(Tcgen05Reduce, TakesTheLargestOfEachLane) {
  struct Reduction {
    const char* text;
    const char* operands;
    uint32_t want;
  };
  // Lane values: columns 0 to 3 are -3, NaN, 2, -7.
  const uint32_t values[] = {0xC0400000, 0x7FC00000, 0x40000000, 0xC0E00000};
  const Reduction reductions[] = {
      {"32x32b.x4.max.f32", "", 0x40000000},     {"32x32b.x4.min.f32", "", 0xC0E00000},
      {"32x32b.x4.max.abs.f32", "", 0x40E00000}, {"32x32b.x4.min.abs.f32", "", 0x40000000},
      {"32x32b.x4.max.NaN.f32", "", 0x7FFFFFFF}, {"32x32b.x4.max.u32", "", 0xC0E00000},
      {"32x32b.x4.min.u32", "", 0x40000000},     {"32x32b.x4.max.s32", "", 0x7FC00000},
      {"32x32b.x4.min.s32", "", 0xC0400000},     {"16x32bx2.x2.max.f32", ", 2", 0},
      {"16x32bx2.x2.min.u32", ", 2", 0},         {"16x32bx2.x2.max.s32", ", 2", 0},
  };
  for (const Reduction& reduction : reductions) {
    TensorKernel kernel(1, 32, 1024);
    kernel.target = "sm_103a";
    for (uint32_t lane = 0; lane < 128; ++lane) {
      for (uint32_t column = 0; column < 4; ++column) kernel.tensor(lane, column) = values[column];
    }
    const bool is_split = reduction.operands[0] != 0;
    kernel.before_reading = std::string("{\n.reg .b32 %x<8>;\ntcgen05.ld.red.sync.aligned.") +
                            reduction.text + " " + registers(is_split ? 2 : 4) + ", %x7, [%mine]" +
                            reduction.operands +
                            ";\ntcgen05.wait::ld.sync.aligned;\n"
                            "tcgen05.st.sync.aligned.32x32b.x1.b32 [%mine+8], {%x7};\n"
                            "tcgen05.wait::st.sync.aligned;\n}\n";
    const auto fault = kernel.run();
    ASSERT_FALSE(fault) << fault->report;
    if (!is_split) {
      for (uint32_t lane = 0; lane < 128; ++lane) {
        EXPECT_EQ(kernel.tensor(lane, 8), reduction.want) << reduction.text << ", lane " << lane;
      }
      continue;
    }
    // Threads 0-15 have columns 0 and 1, threads 16-31 columns 2 and 3.
    const std::string text = reduction.text;
    const uint32_t low = text.find("f32") != text.npos ? 0xC0400000 : 0x7FC00000;
    const uint32_t high = 0x40000000;
    EXPECT_EQ(kernel.tensor(33, 8), low) << text;
    EXPECT_EQ(kernel.tensor(33 + 16, 8), high) << text;
  }
}

// What is wrong with a kernel whose warps execute `text` before they read tensor memory back.
std::string fault_of(const std::string& text, bool checks_waits = false) {
  TensorKernel kernel(1, 32, 1024);
  kernel.settings.check_tensor_waits = checks_waits;
  kernel.before_reading = "{\n.reg .b32 %x<16>; .reg .b64 %y<4>;\n" + text + "}\n";
  const auto fault = kernel.run();
  return fault ? fault->report : "";
}

TEST(Tcgen05Access, RefusesOtherLanesAndColumns) {
  const std::string load = "tcgen05.ld.sync.aligned.32x32b.x1.b32 {%x0}, ";
  const std::string wait = ";\ntcgen05.wait::ld.sync.aligned;\n";
  EXPECT_EQ(fault_of(load + "[%tmem]" + wait), "");  // the warp's lanes are meant
  EXPECT_NE(fault_of("add.u32 %x1, %tmem, 0x200000;\n" + load + "[%x1]" + wait)
                .find("of tensor memory, not lane 32"),
            std::string::npos);
  EXPECT_NE(fault_of(load + "[%mine+" + std::to_string(16u << 16) + "]" + wait)
                .find("begins at a multiple of 32"),
            std::string::npos);
  EXPECT_NE(fault_of(load + "[%mine+32]" + wait).find("which are not all allocated"),
            std::string::npos);
  EXPECT_NE(fault_of("add.u32 %x1, %mine, %r1;\n" + load + "[%x1]" + wait)
                .find("all threads of the warp must have the same"),
            std::string::npos);
}

TEST(Tcgen05Access, FindsAMissingWait) {
  const std::string load = "tcgen05.ld.sync.aligned.32x32b.x2.b32 {%x0, %x1}, [%mine];\n";
  const std::string wait = "tcgen05.wait::ld.sync.aligned;\n";
  const std::string missing = "missing tcgen05.wait::ld";
  const auto found = [&](const std::string& text) {
    const std::string report = fault_of(text, true);
    return report.find(missing) != std::string::npos ? "found" : report;
  };
  EXPECT_EQ(found(load + "add.u32 %x2, %x0, 1;\n" + wait), "found");
  EXPECT_EQ(found(load + "mov.b32 %x3, %x1;\nadd.u32 %x2, %x3, 1;\n" + wait), "found");
  EXPECT_EQ(found(load + "mov.b64 %y0, {%x0, %x1};\nadd.u64 %y1, %y0, 1;\n" + wait), "found");
  EXPECT_EQ(found(load + "@%p2 bra AROUND;\n@%p1 bra OVER;\nAROUND: " + wait +
                  "OVER: add.u32 %x2, %x0, 1;\n" + wait),
            "found");
  // As compilers do it: copies first, the wait in a later statement.
  EXPECT_EQ(found(load + "mov.b32 %x3, %x1;\n" + wait + "add.u32 %x2, %x3, %x0;\n"), "");
  // Overwritten before it is read; a path that waits.
  EXPECT_EQ(found(load + "mov.b32 %x0, 5;\nadd.u32 %x2, %x0, 1;\n" + wait), "");
  EXPECT_EQ(found(load + "@%p1 bra AROUND;\n@%p2 bra OVER;\nAROUND: " + wait +
                  "OVER: add.u32 %x2, %x0, 1;\n" + wait),
            "");
  // Loads of a loop's next turn, waited for at its end.
  EXPECT_EQ(found("mov.b32 %x5, 0;\n" + load + wait + "AGAIN: add.u32 %x2, %x0, %x1;\n" + load +
                  "add.u32 %x5, %x5, 1;\n" + wait + "setp.lt.u32 %p4, %x5, 4;\n@%p4 bra AGAIN;\n"),
            "");
  // Legal unless asked for.
  EXPECT_EQ(fault_of(load + "add.u32 %x2, %x0, 1;\n" + wait), "");
  const std::string report = fault_of(load + "add.u32 %x2, %x0, 1;\n" + wait, true);
  EXPECT_NE(report.find("written at PTX line"), std::string::npos) << report;
  EXPECT_NE(report.find("tcgen05.ld.sync.aligned.32x32b.x2.b32"), std::string::npos) << report;
  EXPECT_NE(report.find("add.u32 %x2, %x0, 1"), std::string::npos) << report;
}

void erase_lines(std::string& text, const std::string& with) {
  for (size_t at; (at = text.find(with)) != std::string::npos;) {
    text.erase(at, text.find('\n', at) + 1 - at);
  }
}

// All warps load, then warp 0 deallocates: the loads have to be over, by a wait or by a use.
TEST(Tcgen05Access, EndsALoadAtItsFirstUse) {
  for (const bool has_use : {true, false}) {
    std::string text = TensorKernel(1, 32, 1024).text();
    erase_lines(text, "tcgen05.wait::ld");
    if (!has_use) erase_lines(text, "st.global");
    Machine machine("sm_100a");
    ASSERT_TRUE(machine.load(text)) << machine.error;
    const uint64_t a = machine.buffer(std::vector<uint32_t>(256));
    const uint64_t b = machine.buffer(std::vector<uint32_t>(128 * 32));
    const auto fault = machine.run("test", {1, 1, 1}, {128, 1, 1}, {a, b}, {1, 1, 1}, 1024);
    if (has_use) {
      EXPECT_FALSE(fault) << fault->report;
      continue;
    }
    ASSERT_TRUE(fault);
    EXPECT_NE(fault->report.find("reads it at PTX line"), std::string::npos) << fault->report;
    EXPECT_NE(fault->report.find("tcgen05.dealloc"), std::string::npos) << fault->report;
  }
}

// Two loads; the registers of one are used, then warp 0 deallocates.
TEST(Tcgen05Access, AUseEndsNoLaterLoad) {
  for (const bool uses_later : {true, false}) {
    const std::string first = "tcgen05.ld.sync.aligned.32x32b.x2.b32 {%x0, %x1}, [%mine];\n";
    const std::string second = "tcgen05.ld.sync.aligned.32x32b.x2.b32 {%x2, %x3}, [%mine+2];\n";
    TensorKernel kernel(1, 32, 1024);
    kernel.before_reading = "{\n.reg .b32 %x<16>;\n" + first + second +
                            (uses_later ? "add.u32 %x4, %x2, 1;\n" : "add.u32 %x4, %x0, 1;\n") +
                            "}\n";
    std::string text = kernel.text();
    const size_t reading = text.find("add.u32 %x4");
    std::string tail = text.substr(reading);
    erase_lines(tail, "tcgen05.ld.");
    erase_lines(tail, "tcgen05.wait::ld");
    erase_lines(tail, "st.global");
    Machine machine("sm_100a");
    ASSERT_TRUE(machine.load(text.substr(0, reading) + tail)) << machine.error;
    const uint64_t a = machine.buffer(std::vector<uint32_t>(256));
    const uint64_t b = machine.buffer(std::vector<uint32_t>(128 * 32));
    const auto fault = machine.run("test", {1, 1, 1}, {128, 1, 1}, {a, b}, {1, 1, 1}, 1024);
    EXPECT_EQ(fault.has_value(), !uses_later) << (fault ? fault->report : "");
    if (fault) {
      EXPECT_NE(fault->report.find("[%mine+2]"), std::string::npos) << fault->report;
    }
  }
}

}  // namespace
}  // namespace nibble::emulator
