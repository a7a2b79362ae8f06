// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Tensor loads, stores and reductions against a reference that looks at one element at a time and
// swizzles with the manual's tables.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>

#include "runtime/emulator/machine/tensor_map.h"
#include "tests/emulator/machine/machine.h"
#include "tests/emulator/machine/tensor_reference.h"

namespace nibble::emulator {
namespace {

using namespace tensor_reference;
using Type = TensorMap::Type;

constexpr uint32_t kThreads = 64;

// A kernel of parameters map, coordinates, data, bytes of data: shared memory holds data (poison
// for loads) before `copy`, and is written to data behind it.
std::string kernel_text(const std::string& copy, const std::string& target) {
  return ".version 8.8\n.target " + target + R"(
.address_size 64
.extern .shared .align 1024 .b8 box[];
.shared .align 8 .b64 bar;
.visible .entry test(.param .align 64 .b8 map[128], .param .align 4 .b8 c[32], .param .u64 data,
                     .param .u64 bytes, .param .u64 expected)
{
.reg .pred %p<4>; .reg .b32 %r<20>; .reg .b64 %rd<10>; .reg .b32 %c<5>;
ld.param.b32 %c0, [c]; ld.param.b32 %c1, [c+4]; ld.param.b32 %c2, [c+8]; ld.param.b32 %c3, [c+12];
ld.param.b32 %c4, [c+16];
ld.param.u64 %rd1, [data];
ld.param.u32 %r1, [bytes];
ld.param.u32 %r7, [expected];
mov.b64 %rd2, map;
cvta.param.u64 %rd2, %rd2;
mov.u32 %r2, %tid.x;
mov.u32 %r3, box;
setp.eq.u32 %p1, %r2, 0;
@%p1 mbarrier.init.shared.b64 [bar], 1;
mov.u32 %r4, %r2;
FILL:
setp.ge.u32 %p2, %r4, %r1;
@%p2 bra FILLED;
add.u32 %r5, %r3, %r4;
cvt.u64.u32 %rd3, %r4;
add.u64 %rd4, %rd1, %rd3;
ld.global.u8 %r6, [%rd4];
st.shared.u8 [%r5], %r6;
add.u32 %r4, %r4, )" +
         std::to_string(kThreads) + R"(;
bra FILL;
FILLED:
fence.proxy.async.shared::cta;
bar.sync 0;
@!%p1 bra COPIED;
)" + copy +
         R"(
COPIED:
bar.sync 0;
mov.u32 %r4, %r2;
READ:
setp.ge.u32 %p2, %r4, %r1;
@%p2 bra DONE;
add.u32 %r5, %r3, %r4;
cvt.u64.u32 %rd3, %r4;
add.u64 %rd4, %rd1, %rd3;
ld.shared.u8 %r6, [%r5];
st.global.u8 [%rd4], %r6;
add.u32 %r4, %r4, )" +
         std::to_string(kThreads) + R"(;
bra READ;
DONE:
ret;
}
)";
}

std::string coordinate_list(uint32_t count) {
  std::string text = "{%c0";
  for (uint32_t i = 1; i < count; ++i) text += ", %c" + std::to_string(i);
  return text + "}";
}

std::string load_text(uint32_t rank, const std::string& mode = "", uint32_t coordinates = 0,
                      const std::string& offsets = "") {
  return "mbarrier.arrive.expect_tx.shared.b64 _, [bar], %r7;\n"
         "cp.async.bulk.tensor." +
         std::to_string(rank) + "d.shared::cta.global" + mode +
         ".mbarrier::complete_tx::bytes [box], [%rd2, " +
         coordinate_list(coordinates != 0 ? coordinates : rank) + "], [bar]" + offsets +
         ";\nWAIT:\nmbarrier.try_wait.parity.shared.b64 %p3, [bar], 0;\n@!%p3 bra WAIT;";
}

std::string store_text(uint32_t rank, const std::string& reduction = "",
                       const std::string& mode = "", uint32_t coordinates = 0) {
  return (reduction.empty() ? "cp.async" : "cp.reduce.async") + std::string(".bulk.tensor.") +
         std::to_string(rank) + "d.global.shared::cta" + reduction + mode + ".bulk_group [%rd2, " +
         coordinate_list(coordinates != 0 ? coordinates : rank) +
         "], [box];\ncp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;";
}

