// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Every kind of tcgen05.mma in every layout: matrices are placed by the formulas of PTX ISA 9.7.16,
// multiplied as integers, and results are looked for where the manual says they are.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <ostream>

#include "tests/emulator/machine/tensor_kernel.h"

namespace nibble::emulator {
namespace {

// A format: codes of 0, 1 and 2, its width, the code of its type in the instruction descriptor.
struct Element {
  const char* name;
  uint32_t bits, code, values[3];
  bool has_sign = true;
};
constexpr Element kF16 = {"f16", 16, 0, {0, 0x3C00, 0x4000}};
constexpr Element kBf16 = {"bf16", 16, 1, {0, 0x3F80, 0x4000}};
constexpr Element kTf32 = {"tf32", 32, 2, {0, 0x3F800000, 0x40000000}};
constexpr Element kE4m3 = {"e4m3", 8, 0, {0, 0x38, 0x40}};
constexpr Element kE5m2 = {"e5m2", 8, 1, {0, 0x3C, 0x40}};
constexpr Element kE2m3 = {"e2m3", 6, 3, {0, 0x08, 0x10}};
constexpr Element kE3m2 = {"e3m2", 6, 4, {0, 0x0C, 0x10}};
constexpr Element kE2m1 = {"e2m1", 4, 5, {0, 2, 4}};
constexpr Element kPacked = {"e2m1packed", 4, 1, {0, 2, 4}};
constexpr Element kU8 = {"u8", 8, 0, {0, 1, 2}, false};
constexpr Element kS8 = {"s8", 8, 1, {0, 1, 2}};

struct Case {
  const char* kind;  // modifiers from .kind on
  Element a, b;
  uint32_t group, m, n, k;
  bool is_stationary = false;
  bool has_tensor_a = false;
  bool transposes = false;  // both, where they are in shared memory
  bool is_sparse = false;
  uint32_t d_type = 1;       // f16 0, f32 1, s32 2
  uint32_t scale_block = 0;  // of stored elements
  uint32_t lane = 0;         // of half layouts
  bool negates = false;
  const char* tail = "";       // behind the predicate
  const char* modifiers = "";  // behind the kind
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.kind << c.modifiers; }

std::string name_of(const Case& c) {
  std::string text = std::string(c.kind) + "_" + c.a.name + "_" + c.b.name + "_cg" +
                     std::to_string(c.group) + "_" + std::to_string(c.m) + "x" +
                     std::to_string(c.n) + "x" + std::to_string(c.k);
  for (const auto& [has, what] : {std::pair{c.is_stationary, "_ws"},
                                  {c.has_tensor_a, "_tensor"},
                                  {c.transposes, "_transposed"},
                                  {c.is_sparse, "_sp"},
                                  {c.negates, "_negated"},
                                  {c.lane != 0, "_lane16"}}) {
    if (has) text += what;
  }
  text += "_d" + std::to_string(c.d_type);
  for (char& letter : text) {
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0) letter = '_';
  }
  return text;
}

int value(const Element& element, uint32_t row, uint32_t k, uint32_t salt) {
  const int drawn = static_cast<int>((row * 7 + k * 3 + salt + row * k + row / 32) % 5) - 2;
  return element.has_sign ? drawn : std::abs(drawn);
}

uint32_t code(const Element& element, int value) {
  if (element.code == kS8.code && element.bits == 8 && element.values[1] == 1) {
    return static_cast<uint32_t>(value) & 0xFF;
  }
  return element.values[std::abs(value)] | (value < 0 ? 1u << (element.bits - 1) : 0u);
}

int scale_power(uint32_t row, uint32_t block) {
  return static_cast<int>((row * 5 + block * 3 + row / 32) % 4) - 1;
}

class Tcgen05Layout : public testing::TestWithParam<Case> {
 public:
  static constexpr uint32_t kB = 16384, kMatrixBytes = 49152;
  static constexpr uint32_t kA = 256, kScalesA = 288, kScalesB = 304, kMeta = 320;

  const Case& c = GetParam();
  TensorKernel kernel{c.group, 352, kMatrixBytes};

