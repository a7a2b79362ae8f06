// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The combinations of quantize's options, and one of them held against the reference.
#pragma once

#include <bit>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/families/device_test.h"
#include "tests/reference/quantize.h"

namespace nibble::test {

inline constexpr DataType kTypes[] = {DataType::kBf16, DataType::kF16, DataType::kF32};
inline constexpr ScaleLayout kLayouts[] = {ScaleLayout::k128x4, ScaleLayout::kRowMajor};

struct Case {
  QuantizedFormat format = QuantizedFormat::kNvfp4;
  Copies copies = Copies::kBoth;
  BlockShape blocks = BlockShape::kRow;
  Rounding rounding = Rounding::kNearestEven;
  int transform = -1, transposed_transform = -1;  // the signs; -1: none
  bool records = false;
  BlockScaling scaling = BlockScaling::kLargest;
  int size = 16, transposed_size = 16;  // of the transforms
  bool other_layout = false;            // of the transposed copy's scales
  KernelKind kernel = KernelKind::kFast;

  std::string text() const {
    std::ostringstream out;
    out << format_name(format) << " copies " << static_cast<int>(copies)
        << (blocks == BlockShape::kSquare ? " square" : "")
        << (rounding == Rounding::kStochastic ? " stochastic" : "") << " transforms " << transform
        << " " << transposed_transform << " of " << size << " " << transposed_size
        << (records ? " records" : "")
        << (scaling == BlockScaling::kFourOverSix ? " four over six" : "")
        << (other_layout ? " other layout" : "")
        << (kernel == KernelKind::kTrusted ? " trusted" : "");
    return out.str();
  }
};

// Every combination that is not refused.
inline std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const auto format :
       {QuantizedFormat::kNvfp4, QuantizedFormat::kMxfp4, QuantizedFormat::kMxfp8}) {
    for (const auto copies : {Copies::kRowWise, Copies::kTransposed, Copies::kBoth}) {
      for (const auto rounding : {Rounding::kNearestEven, Rounding::kStochastic}) {
        for (const int transform : {-1, 0xD7E8, 0x1234}) {
          if (transform >= 0 && copies == Copies::kTransposed) continue;
          for (const int transposed : {-1, 0xD7E8, 0x8001}) {
            if (transposed >= 0 && copies == Copies::kRowWise) continue;
            const bool records = cases.size() % 2 == 1;
            cases.push_back(
                {format, copies, BlockShape::kRow, rounding, transform, transposed, records});
          }
        }
      }
      if (format != QuantizedFormat::kNvfp4) continue;
      for (const auto rounding : {Rounding::kNearestEven, Rounding::kStochastic}) {
        for (const int signs : {-1, 0xD7E8, 0x4321}) {
          if (signs >= 0 && copies == Copies::kBoth) continue;
          const bool rows = copies == Copies::kRowWise;
          cases.push_back({format, copies, BlockShape::kSquare, rounding, rows ? signs : -1,
                           rows ? -1 : signs, cases.size() % 2 == 1});
        }
      }
    }
  }
  // Four over six, one transform or the other.
  for (const auto copies : {Copies::kRowWise, Copies::kTransposed, Copies::kBoth}) {
    for (const auto rounding : {Rounding::kNearestEven, Rounding::kStochastic}) {
      Case c{.copies = copies, .rounding = rounding, .scaling = BlockScaling::kFourOverSix};
      cases.push_back(c);
      (copies == Copies::kRowWise ? c.transform : c.transposed_transform) = 0xD7E8;
      cases.push_back(c);
    }
    cases.push_back(
        {.copies = copies, .blocks = BlockShape::kSquare, .scaling = BlockScaling::kFourOverSix});
  }
  return cases;
}

