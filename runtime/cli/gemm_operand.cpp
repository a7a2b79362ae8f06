// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/gemm_operand.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "nibble/quantize.hpp"
#include "runtime/result.h"

namespace nibble::cli {
namespace {

constexpr int64_t kRowAlignment = 16;
constexpr int64_t kMxBlock = 32;

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// A format of few bits: values m * 2^(e - mantissa_bits), e >= smallest_exponent.
struct SmallFloat {
  int mantissa_bits;
  int smallest_exponent;
  double largest;
};
constexpr SmallFloat kE2m1{1, 0, 6};
constexpr SmallFloat kE4m3{3, -6, 448};
constexpr SmallFloat kE5m2{2, -14, 57344};

// Round to nearest, ties to even, saturating; the sign is the bit above `sign_bit`.
uint8_t encode(const SmallFloat& format, double value, int sign_bit) {
  const double magnitude = std::min(std::abs(value), format.largest);
  const auto exponent_of = [&](double x) {
    return x == 0 ? format.smallest_exponent : std::max(std::ilogb(x), format.smallest_exponent);
  };
  const int unit = exponent_of(magnitude) - format.mantissa_bits;
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(magnitude, -unit)), unit);
  // Codes count upwards from 0 through all values, subnormal or not.
  const int exponent = exponent_of(rounded);
  const auto steps = static_cast<int>(std::ldexp(rounded, format.mantissa_bits - exponent)) +
                     ((exponent - format.smallest_exponent) << format.mantissa_bits);
  return static_cast<uint8_t>(steps | (std::signbit(value) ? 1 << sign_bit : 0));
}

uint16_t encode_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float largest_magnitude(const float* values, int64_t count) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(values[i]));
  return largest;
}

// The exponent of the scale of a block.
int mx_exponent(float amax, double largest) {
  const float ratio = amax * static_cast<float>(1 / largest);
  if (ratio == 0) return -127;
  int exponent = 0;
  const float fraction = std::frexp(ratio, &exponent);  // in [0.5, 1)
  return std::clamp(fraction == 0.5F ? exponent - 1 : exponent, -127, 127);
}

int64_t scale_offset(int64_t row, int64_t block, int64_t blocks) {
  return (row / 128 * ((blocks + 3) / 4) + block / 4) * 512 + row % 32 * 16 + row % 128 / 32 * 4 +
         block % 4;
}

void pack_mx(const HostMatrix& matrix, bool four_bits, PackedMatrix* packed) {
  const SmallFloat& format = four_bits ? kE2m1 : kE4m3;
  const int64_t blocks = (matrix.columns + kMxBlock - 1) / kMxBlock;
  for (int64_t row = 0; row < matrix.rows; ++row) {
    const float* values = matrix.row(row);
    uint8_t* bytes = packed->data.data() + row * packed->row_stride;
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t first = block * kMxBlock;
      const int64_t end = std::min(first + kMxBlock, matrix.columns);
      const int exponent =
          mx_exponent(largest_magnitude(values + first, end - first), format.largest);
      packed->scales[static_cast<size_t>(scale_offset(row, block, blocks))] =
          static_cast<uint8_t>(exponent + 127);
      for (int64_t column = first; column < end; ++column) {
        const double scaled = std::ldexp(values[column], -exponent);
        if (four_bits) {
          const unsigned code = encode(format, scaled, 3);
          bytes[column / 2] =
              static_cast<uint8_t>(bytes[column / 2] | code << (column % 2 == 0 ? 0 : 4));
        } else {
          bytes[column] = encode(format, scaled, 7);
        }
      }
    }
  }
}

void pack_fp8(const HostMatrix& matrix, Fp8Type type, PackedMatrix* packed) {
  const SmallFloat& format = type == Fp8Type::kE5m2 ? kE5m2 : kE4m3;
  const float amax = largest_magnitude(matrix.values.data(), matrix.rows * matrix.columns);
  const auto scale = static_cast<float>(amax / format.largest);
  packed->scale = scale == 0 ? 1 : scale;
  for (int64_t row = 0; row < matrix.rows; ++row) {
    uint8_t* bytes = packed->data.data() + row * packed->row_stride;
    for (int64_t column = 0; column < matrix.columns; ++column) {
      bytes[column] = encode(format, double{matrix.row(row)[column]} / packed->scale, 7);
    }
  }
}