  uint32_t block_rows() const { return c.m / c.group; }
  uint32_t stored_k() const { return c.is_sparse ? c.k / 2 : c.k; }
  uint32_t parts() const {
    if (c.is_stationary) return 128 / c.m;
    return c.group == 2 && c.m == 128 && !c.is_sparse ? 2 : 1;
  }
  bool is_half() const { return block_rows() == 64 && parts() == 1; }
  uint32_t lane_of(uint32_t row, uint32_t part) const {
    if (is_half()) return 32 * (row / 16) + row % 16 + c.lane;
    return row + part * (128 / parts());
  }
  bool is_padded(const Element& element) const {
    return element.bits < 8 && element.name != kPacked.name;
  }

  // Bit offset of an element in 128-byte swizzled rows; transposed: k is the slow dimension.
  uint64_t bit_of(const Element& element, uint32_t row, uint32_t k, uint32_t k_count) const {
    if (!c.transposes) {
      const uint32_t bit =
          is_padded(element) ? k / 16 * 128 + k % 16 * element.bits : k * element.bits;
      const uint32_t at = row / 8 * 1024 + row % 8 * 128 + bit / 8;
      return uint64_t{at ^ (at >> 7 & 7) << 4} * 8 + bit % 8;
    }
    const uint32_t bytes = element.bits / 8, wide = 128 / bytes;
    const uint32_t deep = element.bits == 32 ? 4 : 8;
    const uint32_t at = row % wide * bytes + k % deep * 128 + k / deep * (deep * 128) +
                        row / wide * (k_count * 128);
    const uint32_t swizzled =
        element.bits == 32 ? at ^ (at >> 7 & 3) << 5 : at ^ (at >> 7 & 7) << 4;
    return uint64_t{swizzled} * 8;
  }
  uint64_t descriptor_rest(const Element& element, uint32_t k_count) const {
    if (!c.transposes) return 0x4000404000010000;
    const uint64_t swizzle = element.bits == 32 ? 1 : 2, stride = element.bits == 32 ? 32 : 64;
    return swizzle << 61 | uint64_t{1} << 46 | stride << 32 | uint64_t{k_count * 8} << 16;
  }

  // Where the i-th stored element of a row belongs.
  uint32_t place(uint32_t row, uint32_t i) const {
    if (!c.is_sparse) return i;
    static constexpr uint32_t kPairs[][2] = {{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}};
    if (c.a.bits == 32) return i * 2 + (row + i) % 2;
    if (c.a.bits == 4 && c.k == 128) {
      const uint32_t group = i / 4;
      return group * 8 + kPairs[(row + group) % 6][i % 4 / 2] * 2 + i % 2;
    }
    return i / 2 * 4 + kPairs[(row + i / 2) % 6][i % 2];
  }
  // The metadata's four bits of a group.
  uint32_t metadata(uint32_t row, uint32_t group) const {
    if (c.a.bits == 32) return place(row, group) % 2 == 0 ? 0b0100 : 0b1110;
    if (c.a.bits == 4 && c.k == 128) {
      return place(row, group * 4) % 8 / 2 | place(row, group * 4 + 2) % 8 / 2 << 2;
    }
    return place(row, group * 2) % 4 | place(row, group * 2 + 1) % 4 << 2;
  }

  void put_a(uint32_t block, uint32_t row, uint32_t i) {
    const uint32_t m = block * block_rows() + row;
    const uint32_t bits = code(c.a, value(c.a, m, place(m, i), 0));
    if (!c.has_tensor_a)
      return kernel.put_bits(block, bit_of(c.a, row, i, stored_k()), c.a.bits, bits);
    const uint32_t width = is_padded(c.a) ? 8 : c.a.bits;
    const uint32_t up = c.a.bits == 4 && width == 8 ? 2 : 0;
    for (uint32_t part = 0; part < parts(); ++part) {
      kernel.tensor(lane_of(row, part), kA + i * width / 32, block) |= bits << up << i * width % 32;
    }
  }

