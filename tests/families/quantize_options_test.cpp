// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// quantize with all its options, bit for bit against the reference, on every device.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "tests/families/quantize_case.h"

namespace nibble::test {
namespace {

class QuantizeOptions : public QuantizeCheck {};

// On the emulator each in one type, in turn.
TEST_P(QuantizeOptions, EveryCombination) {
  std::mt19937_64 random(3);
  const std::vector<Case> cases = all_cases();
  for (size_t i = 0; i < cases.size(); ++i) {
    for (size_t t = 0; t < std::size(kTypes); ++t) {
      if (!on_gpu() && t != i % std::size(kTypes)) continue;
      const DataType type = kTypes[t];
      const ScaleLayout layout = kLayouts[(i + t) % 2];
      check(random_normal(int64_t{130} * 200, type, 3.0f, random), type, 130, 200, layout,
            cases[i]);
      check(random_bits(int64_t{40} * 72, type, random), type, 40, 72, layout, cases[i]);
    }
  }
}

// What the fast kernels are held against elsewhere is held against the reference itself.
TEST_P(QuantizeOptions, TrustedKernels) {
  std::mt19937_64 random(4);
  std::vector<Case> cases = all_cases();
  std::ranges::copy(wide_transform_cases(), std::back_inserter(cases));
  for (size_t i = 0; i < cases.size(); ++i) {
    // Their PTX is nearly the same for all targets: all of them for one, on a GPU, else some.
    if (i % 4 != 0 && !on_gpu() && GetParam() != std::string("emulator:sm_100a")) continue;
    Case c = cases[i];
    c.kernel = KernelKind::kTrusted;
    c.other_layout = c.copies == Copies::kBoth && i % 3 == 0;
    const ScaleLayout layout = kLayouts[i / 3 % 2];
    const DataType type = kTypes[i % 3];
    // Only whole groups of more than 16.
    const bool wide = c.size > 16 || c.transposed_size > 16;
    const int64_t rows = wide ? 128 : 37, columns = wide ? 256 : 75;
    const int64_t count = rows * columns;
    check(random_normal(count, type, 3.0f, random), type, rows, columns, layout, c, nullptr, 3);
    check(random_bits(count, type, random), type, rows, columns, layout, c);
    if (c.format != QuantizedFormat::kNvfp4) continue;
    for (const float amax : {0.0f, 5.3125f, 3e38f, 1e-41f, INFINITY}) {
      check(random_bits(int64_t{16} * 128, type, random), type, 16, 128, layout,
            wide ? Case{.kernel = c.kernel} : c, &amax);
    }
  }
}

// Of blocks of 32 the second group of 16 may lie beyond the row: its elements are missing, and stay
// +0 whatever the signs.
TEST_P(QuantizeOptions, GroupsThatAreMissingHaveNoSigns) {
  std::mt19937_64 random(6);
  size_t turn = 0;
  for (const auto format : {QuantizedFormat::kMxfp4, QuantizedFormat::kMxfp8}) {
    for (const auto copies : {Copies::kRowWise, Copies::kTransposed, Copies::kBoth}) {
      for (const auto rounding : {Rounding::kNearestEven, Rounding::kStochastic}) {
        for (const KernelKind kernel : kKernels) {
          const int signs = copies == Copies::kTransposed ? -1 : 0xFFFF;
          const int transposed = copies == Copies::kRowWise ? -1 : 0xFFFF;
          const Case c{.format = format,
                       .copies = copies,
                       .rounding = rounding,
                       .transform = signs,
                       .transposed_transform = transposed,
                       .kernel = kernel};
          const DataType type = kTypes[turn++ % std::size(kTypes)];
          check(random_normal(5 * 7, type, 1.0f, random), type, 5, 7, ScaleLayout::k128x4, c);
          check(random_normal(40 * 136, type, 1.0f, random), type, 40, 136, ScaleLayout::k128x4, c);
        }
      }
    }
  }
}

TEST_P(QuantizeOptions, CopiesHaveLayoutsOfTheirOwn) {
  std::mt19937_64 random(6);
  for (const Case& c :
       {Case{}, Case{.blocks = BlockShape::kSquare}, Case{.transposed_transform = 0xD7E8},
        Case{.rounding = Rounding::kStochastic}, Case{.format = QuantizedFormat::kMxfp8}}) {
    for (const ScaleLayout layout : kLayouts) {
      Case other = c;
      other.other_layout = true;
      check(random_normal(int64_t{130} * 200, DataType::kBf16, 3.0f, random), DataType::kBf16, 130,
            200, layout, other);
    }
  }
}

TEST_P(QuantizeOptions, RaggedShapesAndAlignments) {
  std::mt19937_64 random(5);
  constexpr std::array<std::array<int64_t, 4>, 10> kShapes = {{{1, 1, 0, 0},
                                                               {1, 17, 0, 0},
                                                               {17, 1, 3, 0},
                                                               {31, 33, 0, 4},
                                                               {128, 128, 0, 0},
                                                               {129, 127, 1, 0},
                                                               {256, 64, 8, 0},
                                                               {7, 300, 0, 0},
                                                               {300, 7, 0, 0},
                                                               {16, 1000, 0, 8}}};
  const Case cases[] = {
      {},
      {.copies = Copies::kTransposed},
      {.blocks = BlockShape::kSquare, .records = true},
      {.copies = Copies::kTransposed, .blocks = BlockShape::kSquare},
      {.copies = Copies::kTransposed,
       .blocks = BlockShape::kSquare,
       .rounding = Rounding::kStochastic,
       .transposed_transform = 0xD7E8},
      {.transposed_transform = 0xD7E8},
      {.rounding = Rounding::kStochastic, .transposed_transform = 0xD7E8},
      {.scaling = BlockScaling::kFourOverSix},
      {.format = QuantizedFormat::kMxfp4},
      {.format = QuantizedFormat::kMxfp8, .transform = 0xD7E8},
      {.format = QuantizedFormat::kMxfp8, .copies = Copies::kRowWise},
      {.copies = Copies::kRowWise, .rounding = Rounding::kStochastic, .transform = 0xD7E8},
  };
  // Half of the shapes in each type, in turn; all of them on a GPU.
  size_t at = 0;
  for (const Case& c : cases) {
    for (const DataType type : kTypes) {
      for (const auto& [rows, columns, gap, misalign] : kShapes) {
        if (misalign % size_of(type) != 0 || (++at % 2 == 0 && !on_gpu())) continue;
        check(random_normal(rows * columns, type, 3.0f, random), type, rows, columns,
              kLayouts[at / 2 % 2], c, nullptr, gap, misalign);
      }
    }
  }
}

TEST_P(QuantizeOptions, TransformsOfMoreThanSixteen) {
  std::mt19937_64 random(23);
  const std::vector<Case> cases = wide_transform_cases();
  // Rows of one group and of several tiles; columns that fill no tile.
  constexpr std::array<std::array<int64_t, 4>, 5> kShapes = {
      {{32, 128, 0, 0}, {160, 256, 0, 0}, {96, 640, 4, 0}, {64, 384, 0, 4}, {288, 128, 8, 0}}};
  size_t at = 0;
  for (const Case& c : cases) {
    for (const DataType type : kTypes) {
      for (const auto& [least, columns, gap, misalign] : kShapes) {
        if (at++ % (on_gpu() ? 2 : 8) != 0) continue;
        const int64_t size = c.transposed_size;  // only whole groups
        const int64_t rows = (least + size - 1) / size * size;
        const int64_t count = rows * columns;
        check(at % 3 == 0 ? random_bits(count, type, random)
                          : random_normal(count, type, 3.0f, random),
              type, rows, columns, kLayouts[at / 5 % 2], c, nullptr, gap, misalign);
      }
    }
  }
  check(random_normal(7 * 32, DataType::kBf16, 3.0f, random), DataType::kBf16, 7, 32,
        ScaleLayout::k128x4, {.copies = Copies::kRowWise, .transform = 0xD7E8, .size = 32});
}

// A transform and its quantisation in two launches give what one gives.
TEST_P(QuantizeOptions, TransformsAreThoseOfTheirOwnKernel) {
  constexpr int64_t kRows = 256, kColumns = 256;
  std::mt19937_64 random(29);
  const std::vector<float> x = random_normal(kRows * kColumns, DataType::kBf16, 1.0f, random);
  for (const bool turned : {false, true}) {
    const Case c{.format = QuantizedFormat::kMxfp4,
                 .copies = turned ? Copies::kTransposed : Copies::kRowWise};
    const int size = turned ? 128 : 64;
    Guarded input(context(), kRows * kColumns * 2), y(context(), kRows * kColumns * 2);
    input.upload(encode(x, DataType::kBf16));
    HadamardRequest alone;
    alone.x = {input.address(), DataType::kBf16, kRows, kColumns};
    alone.y = {y.address(), DataType::kBf16, kRows, kColumns};
    alone.size = size;
    alone.axis = turned ? Axis::kColumn : Axis::kRow;
    alone.sign_vector = SignVector::kDefault;
    expect_ok(hadamard(context(), alone));
    std::vector<std::vector<uint8_t>> codes;
    for (const bool fused : {false, true}) {
      Outputs out =
          outputs(c, turned ? kColumns : kRows, turned ? kRows : kColumns, ScaleLayout::kRowMajor);
      QuantizeRequest request;
      request.x = fused ? alone.x : alone.y;
      request.format = c.format;
      request.copies = c.copies;
      (turned ? request.y_transposed : request.y) = {out.codes.address(), out.scales.address()};
      (turned ? request.transposed_transform : request.transform) = {.enabled = fused,
                                                                     .size = size};
      expect_ok(quantize(context(), request));
      codes.push_back(out.codes.download());
      codes.push_back(out.scales.download());
    }
    EXPECT_EQ(codes[0], codes[2]);
    EXPECT_EQ(codes[1], codes[3]);
  }
}

TEST_P(QuantizeOptions, AnyBitsUnderAnyAmax) {
  std::mt19937_64 random(7);
  const int64_t rows = on_gpu() ? 1024 : 64;
  for (const DataType type : kTypes) {
    const std::vector<float> x = random_bits(rows * 256, type, random);
    for (const float amax :
         {0.0f, 1.0f, 5.3125f, 65504.0f, 3e38f, 1e-30f, 1.1754944e-38f, 1e-41f, INFINITY}) {
      SCOPED_TRACE(amax);
      for (const Case& c :
           {Case{}, Case{.blocks = BlockShape::kSquare}, Case{.rounding = Rounding::kStochastic},
            Case{.transposed_transform = 0xD7E8}, Case{.scaling = BlockScaling::kFourOverSix},
            Case{.blocks = BlockShape::kSquare, .scaling = BlockScaling::kFourOverSix}}) {
        check(x, type, rows, 256, ScaleLayout::k128x4, c, &amax);
      }
    }
    check(x, type, rows, 256, ScaleLayout::k128x4, {.format = QuantizedFormat::kMxfp4});
    check(x, type, rows, 256, ScaleLayout::k128x4, {.format = QuantizedFormat::kMxfp8});
  }
}

// Elements whose products with the factor of their block are rounded to a threshold: those that
// tell whether the product is rounded. Every scale, amaxes of many mantissas, elements of all
// mantissas.
TEST_P(QuantizeOptions, EveryMantissaBesideEveryScale) {
  std::mt19937_64 random(11);
  for (int round = 0; round < (on_gpu() ? 64 : 3); ++round) {
    // With the first, all factors are powers of two times a scale's inverse: all have ties.
    const float amax =
        round == 0 ? 5.25f : reference::decode_bf16(static_cast<uint16_t>(0x4000 + random() % 256));
    std::vector<float> x;
    for (int scale = 1; scale < 127; ++scale) {
      const double largest =
          double{reference::decode_e4m3(static_cast<uint8_t>(scale))} * amax / 448;
      const float companion =
          reference::decode_bf16(reference::encode_bf16(static_cast<float>(largest)));
      for (int first = 0; first < 128 * 5; first += 15) {
        x.push_back(companion);
        for (int i = first; i < first + 15; ++i) {
          const int exponent = std::ilogb(companion) - i / 128;
          x.push_back(std::ldexp(static_cast<float>(128 + i % 128), exponent - 7));
        }
      }
    }
    const int64_t columns = static_cast<int64_t>(x.size()) / 126;
    ASSERT_EQ(columns * 126, static_cast<int64_t>(x.size()));
    // The bytes of the transpose tell the columns: give it those.
    check(x, DataType::kBf16, 126, columns, ScaleLayout::kRowMajor, {}, &amax);
    check(reference::transpose(x, 126, columns), DataType::kBf16, columns, 126,
          ScaleLayout::kRowMajor, {}, &amax);
    if (round > 2) continue;
    std::vector<float> halves = x;
    for (float& some : halves) some = reference::decode_f16(reference::encode_f16(some));
    for (const Case& c : {Case{.transposed_transform = 0xD7E8}, Case{.blocks = BlockShape::kSquare},
                          Case{.copies = Copies::kRowWise}, Case{.copies = Copies::kTransposed}}) {
      check(x, DataType::kBf16, 126, columns, ScaleLayout::kRowMajor, c, &amax);
      check(halves, DataType::kF16, 126, columns, ScaleLayout::kRowMajor, c, &amax);
    }
  }
}

TEST_P(QuantizeOptions, BothRowKernelsAgree) {  // alone, and beside a transposed copy
  std::mt19937_64 random(13);
  const std::vector<float> x = random_normal(int64_t{200} * 320, DataType::kBf16, 1.0f, random);
  std::vector<uint8_t> codes[2];
  for (int k = 0; k < 2; ++k) {
    const Case c{.copies = k == 0 ? Copies::kRowWise : Copies::kBoth,
                 .rounding = Rounding::kStochastic};
    Guarded input(context(), 200 * 320 * 2);
    input.upload(encode(x, DataType::kBf16));
    Outputs row_wise = outputs(c, 200, 320, ScaleLayout::k128x4);
    Outputs turned = outputs(c, 320, 200, ScaleLayout::k128x4);
    QuantizeRequest request;
    request.x = {input.address(), DataType::kBf16, 200, 320};
    request.y = {row_wise.codes.address(), row_wise.scales.address(), row_wise.amax.address(),
                 ScaleLayout::k128x4};
    request.y_transposed = {turned.codes.address(), turned.scales.address(), turned.amax.address(),
                            ScaleLayout::k128x4};
    request.copies = c.copies;
    request.rounding = c.rounding;
    request.seed = 99;
    expect_ok(quantize(context(), request));
    codes[k] = row_wise.codes.download();
  }
  EXPECT_EQ(codes[0], codes[1]);
}

// The mean of the decoded values of n roundings is that of x: with 0.05 of 2^20 places the standard
// error is known, and 5 of them are exceeded once in 1.7 million runs.
TEST_P(QuantizeOptions, StochasticRoundingIsUnbiased) {
  const int64_t rows = on_gpu() ? 4096 : 64;
  constexpr int64_t kColumns = 256;
  for (const float value : {0.3f, 0.8f, 1.3f, 2.25f, 3.7f, 5.1f}) {
    // Blocks whose largest element is 6 under an amax of 2688: the factor is 1.
    std::vector<float> x(static_cast<size_t>(rows * kColumns), value);
    for (size_t i = 0; i < x.size(); i += 16) x[i] = 6.0f;
    Guarded input(context(), rows * kColumns * 4), amax(context(), 4);
    input.upload(encode(x, DataType::kF32));
    amax.upload(encode({2688.0f}, DataType::kF32));
    Guarded codes(context(), rows * kColumns / 2), scales(context(), rows * kColumns / 16);
    QuantizeRequest request;
    request.x = {input.address(), DataType::kF32, rows, kColumns};
    request.y = {codes.address(), scales.address(), amax.address()};
    request.amax_given = true;
    request.rounding = Rounding::kStochastic;
    request.seed = 5;
    expect_ok(quantize(context(), request));
    EXPECT_EQ(scales.download()[0], 0x38);  // 1
    double sum = 0, squares = 0;
    int64_t count = 0;
    const std::vector<uint8_t> bytes = codes.download();
    for (size_t i = 0; i < x.size(); ++i) {
      if (i % 16 == 0) continue;
      const double decoded = reference::decode_e2m1(bytes[i / 2] >> (i % 2 * 4) & 15);
      sum += decoded - value;
      squares += (decoded - value) * (decoded - value);
      ++count;
    }
    const double error =
        std::sqrt(squares / static_cast<double>(count) / static_cast<double>(count));
    // P(up) is a multiple of 2^-16, rounded down: a bias of a step of 2 / 65536 at most.
    EXPECT_LT(std::fabs(sum / static_cast<double>(count)), 5 * error + 2.0 / 65536) << value;
  }
}

TEST_P(QuantizeOptions, SquareBlocksOfTheTransposeAreTheTranspose) {  // V21
  std::mt19937_64 random(17);
  const std::vector<float> x = random_normal(int64_t{64} * 96, DataType::kBf16, 1.0f, random);
  const reference::Options square{.square = true};
  const float amax = reference::amax(x);
  const auto one = reference::quantize(x, 64, 96, amax, square);
  const auto other = reference::quantize(reference::transpose(x, 64, 96), 96, 64, amax, square);
  for (int64_t row = 0; row < 64; ++row) {
    for (int64_t column = 0; column < 96; ++column) {
      const int a = one.codes[static_cast<size_t>(row * 48 + column / 2)] >> (column % 2 * 4) & 15;
      const int b = other.codes[static_cast<size_t>(column * 32 + row / 2)] >> (row % 2 * 4) & 15;
      ASSERT_EQ(a, b) << row << " " << column;
    }
  }
}

// Blocks under an amax of 1536, so that scales are not scaled themselves.
TEST_P(QuantizeOptions, FourOverSixTakesWhatFitsBetter) {
  const std::vector<float> x = {4,  3,    2,  1.5,  1,   0.5,  0,   -4, -3,
                                -2, -1.5, -1, -0.5, 0,   4,    4,  // codes x 1
                                6,  4,    3,  2,    1.5, 1,    0.5, 0,  -6,
                                -4, -3,   -2, -1.5, -1,  -0.5, 0,  // codes x 1
                                6,  0,    0,  0,    0,   0,    0,   0,  0,
                                0,  0,    0,  0,    0,   0,    0,  // 6 x 1 or 4 x 1.5: equal errors
                                0,  0,    0,  0,    0,   0,    0,   0,  0,
                                0,  0,    0,  0,    0,   0,    0};
  Guarded input(context(), 128), codes(context(), 32), scales(context(), 4), amax(context(), 4);
  input.upload(encode(x, DataType::kBf16));
  amax.upload(encode({1536.0f}, DataType::kF32));
  QuantizeRequest request;
  request.x = {input.address(), DataType::kBf16, 1, 64};
  request.y = {codes.address(), scales.address(), amax.address()};
  request.amax_given = true;
  request.scaling = BlockScaling::kFourOverSix;
  expect_ok(quantize(context(), request));
  EXPECT_EQ(scales.download(), (std::vector<uint8_t>{0x38, 0x38, 0x38, 0x00}));
  EXPECT_EQ(codes.download(),
            (std::vector<uint8_t>{0x56, 0x34, 0x12, 0xE0, 0xCD, 0xAB, 0x09, 0x66,  //
                                  0x67, 0x45, 0x23, 0x01, 0xEF, 0xCD, 0xAB, 0x09,  //
                                  0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  //
                                  0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00}));
  // And back: all of them are exact.
  Guarded output(context(), 256);
  DequantizeRequest back;
  back.x = request.y;
  back.y = {output.address(), DataType::kF32, 1, 64};
  back.scaling = BlockScaling::kFourOverSix;
  expect_ok(dequantize(context(), back));
  const std::vector<float> y = decode(output.download(), DataType::kF32);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_FLOAT_EQ(y[i], x[i]) << i;
}

TEST_P(QuantizeOptions, WhatMakesNoSenseIsRefusedByName) {
  Guarded memory(context(), 65536);
  QuantizeRequest good;
  good.x = {memory.address(), DataType::kBf16, 32, 32};
  good.y = {memory.address() + 8192, memory.address() + 16384, memory.address() + 24576};
  good.y_transposed = {memory.address() + 32768, memory.address() + 40960,
                       memory.address() + 49152};
  auto expect_error = [&](auto change, const std::string& text) {
    QuantizeRequest bad = good;
    change(bad);
    const Status status = quantize(context(), bad);
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_EQ(std::string(status.message()), text);
  };
  expect_error(
      [](auto& r) {
        r.format = QuantizedFormat::kMxfp4;
        r.blocks = BlockShape::kSquare;
      },
      "blocks = square: format must be nvfp4, mxfp4 has blocks of 32 x 1");
  expect_error(
      [](auto& r) {
        r.format = QuantizedFormat::kMxfp4;
        r.scaling = BlockScaling::kFourOverSix;
      },
      "scaling = four_over_six: format must be nvfp4, mxfp4 has powers of two for scales, of which "
      "none is 1.5 times another");
  expect_error(
      [](auto& r) {
        r.blocks = BlockShape::kSquare;
        r.copies = Copies::kBoth;
        r.transform.enabled = true;
      },
      "blocks = square with a transform: copies must be row_wise or transposed, both have the same "
      "codes and a transform is of one");
  expect_error([](auto& r) { r.transposed_transform.enabled = true; },
               "transposed_transform is of the transposed copy: copies must be transposed or both");
  expect_error(
      [](auto& r) {
        r.copies = Copies::kTransposed;
        r.transform.enabled = true;
      },
      "transform is of the row-wise copy: copies must be row_wise or both");
  expect_error(
      [](auto& r) {
        r.copies = Copies::kTransposed;
        r.y_transposed.amax = 0;
      },
      "y_transposed.amax is null");
  expect_error([](auto& r) { r.transform = {.enabled = true, .size = 48}; },
               "transform.size = 48: must be 16, 32, 64 or 128");
  expect_error([](auto& r) { r.transform = {.enabled = true, .size = 64}; },
               "transform.size = 64: must be 16 or a divisor of x.columns = 32");
  expect_error([](auto& r) { r.copies = static_cast<Copies>(3); },
               "copies = 3: must be row_wise, transposed or both");
  expect_error([&](auto& r) { r.transposed_recorded_amax = memory.address(); },
               "transposed_recorded_amax is of the transposed copy: copies must be transposed or "
               "both");
}

INSTANTIATE_TEST_SUITE_P(Devices, QuantizeOptions, testing::ValuesIn(kDevices), device_test_name);

}  // namespace
}  // namespace nibble::test