struct Outcome {
  std::optional<Fault> fault;
  Bytes tensor, shared;
};

Outcome run(const Case& test, const std::string& copy, const Bytes& tensor, const Bytes& shared,
            const std::string& target, uint64_t seed = 0) {
  Settings settings;
  settings.seed = seed;
  Machine machine(target, settings);
  Outcome outcome;
  EXPECT_TRUE(machine.load(kernel_text(copy, target))) << machine.error;
  if (machine.program == nullptr) return outcome;
  const uint64_t address = machine.buffer(tensor), data = machine.buffer(shared);
  TensorMap map = test.map;
  map.address = address;
  std::vector<uint64_t> parameters(TensorMap::kWords);
  encode(map, parameters.data());
  parameters.resize(parameters.size() + 4);
  std::memcpy(parameters.data() + TensorMap::kWords, test.start.data(), sizeof test.start);
  parameters.push_back(data);
  parameters.push_back(shared.size());
  parameters.push_back(uint64_t{test.elements} * bits_of(map.type) / 8);
  outcome.fault = machine.run("test", {1, 1, 1}, {kThreads, 1, 1}, parameters, {1, 1, 1},
                              static_cast<uint32_t>(shared.size()));
  outcome.tensor = machine.read<uint8_t>(address, tensor.size());
  outcome.shared = machine.read<uint8_t>(data, shared.size());
  return outcome;
}

class RandomTensors : public testing::TestWithParam<uint32_t> {};

TEST_P(RandomTensors, LoadLikeTheReference) {
  Draw draw(GetParam());
  const bool blackwell = GetParam() % 2 == 1;
  const TensorMap map = draw.map(blackwell, false);
  const Case test = make_case(map, draw.start(map, false));
  const Bytes tensor = draw.bytes(test.bytes);
  const Outcome got = run(test, load_text(map.rank), tensor, Bytes(test.shared, kPoison),
                          blackwell ? "sm_100a" : "sm_90a", GetParam());
  ASSERT_FALSE(got.fault) << got.fault->report;
  EXPECT_EQ(got.tensor, tensor);
  EXPECT_EQ(got.shared, expected_load(test, tensor)) << "type " << name_of(map.type);
}

TEST_P(RandomTensors, StoreLikeTheReference) {
  Draw draw(1000 + GetParam());
  const bool blackwell = GetParam() % 2 == 1;
  const TensorMap map = draw.map(blackwell, true);
  const Case test = make_case(map, draw.start(map, true));
  const Bytes tensor = draw.bytes(test.bytes), shared = draw.bytes(test.shared);
  const Outcome got =
      run(test, store_text(map.rank), tensor, shared, blackwell ? "sm_100a" : "sm_90a");
  ASSERT_FALSE(got.fault) << got.fault->report;
  EXPECT_EQ(got.shared, shared);
  const Bytes plain = swizzle(map, shared);  // the tables are their own inverses
  Bytes expected = tensor;
  const uint32_t bits = bits_of(map.type);
  each_element(map, test.start, [&](uint64_t index, int64_t bit) {
    if (bit < 0) return;
    const uint64_t from = map.type == Type::kU6Padded ? index * 8 : shared_bit(map.type, index);
    put(expected, static_cast<uint64_t>(bit), bits, get(plain, from, bits));
  });
  EXPECT_EQ(got.tensor, expected) << "type " << name_of(map.type);
}

INSTANTIATE_TEST_SUITE_P(TensorCopy, RandomTensors, testing::Range(0u, 120u));

TensorMap simple_map(Type type, uint32_t columns, uint32_t rows, uint32_t box_columns,
                     uint32_t box_rows) {
  TensorMap map;
  map.type = type;
  map.rank = 2;
  map.sizes = {columns, rows};
  map.strides = {uint64_t{columns} * bits_of(type) / 8};
  map.box = {box_columns, box_rows};
  map.element_strides = {1, 1, 1, 1, 1};
  return map;
}