  void put_metadata(uint32_t block, uint32_t row) {
    const uint32_t m = block * block_rows() + row;
    const uint32_t groups = c.k / (c.a.bits == 32 ? 2 : c.a.bits == 4 && c.k == 128 ? 8 : 4);
    for (uint32_t group = 0; group < groups; ++group) {
      const uint32_t bits = metadata(m, group);
      if (c.a.bits >= 16) {  // 8 groups a row: four a half, in lanes of their own
        const uint32_t lane = lane_of(row / 16 * 16 + group / 4 * 8 + row % 8, 0);
        kernel.tensor(lane, kMeta, block) |= bits << (row / 8 % 2 * 16 + group % 4 * 4);
      } else {
        kernel.tensor(lane_of(row, 0), kMeta + group / 8, block) |= bits << group % 8 * 4;
      }
    }
  }

  void put_scales(uint32_t block) {
    const uint32_t count = stored_k() / c.scale_block;
    for (uint32_t j = 0; j < count; ++j) {
      for (uint32_t quarter = 0; quarter < 4; ++quarter) {
        for (uint32_t row = 0; row < block_rows(); ++row) {
          kernel.tensor(quarter * 32 + row % 32, kScalesA + row / 32, block) |=
              static_cast<uint32_t>(127 + scale_power(block * block_rows() + row, j)) << j * 8;
        }
        for (uint32_t n = 0; n < c.n; ++n) {
          const uint32_t columns = c.n / parts(), part = n / columns, in_part = n % columns;
          if (parts() == 2 && quarter / 2 != part) continue;
          kernel.tensor(quarter * 32 + in_part % 32, kScalesB + in_part / 32, block) |=
              static_cast<uint32_t>(127 + scale_power(n + 1, j)) << j * 8;
        }
      }
    }
  }

  int start(uint32_t m, uint32_t n) const { return static_cast<int>((m + 3 * n) % 17); }
  uint32_t word(double x) const {
    if (c.d_type == 2) return static_cast<uint32_t>(static_cast<int>(x));
    if (c.d_type == 1) return std::bit_cast<uint32_t>(static_cast<float>(x));
    // f16 of a small integer: its f32's bits moved down.
    const auto bits = std::bit_cast<uint32_t>(static_cast<float>(x));
    if (x == 0) return 0;
    return (bits >> 31) << 15 | ((bits >> 23 & 0xFF) - 112) << 10 | (bits >> 13 & 0x3FF);
  }

  void put_all() {
    for (uint32_t block = 0; block < c.group; ++block) {
      for (uint32_t row = 0; row < block_rows(); ++row) {
        for (uint32_t i = 0; i < stored_k(); ++i) put_a(block, row, i);
        if (c.is_sparse) put_metadata(block, row);
        for (uint32_t n = 0; n < c.n; ++n) {
          const uint32_t columns = c.n / parts();
          kernel.tensor(lane_of(row, n / columns), n % columns, block) =
              word(start(block * block_rows() + row, n));
        }
      }
      const uint32_t b_rows = c.n / c.group;
      for (uint32_t row = 0; row < b_rows; ++row) {
        for (uint32_t k = 0; k < c.k; ++k) {
          kernel.put_bits(block, kB * 8 + bit_of(c.b, row, k, c.k), c.b.bits,
                          code(c.b, value(c.b, block * b_rows + row, k, 1)));
        }
      }
      if (c.scale_block != 0) put_scales(block);
    }
  }

  std::string body() const {
    const bool is_scaled = c.scale_block != 0;
    uint32_t idesc = (c.is_sparse ? 4u : 0u) | c.a.code << 7 | c.b.code << 10 | c.n / 8 << 17;
    idesc |= is_scaled ? c.m / 128 << 27 | 1u << 23 : c.m / 16 << 24 | c.d_type << 4;
    if (c.transposes) idesc |= (c.has_tensor_a ? 2u : 3u) << 15;
    if (c.negates) idesc |= 1u << 13;
    std::string text = TensorKernel::descriptor(10, 0, descriptor_rest(c.a, stored_k())) +
                       TensorKernel::descriptor(11, kB, descriptor_rest(c.b, c.k));
    auto address = [&](uint32_t r, uint32_t lane, uint32_t column) {
      text += "add.u32 %r" + std::to_string(r) + ", %tmem, " + std::to_string(lane << 16 | column) +
              ";\n";
    };
    address(10, c.lane, 0);
    address(11, c.lane, kA);
    address(12, 0, kScalesA);
    address(13, 0, kScalesB);
    address(14, c.lane, kMeta);
    text += "mov.b32 %r15, " + std::to_string(idesc) + ";\ntcgen05.mma";
    if (c.is_stationary) text += ".ws";
    if (c.is_sparse) text += ".sp";
    text += ".cta_group::" + std::to_string(c.group) + c.kind + c.modifiers + " [%r10], " +
            (c.has_tensor_a ? "[%r11]" : "%rd10") + ", %rd11, " + (c.is_sparse ? "[%r14], " : "") +
            "%r15, " + (is_scaled ? "[%r12], [%r13], " : "") + "%p1" + c.tail + ";\n";
    return text;
  }