// Transforms of 32, 64 and 128.
inline std::vector<Case> wide_transform_cases() {
  std::vector<Case> cases;
  for (const int size : {32, 64, 128}) {
    for (const auto format :
         {QuantizedFormat::kNvfp4, QuantizedFormat::kMxfp4, QuantizedFormat::kMxfp8}) {
      const int signs = format == QuantizedFormat::kMxfp4 ? 0xD7E8 : 0x9351;
      cases.push_back({.format = format, .transform = signs, .size = size});
      cases.push_back({.format = format,
                       .copies = Copies::kRowWise,
                       .transform = signs,
                       .records = true,
                       .size = size});
    }
    cases.push_back({.copies = Copies::kRowWise,
                     .blocks = BlockShape::kSquare,
                     .rounding = Rounding::kStochastic,
                     .transform = 0x5A7C,
                     .size = size});
    cases.push_back({.copies = Copies::kRowWise,
                     .transform = 0xD7E8,
                     .scaling = BlockScaling::kFourOverSix,
                     .size = size});
  }
  for (const int size : {32, 64, 128}) {
    for (const auto format :
         {QuantizedFormat::kNvfp4, QuantizedFormat::kMxfp4, QuantizedFormat::kMxfp8}) {
      for (const auto copies : {Copies::kTransposed, Copies::kBoth}) {
        cases.push_back({.format = format,
                         .copies = copies,
                         .transposed_transform = copies == Copies::kBoth ? 0xD7E8 : 0x9351,
                         .records = true,
                         .transposed_size = size});
      }
    }
    cases.push_back({.rounding = Rounding::kStochastic,
                     .transform = 0x5A7C,
                     .transposed_transform = 0x5A7C,
                     .scaling = BlockScaling::kFourOverSix,
                     .size = size,
                     .transposed_size = size});
    cases.push_back({.copies = Copies::kTransposed,
                     .blocks = BlockShape::kSquare,
                     .rounding = Rounding::kStochastic,
                     .transposed_transform = 0xD7E8,
                     .transposed_size = size});
  }
  return cases;
}

// A copy as it should be.
struct Expected {
  int64_t rows = 0;
  reference::Matrix matrix;
  float amax = 0;  // to scale by
};

// Quantises on the device and compares with the reference. check() may be called by several
// threads.
class QuantizeCheck : public DeviceTest {
 protected:
  static constexpr uint64_t kSeed = 0x123456789abcdef0;

  // 16 of them are `signs`; the others differ but where those are the default.
  static HadamardTransform transform_of(int signs, int size) {
    HadamardTransform transform;
    transform.enabled = signs >= 0;
    transform.size = size;
    if (signs < 0 || signs == 0xD7E8) return transform;
    const auto low = static_cast<uint32_t>(signs);
    transform.signs = {low | ~low << 16, low * 0x3001, low * 0x70003, ~low};
    return transform;
  }

  // given_amax: null to let the library find it.
  static Expected expected(const std::vector<float>& x, int64_t rows, int64_t columns,
                           DataType type, const Case& c, bool transposed, const float* given) {
    const int signs = transposed ? c.transposed_transform : c.transform;
    std::vector<float> values = transposed ? reference::transpose(x, rows, columns) : x;
    if (transposed) std::swap(rows, columns);
    const int size = transposed ? c.transposed_size : c.size;
    if (signs >= 0 && size > 16) {
      values = reference::transformed(values, size, transform_of(signs, size).signs,
                                      static_cast<reference::Type>(type));
    } else if (signs >= 0) {
      values = reference::transformed(values, rows, columns, static_cast<uint16_t>(signs),
                                      static_cast<reference::Type>(type));
      columns = (columns + 15) / 16 * 16;
    }
    const float amax = given != nullptr ? *given : reference::amax(values);
    const reference::Options options{static_cast<reference::Format>(c.format),
                                     c.blocks == BlockShape::kSquare,
                                     c.rounding == Rounding::kStochastic,
                                     kSeed,
                                     transposed,
                                     c.scaling == BlockScaling::kFourOverSix};
    return {rows, reference::quantize(values, rows, columns, amax, options),
            reference::amax(values)};
  }

  struct Outputs {
    Guarded codes, scales, amax, recorded;
  };
  Outputs outputs(const Case& c, int64_t rows, int64_t columns, ScaleLayout layout) {
    return {{context(), rows * quantized_row_bytes(c.format, columns)},
            {context(), quantized_scale_bytes(c.format, rows, columns, layout)},
            {context(), 4},
            {context(), 4}};
  }