TEST(TensorCopy, ReducesIntegersAndClips) {
  const Case test = make_case(simple_map(Type::kU32, 20, 7, 8, 4), {16, 5});
  Draw draw(1);
  const Bytes tensor = draw.bytes(test.bytes), shared = draw.bytes(test.shared);
  struct Op {
    const char* text;
    std::function<uint32_t(uint32_t, uint32_t)> f;
  };
  const Op ops[] = {
      {".add", [](uint32_t a, uint32_t b) { return a + b; }},
      {".min", [](uint32_t a, uint32_t b) { return std::min(a, b); }},
      {".max", [](uint32_t a, uint32_t b) { return std::max(a, b); }},
      {".inc", [](uint32_t a, uint32_t b) { return a >= b ? 0 : a + 1; }},
      {".dec", [](uint32_t a, uint32_t b) { return a == 0 || a > b ? b : a - 1; }},
      {".and", [](uint32_t a, uint32_t b) { return a & b; }},
      {".or", [](uint32_t a, uint32_t b) { return a | b; }},
      {".xor", [](uint32_t a, uint32_t b) { return a ^ b; }},
  };
  for (const Op& op : ops) {
    const Outcome got = run(test, store_text(2, op.text), tensor, shared, "sm_90a");
    ASSERT_FALSE(got.fault) << got.fault->report;
    Bytes expected = tensor;
    each_element(test.map, test.start, [&](uint64_t index, int64_t bit) {
      if (bit < 0) return;
      const auto old = static_cast<uint32_t>(get(tensor, static_cast<uint64_t>(bit), 32));
      put(expected, static_cast<uint64_t>(bit), 32,
          op.f(old, static_cast<uint32_t>(get(shared, index * 32, 32))));
    });
    EXPECT_EQ(got.tensor, expected) << op.text;
  }
}

TEST(TensorCopy, GathersAndScattersRows) {
  TensorMap map = simple_map(Type::kBf16, 96, 11, 64, 1);
  map.swizzle = Swizzle::k128B;
  Draw draw(2);
  Case test = make_case(map, {});
  const Bytes tensor = draw.bytes(test.bytes);
  test.start = {48, 3, 10, 11, 0};  // the third row is outside, columns from 96 on too
  test.elements = 4 * 64;
  test.shared = 4 * 128;
  Bytes plain(test.shared, 0);
  for (uint32_t row = 0; row < 4; ++row) {
    for (uint32_t i = 0; i < 48 && test.start[1 + row] < 11; ++i) {
      const auto from = static_cast<uint64_t>(test.start[1 + row] * 96 + 48) + i;
      put(plain, (row * 64 + i) * 16, 16, get(tensor, from * 16, 16));
    }
  }
  const Outcome got =
      run(test, load_text(2, ".tile::gather4", 5), tensor, Bytes(test.shared, kPoison), "sm_100a");
  ASSERT_FALSE(got.fault) << got.fault->report;
  EXPECT_EQ(got.shared, swizzle(map, plain));
  const Bytes shared = draw.bytes(test.shared);
  const Bytes rows = swizzle(map, shared);
  Bytes expected = tensor;
  for (uint32_t row = 0; row < 4; ++row) {
    for (uint32_t i = 0; i < 48 && test.start[1 + row] < 11; ++i) {
      const auto to = static_cast<uint64_t>(test.start[1 + row] * 96 + 48) + i;
      put(expected, to * 16, 16, get(rows, (row * 64 + i) * 16, 16));
    }
  }
  const Outcome stored =
      run(test, store_text(2, "", ".tile::scatter4", 5), tensor, shared, "sm_100a");
  ASSERT_FALSE(stored.fault) << stored.fault->report;
  EXPECT_EQ(stored.tensor, expected);
}

