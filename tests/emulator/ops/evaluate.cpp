// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/emulator/ops/evaluate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "runtime/emulator/machine/device.h"
#include "runtime/emulator/ptx/parser.h"

namespace nibble::emulator {
namespace {

constexpr uint32_t kBlock = 256;
constexpr const char* kNames[] = {"%a", "%b", "%c", "%e"};

size_t bytes_of(const std::string& type) { return std::stoul(type.substr(1)) / 8; }

std::string kernel_text(const std::string& code, const std::string& type,
                        const std::vector<Column>& columns) {
  std::string text =
      ".version 9.0\n.target sm_100a\n.address_size 64\n.visible .entry kernel(.param .u64 out";
  for (size_t i = 0; i < columns.size(); ++i) text += ", .param .u64 in" + std::to_string(i);
  text +=
      ") {\n.reg .pred %p, %q;\n.reg .b32 %i, %t;\n.reg .b64 %at, %from;\n.reg ." + type + " %d;\n";
  for (size_t i = 0; i < columns.size(); ++i) {
    text += ".reg ." + columns[i].type + " " + kNames[i] + ";\n";
  }
  text += "mov.u32 %i, %ctaid.x;\nmov.u32 %t, %tid.x;\nmad.lo.u32 %i, %i, 256, %t;\n";
  for (size_t i = 0; i < columns.size(); ++i) {
    const std::string& column = columns[i].type;
    text += "ld.param.u64 %at, [in" + std::to_string(i) + "];\n";
    text += "mad.wide.u32 %from, %i, " + std::to_string(bytes_of(column)) + ", %at;\n";
    text += "ld.global." + column + " " + kNames[i] + ", [%from];\n";
  }
  text += code + "\nld.param.u64 %at, [out];\nmad.wide.u32 %from, %i, " +
          std::to_string(bytes_of(type)) + ", %at;\nst.global." + type + " [%from], %d;\nret;\n}\n";
  return text;
}

// Device memory holding the values, each in `size` bytes; the rest of the last block is zero.
uint64_t place(GlobalMemory& memory, const Values& values, size_t size, size_t rows) {
  const uint64_t address = memory.allocate(rows * size, 256, "column");
  std::byte* at = memory.find(address, rows * size)->data;
  std::memset(at, 0, rows * size);
  for (size_t i = 0; i < values.size(); ++i) std::memcpy(at + i * size, &values[i], size);
  return address;
}

}  // namespace

Values evaluate(const std::string& code, const std::string& type, std::vector<Column> columns) {
  const size_t count = columns.at(0).values.size();
  const size_t blocks = (count + kBlock - 1) / kBlock;
  const size_t rows = blocks * kBlock;
  GlobalMemory memory(1ull << 28, false);
  std::vector<uint64_t> parameters = {place(memory, {}, bytes_of(type), rows)};
  for (const Column& column : columns) {
    parameters.push_back(place(memory, column.values, bytes_of(column.type), rows));
  }

  ParseError parse_error;
  const auto module = parse_ptx(kernel_text(code, type, columns), parse_error);
  if (!module) {
    ADD_FAILURE() << code << ": " << parse_error.message;
    return Values(count);
  }
  const DeviceModel* model = find_model("sm_100a");
  std::string error;
  const auto program = Program::load(*module, *model, memory, error);
  if (!program) {
    ADD_FAILURE() << code << ": " << error;
    return Values(count);
  }
  Launch launch;
  launch.program = program.get();
  launch.kernel = program->find_kernel("kernel");
  launch.grid = {static_cast<uint32_t>(blocks), 1, 1};
  launch.block = {kBlock, 1, 1};
  launch.parameters = std::as_bytes(std::span(parameters));
  if (const auto fault = run(launch, *model, memory, Settings{})) {
    ADD_FAILURE() << code << ": " << fault->report;
  }
  Values result(count);
  const size_t size = bytes_of(type);
  const std::byte* at = memory.find(parameters[0], rows * size)->data;
  for (size_t i = 0; i < count; ++i) std::memcpy(&result[i], at + i * size, size);
  return result;
}

namespace {

// Every exponent field with a few mantissas, both signs; then random patterns.
Values float_patterns(int exponent_bits, int mantissa_bits, size_t count) {
  std::mt19937_64 random(exponent_bits * 64 + mantissa_bits);
  const uint64_t one = uint64_t{1} << mantissa_bits;
  const uint64_t sign = uint64_t{1} << (exponent_bits + mantissa_bits);
  Values values;
  for (uint64_t field = 0; field < uint64_t{1} << exponent_bits; ++field) {
    // In the wide formats, all but the ends and the middle are left to chance.
    const uint64_t middle = (uint64_t{1} << (exponent_bits - 1)) - 1;
    const uint64_t top = (uint64_t{1} << exponent_bits) - 1;
    const bool dense = field < 4 || field + 4 > top || (field + 40 > middle && field < middle + 70);
    if (exponent_bits > 8 && !dense) continue;
    for (const uint64_t mantissa :
         {uint64_t{0}, uint64_t{1}, one / 2, one / 2 + 1, one - 1, random() & (one - 1)}) {
      values.push_back(field * one + mantissa);
      values.push_back(sign | (field * one + mantissa));
    }
  }
  while (values.size() < count) values.push_back(random() & (2 * sign - 1));
  return values;
}

}  // namespace

Values special_floats(size_t count) { return float_patterns(8, 23, count); }
Values special_doubles(size_t count) { return float_patterns(11, 52, count); }

Values special_integers(int bits, size_t count) {
  std::mt19937_64 random(bits);
  const uint64_t mask = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  Values values;
  for (int bit = 0; bit < bits; ++bit) {
    const uint64_t power = uint64_t{1} << bit;
    for (const uint64_t x : {power, power - 1, power + 1, 0 - power, ~power}) {
      values.push_back(x & mask);
    }
  }
  while (values.size() < count) values.push_back((random() >> (random() % bits)) & mask);
  return values;
}

Pairs pairs(const Values& values, size_t count) {
  std::mt19937_64 random(7);
  Pairs result;
  const size_t stride = std::max<size_t>(values.size() / 60, 1);
  for (size_t i = 0; i < values.size(); i += stride) {
    for (size_t j = 0; j < values.size(); j += stride) {
      result.a.push_back(values[i]);
      result.b.push_back(values[j]);
    }
  }
  while (result.a.size() < count) {
    result.a.push_back(values[random() % values.size()]);
    result.b.push_back(values[random() % values.size()]);
  }
  return result;
}

}  // namespace nibble::emulator