  void check(const std::vector<float>& x, DataType type, int64_t rows, int64_t columns,
             ScaleLayout layout, const Case& c, const float* given = nullptr, int64_t gap = 0,
             int64_t misalign = 0) {
    SCOPED_TRACE(c.text() + " " + std::string(type_name(type)) + " " + std::to_string(rows) + "x" +
                 std::to_string(columns) + " " + std::string(layout_name(layout)));
    const std::vector<uint8_t> input = spread(x, type, rows, columns, columns + gap);
    Guarded x_device(context(), static_cast<int64_t>(input.size()), misalign);
    x_device.upload(input);
    Outputs row_wise = outputs(c, rows, columns, layout);
    const ScaleLayout turned_layout = !c.other_layout                 ? layout
                                      : layout == ScaleLayout::k128x4 ? ScaleLayout::kRowMajor
                                                                      : ScaleLayout::k128x4;
    Outputs turned = outputs(c, columns, rows, turned_layout);
    for (Outputs* some : {&row_wise, &turned}) {
      if (given != nullptr) some->amax.upload(encode({*given}, DataType::kF32));
      some->recorded.upload(encode({0.0f}, DataType::kF32));
    }
    QuantizeRequest request;
    request.x = {x_device.address(), type, rows, columns, columns + gap};
    request.y = {row_wise.codes.address(), row_wise.scales.address(), row_wise.amax.address(),
                 layout};
    request.y_transposed = {turned.codes.address(), turned.scales.address(), turned.amax.address(),
                            turned_layout};
    request.amax_given = given != nullptr;
    request.copies = c.copies;
    request.format = c.format;
    request.blocks = c.blocks;
    request.rounding = c.rounding;
    request.scaling = c.scaling;
    request.seed = kSeed;
    request.kernel = c.kernel;
    request.transform = transform_of(c.transform, c.size);
    request.transposed_transform = transform_of(c.transposed_transform, c.transposed_size);
    const bool has_rows = c.copies != Copies::kTransposed;
    const bool has_turned = c.copies != Copies::kRowWise;
    if (c.records && has_rows) request.recorded_amax = row_wise.recorded.address();
    if (c.records && has_turned) request.transposed_recorded_amax = turned.recorded.address();
    expect_ok(quantize(context(), request));
    expect_ok(context().synchronize());
    if (has_rows) {
      compare(row_wise, expected(x, rows, columns, type, c, false, given), c, layout, "rows");
    }
    if (has_turned) {
      compare(turned, expected(x, rows, columns, type, c, true, given), c, turned_layout,
              "transposed");
    }
  }

  static void compare(Outputs& actual, const Expected& expected, const Case& c, ScaleLayout layout,
                      const char* name) {
    const int64_t blocks = static_cast<int64_t>(expected.matrix.scales.size()) / expected.rows;
    expect_equal(actual.codes.download(), expected.matrix.codes, name, "code byte");
    expect_equal(actual.scales.download(),
                 layout == ScaleLayout::k128x4
                     ? reference::to_128x4(expected.matrix.scales, expected.rows, blocks)
                     : expected.matrix.scales,
                 name, "scale byte");
    if (c.records) {
      EXPECT_EQ(std::bit_cast<uint32_t>(decode(actual.recorded.download(), DataType::kF32)[0]),
                std::bit_cast<uint32_t>(expected.amax))
          << name;
    }
  }

  static void expect_equal(const std::vector<uint8_t>& actual, const std::vector<uint8_t>& expected,
                           const char* name, const char* what) {
    ASSERT_EQ(actual.size(), expected.size());
    int shown = 0;
    for (size_t i = 0; i < actual.size() && shown < 3; ++i) {
      if (actual[i] == expected[i]) continue;
      ADD_FAILURE() << name << " " << what << " " << i << ": " << std::hex << int{actual[i]}
                    << ", expected " << int{expected[i]};
      ++shown;
    }
  }
};

}  // namespace nibble::test