  double want(uint32_t m, uint32_t n) const {
    double sum = 0;
    for (uint32_t i = 0; i < stored_k(); ++i) {
      double product = value(c.a, m, place(m, i), 0) * value(c.b, n, place(m, i), 1);
      if (c.scale_block != 0) {
        const uint32_t j = i / c.scale_block;
        product = std::ldexp(product, scale_power(m, j) + scale_power(n + 1, j));
      }
      sum += product;
    }
    return (c.negates ? -sum : sum) + start(m, n);
  }
};

TEST_P(Tcgen05Layout, Multiplies) {
  put_all();
  kernel.body = body();
  kernel.settings.seed = GetParam().n + GetParam().k;  // any: work is done in another order
  const auto fault = kernel.run();
  ASSERT_FALSE(fault) << fault->report;
  for (uint32_t m = 0; m < c.m; ++m) {
    for (uint32_t n = 0; n < c.n; ++n) {
      const uint32_t columns = c.n / parts();
      const uint32_t lane = lane_of(m % block_rows(), n / columns);
      ASSERT_EQ(kernel.tensor(lane, n % columns, m / block_rows()), word(want(m, n)))
          << "row " << m << ", column " << n << ": " << want(m, n);
    }
  }
}

const Case kDense[] = {
    {".kind::f16", kF16, kF16, 1, 128, 64, 16},
    {".kind::f16", kBf16, kBf16, 1, 64, 24, 16},
    {".kind::f16", kBf16, kF16, 1, 64, 24, 16, false, false, false, false, 1, 0, 16},
    {".kind::f16", kF16, kF16, 2, 256, 64, 16},
    {".kind::f16", kF16, kF16, 2, 128, 96, 16},
    {".kind::f16", kF16, kF16, 1, 128, 256, 16, false, false, false, false, 0},
    {".kind::f16", kF16, kF16, 1, 128, 32, 16, false, false, false, false, 1, 0, 0, true},
    {".kind::f16", kF16, kF16, 1, 128, 64, 16, false, false, true},
    {".kind::f16", kBf16, kBf16, 2, 256, 256, 16, false, false, true},
    {".kind::f16", kF16, kF16, 1, 128, 64, 16, false, true},
    {".kind::f16", kF16, kF16, 1, 64, 64, 16, false, true},
    {".kind::f16", kF16, kF16, 1, 64, 64, 16, false, true, false, false, 1, 0, 16},
    {".kind::f16", kF16, kF16, 2, 256, 64, 16, false, true},
    {".kind::f16", kF16, kF16, 2, 128, 64, 16, false, true},
    {".kind::f16", kF16, kF16, 1, 32, 64, 16, true},
    {".kind::f16", kF16, kF16, 1, 64, 128, 16, true},
    {".kind::f16", kF16, kF16, 1, 128, 256, 16, true},
    {".kind::f16", kF16, kF16, 1, 32, 128, 16, true, true},
    {".kind::tf32", kTf32, kTf32, 1, 128, 32, 8},
    {".kind::tf32", kTf32, kTf32, 1, 64, 64, 8, false, false, true},
    {".kind::tf32", kTf32, kTf32, 1, 128, 32, 8, false, true},
    {".kind::tf32", kTf32, kTf32, 2, 128, 32, 8},
    {".kind::f8f6f4", kE4m3, kE5m2, 1, 128, 64, 32},
    {".kind::f8f6f4", kE4m3, kE4m3, 2, 256, 64, 32, false, false, true},
    {".kind::f8f6f4", kE2m3, kE3m2, 1, 128, 64, 32},
    {".kind::f8f6f4", kE2m1, kE4m3, 1, 64, 64, 32, false, false, false, false, 0},
    {".kind::f8f6f4", kE2m1, kE2m1, 1, 128, 64, 32, false, true},
    {".kind::f8f6f4", kE3m2, kE2m1, 2, 128, 64, 32, false, true},
    {".kind::f8f6f4", kE4m3, kE4m3, 1, 64, 64, 32, true, true},
    {".kind::i8", kS8, kU8, 1, 128, 64, 32, false, false, false, false, 2},
    {".kind::i8", kU8, kS8, 1, 64, 24, 32, false, true, false, false, 2},
    {".kind::i8", kS8, kS8, 2, 256, 96, 32, false, false, true, false, 2},
    {".kind::i8", kS8, kS8, 1, 64, 64, 32, true, false, false, false, 2},
};

const Case kScaled[] = {
    {".kind::mxf8f6f4.block_scale", kE4m3, kE5m2, 1, 128, 64, 32, false, false, false, false, 1,
     32},
    {".kind::mxf8f6f4.block_scale.block32", kE2m1, kE3m2, 2, 256, 160, 32, false, false, false,
     false, 1, 32},
    {".kind::mxf8f6f4.block_scale.scale_vec::1X", kE2m1, kE2m3, 1, 128, 136, 32, false, true, false,
     false, 1, 32},
    {".kind::mxf4.block_scale", kPacked, kPacked, 1, 128, 256, 64, false, false, false, false, 1,
     32},
    {".kind::mxf4.block_scale.block32", kPacked, kPacked, 2, 128, 128, 64, false, false, false,
     false, 1, 32},
    {".kind::mxf4nvf4.block_scale.block16", kPacked, kPacked, 1, 128, 72, 64, false, false, false,
     false, 1, 16},
    {".kind::mxf4nvf4.block_scale.scale_vec::4X", kPacked, kPacked, 2, 256, 256, 64, false, false,
     false, false, 1, 16},
    {".kind::mxf4nvf4.block_scale.scale_vec::2X", kPacked, kPacked, 2, 128, 256, 64, false, true,
     false, false, 1, 32},
    {".kind::mxf4nvf4.block_scale.block16.collector::a::fill", kPacked, kPacked, 1, 128, 40, 64,
     false, true, false, false, 1, 16, 0, true},
};

const Case kSparse[] = {
    {".kind::f16", kF16, kBf16, 1, 128, 64, 32, false, false, false, true},
    {".kind::f16", kF16, kF16, 1, 64, 64, 32, false, true, false, true},
    {".kind::f16", kF16, kF16, 2, 128, 64, 32, false, false, false, true},
    {".kind::f16", kF16, kF16, 1, 128, 64, 32, true, false, false, true},
    {".kind::tf32", kTf32, kTf32, 1, 128, 64, 16, false, false, false, true},
    {".kind::f8f6f4", kE4m3, kE4m3, 2, 256, 64, 64, false, true, false, true},
    {".kind::i8", kS8, kS8, 1, 128, 64, 64, false, false, false, true, 2},
    {".kind::mxf8f6f4.block_scale", kE4m3, kE4m3, 1, 128, 64, 64, false, false, false, true, 1, 32},
    {".kind::mxf4.block_scale", kPacked, kPacked, 1, 128, 64, 128, false, false, false, true, 1,
     32},
    {".kind::mxf4nvf4.block_scale.block16", kPacked, kPacked, 2, 256, 64, 128, false, true, false,
     true, 1, 16},
};

const auto kName = [](const testing::TestParamInfo<Case>& info) {
  return std::to_string(info.index) + name_of(info.param);
};
INSTANTIATE_TEST_SUITE_P(Dense, Tcgen05Layout, testing::ValuesIn(kDense), kName);
INSTANTIATE_TEST_SUITE_P(Scaled, Tcgen05Layout, testing::ValuesIn(kScaled), kName);
INSTANTIATE_TEST_SUITE_P(Sparse, Tcgen05Layout, testing::ValuesIn(kSparse), kName);

}  // namespace
}  // namespace nibble::emulator