// C, W, H, N with a filter of 3x2 over a padded image, strides 2 and 1: the pixels that a
// convolution's output wants, one after another.
TEST(TensorCopy, Im2colWalksTheBoundingBox) {
  TensorMap map;
  map.mode = TensorMap::Mode::kIm2col;
  map.type = Type::kU16;
  map.rank = 4;
  map.sizes = {16, 7, 5, 3};
  map.strides = {32, 32 * 7, 32 * 7 * 5};
  map.box = {8, 1, 1, 1};
  map.pixels = 29;
  map.element_strides = {1, 2, 1, 1};
  map.lower = {-1, -1};
  map.upper = {-1, 0};  // the pad less the filter's reach
  Draw draw(3);
  Case test;
  test.map = map;
  test.bytes = 32 * 7 * 5 * 3;
  test.start = {8, 3, 2, 1};
  test.elements = 29 * 8;
  test.shared = test.elements * 2;
  const Bytes tensor = draw.bytes(test.bytes);
  Bytes expected(test.shared, 0);
  // Outputs: W from -1 in steps of 2 up to 5, H from -1 up to 4, then the next image.
  std::vector<std::array<int, 3>> bases;
  for (int n = 0; n < 4; ++n)
    for (int h = -1; h <= 4; ++h)
      for (int w = -1; w <= 5; w += 2) bases.push_back({w, h, n});
  const auto first = std::find(bases.begin(), bases.end(), std::array<int, 3>{3, 2, 1});
  for (uint32_t pixel = 0; pixel < 29; ++pixel) {
    std::array<int, 3> at = {0, 0, 99};
    if (first + pixel < bases.end()) at = first[pixel];
    const int w = at[0] + 2, h = at[1] + 1;
    if (w < 0 || w >= 7 || h < 0 || h >= 5 || at[2] >= 3) continue;
    for (uint32_t c = 0; c < 8; ++c) {
      const auto from = static_cast<uint64_t>(((at[2] * 5 + h) * 7 + w) * 16 + 8) + c;
      put(expected, (pixel * 8 + c) * 16, 16, get(tensor, from * 16, 16));
    }
  }
  const Outcome got = run(test, load_text(4, ".im2col", 4, ", {2, 1}"), tensor,
                          Bytes(test.shared, kPoison), "sm_90a");
  ASSERT_FALSE(got.fault) << got.fault->report;
  EXPECT_EQ(got.shared, expected);
}

void expect_fault(const Case& test, const std::string& copy, const std::string& what,
                  const std::string& target = "sm_100a") {
  const Bytes tensor(std::max<uint64_t>(test.bytes, 16), 1);
  const Outcome got = run(test, copy, tensor, Bytes(test.shared, kPoison), target);
  ASSERT_TRUE(got.fault) << what;
  EXPECT_NE(got.fault->report.find(what), std::string::npos) << got.fault->report;
  EXPECT_NE(got.fault->report.find("cp."), std::string::npos) << got.fault->report;
}

TEST(TensorCopy, FaultsNameTheRule) {
  const Case plain = make_case(simple_map(Type::kU32, 32, 8, 8, 4), {0, 0});
  Case test = plain;
  expect_fault(test, load_text(3), "has rank 2, the instruction 3 dimensions");
  test.map.box[0] = 3;
  expect_fault(test, load_text(2), "a row of the box must be a multiple of 16 bytes");
  test = plain;
  test.map.swizzle = Swizzle::k32B;
  test.map.box[0] = 16;
  test.shared *= 2;
  expect_fault(test, load_text(2), "must fit the swizzle's span");
  test = plain;
  test.map.sizes[1] = 9;  // one row more than there is memory
  test.map.strides[0] = 1 << 20;
  expect_fault(test, load_text(2), "illegal address");
  test = plain;
  test.start = {-4, 0};
  expect_fault(test, store_text(2), "coordinate 0 of a store is -4");
  test.start = {2, 0};
  expect_fault(test, load_text(2),
               "the first coordinate is 2; of type u32 it must be a multiple of 4");
  test = plain;
  test.map.rank = 3;
  test.map.sizes[2] = test.map.box[2] = 1;
  expect_fault(test, load_text(3, ".im2col", 3, ", {0}"), "the map is one of tile mode", "sm_90a");
}

TEST(TensorCopy, FaultsOfTypes) {
  Case test = make_case(simple_map(Type::kU4Packed, 64, 8, 32, 4), {1, 0});
  expect_fault(test, load_text(2), "must be a multiple of 32");
  expect_fault(test, load_text(2), "sm_90 has no tensor map of type b4x16", "sm_90a");
  test = make_case(simple_map(Type::kU4Padded, 128, 8, 128, 4), {0, 0});
  expect_fault(test, store_text(2), "b4x16_p64 is for loads alone");
  test.start[0] = 64;
  expect_fault(test, load_text(2), "must be a multiple of 128");
  test = make_case(simple_map(Type::kF64, 32, 8, 8, 4), {0, 0});
  expect_fault(test, store_text(2, ".add"), "no reduction add of type f64");
  test = make_case(simple_map(Type::kF16, 32, 8, 8, 2), {0, 0});
  expect_fault(test, load_text(2, ".tile::gather4", 5), "need a box of 1 row, not 2");
}

}  // namespace
}  // namespace nibble::emulator