void pack_bf16(const HostMatrix& matrix, PackedMatrix* packed) {
  for (int64_t row = 0; row < matrix.rows; ++row) {
    uint8_t* bytes = packed->data.data() + row * packed->row_stride;
    for (int64_t column = 0; column < matrix.columns; ++column) {
      const uint16_t bits = encode_bf16(matrix.row(row)[column]);
      std::memcpy(bytes + 2 * column, &bits, sizeof(bits));
    }
  }
}

Result<DeviceOperand> quantized(Context& context, const HostMatrix& matrix) {
  NIBBLE_TRY_ASSIGN(const Buffer values, upload(context, matrix.values.data(),
                                                static_cast<int64_t>(matrix.values.size()) * 4));
  DeviceOperand result;
  const int64_t stride = round_up(code_row_bytes(matrix.columns), kRowAlignment);
  NIBBLE_TRY_ASSIGN(result.data, context.allocate(matrix.rows * stride));
  NIBBLE_TRY_ASSIGN(result.scales, context.allocate(scale_bytes(matrix.rows, matrix.columns,
                                                                ScaleLayout::k128x4)));
  NIBBLE_TRY_ASSIGN(result.factor, context.allocate(sizeof(float)));
  QuantizeRequest request;
  request.x = {values.address(), DataType::kF32, matrix.rows, matrix.columns};
  request.y.codes = result.data.address();
  request.y.scales = result.scales.address();
  request.y.amax = result.factor.address();
  request.y.scale_layout = ScaleLayout::k128x4;
  request.y.code_row_stride = stride;
  NIBBLE_TRY(quantize(context, request));
  NIBBLE_TRY(context.synchronize());  // before `values` is freed
  result.operand.data = request.y.codes;
  result.operand.scales = request.y.scales;
  result.operand.amax = request.y.amax;
  result.operand.row_stride = stride;
  return result;
}

}  // namespace

Result<Buffer> upload(Context& context, const void* from, int64_t bytes) {
  NIBBLE_TRY_ASSIGN(Buffer buffer, context.allocate(bytes));
  NIBBLE_TRY(context.copy_to_device(buffer.address(), from, bytes));
  return buffer;
}

PackedMatrix pack(OperandFormat format, const HostMatrix& matrix, Fp8Type fp8) {
  PackedMatrix packed;
  packed.row_stride = round_up(operand_row_bytes(format, matrix.columns), kRowAlignment);
  packed.data.resize(static_cast<size_t>(matrix.rows * packed.row_stride));
  packed.scales.resize(
      static_cast<size_t>(operand_scale_bytes(format, matrix.rows, matrix.columns)));
  switch (format) {
    case OperandFormat::kMxfp4:
    case OperandFormat::kMxfp8:
      pack_mx(matrix, format == OperandFormat::kMxfp4, &packed);
      break;
    case OperandFormat::kFp8:
      pack_fp8(matrix, fp8, &packed);
      break;
    case OperandFormat::kBf16:
      pack_bf16(matrix, &packed);
      break;
    case OperandFormat::kNvfp4:
      break;  // make_operand's
  }
  return packed;
}

Result<DeviceOperand> make_operand(Context& context, OperandFormat format, const HostMatrix& matrix,
                                   Fp8Type fp8) {
  if (format == OperandFormat::kNvfp4) return quantized(context, matrix);
  const PackedMatrix packed = pack(format, matrix, fp8);
  DeviceOperand result;
  result.operand.fp8 = fp8;
  NIBBLE_TRY_ASSIGN(result.data,
                    upload(context, packed.data.data(), static_cast<int64_t>(packed.data.size())));
  result.operand.data = result.data.address();
  result.operand.row_stride = packed.row_stride;
  if (!packed.scales.empty()) {
    NIBBLE_TRY_ASSIGN(result.scales, upload(context, packed.scales.data(),
                                            static_cast<int64_t>(packed.scales.size())));
    result.operand.scales = result.scales.address();
  }
  if (format == OperandFormat::kFp8) {
    NIBBLE_TRY_ASSIGN(result.factor, upload(context, &packed.scale, sizeof(float)));
    result.operand.scale = result.factor.address();
  }
  return result;
}

}  // namespace nibble::cli
