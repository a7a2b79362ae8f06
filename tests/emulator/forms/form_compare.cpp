// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Differences between outputs, and records of digests.
#include "tests/emulator/forms/form_compare.h"

#include <algorithm>
#include <fstream>
#include <iomanip>
#include <sstream>
#include <string_view>

#include "cache/digest.h"

namespace nibble::forms {
namespace {

std::string hexadecimal(uint64_t value, uint32_t bytes) {
  std::ostringstream text;
  text << std::hex << std::setfill('0') << std::setw(static_cast<int>(bytes * 2)) << value;
  return text.str();
}

std::string describe(const Form& form, const std::vector<Bytes>& inputs, const Bytes& a,
                     const Bytes& b, uint64_t index) {
  const uint64_t element = index / form.outputs;
  const uint32_t size = size_of_type(form.output_type);
  std::string text =
      "element " + std::to_string(element) + " value " + std::to_string(index % form.outputs);
  for (size_t k = 0; k < inputs.size(); ++k) {
    const uint32_t bytes = size_of_type(form.inputs[k].type);
    if (form.inputs[k].count != 0) continue;  // not one a thread
    text += (k == 0 ? ": in " : " ") + hexadecimal(value_at(inputs[k], element, bytes), bytes);
  }
  return text + ": a " + hexadecimal(value_at(a, index, size), size) + ", b " +
         hexadecimal(value_at(b, index, size), size);
}

// Places between two floats of `bits` bits, over zero too; NaNs of any payload are one place, and
// far from every number.
uint64_t distance(uint64_t a, uint64_t b, uint32_t bits, uint64_t infinity) {
  const uint64_t sign = uint64_t{1} << (bits - 1);
  const auto magnitude = [&](uint64_t x) { return x & (sign - 1); };
  const bool nan_a = magnitude(a) > infinity;
  const bool nan_b = magnitude(b) > infinity;
  if (nan_a || nan_b) return nan_a && nan_b ? 0 : infinity;
  const bool same_sign = (a & sign) == (b & sign);
  if (!same_sign) return magnitude(a) + magnitude(b);
  return std::max(magnitude(a), magnitude(b)) - std::min(magnitude(a), magnitude(b));
}

uint64_t distance(const std::string& type, uint64_t a, uint64_t b) {
  if (type == "f64") return distance(a, b, 64, uint64_t{0x7FF} << 52);
  if (type == "f32") return distance(a, b, 32, 0x7F800000);
  const uint64_t infinity = type.starts_with("bf16") ? 0x7F80 : 0x7C00;
  const uint64_t low = distance(a & 0xFFFF, b & 0xFFFF, 16, infinity);
  const uint64_t high = distance(a >> 16, b >> 16, 16, infinity);
  return std::max(low, high);
}

}  // namespace

Difference compare(const Form& form, const std::vector<Bytes>& inputs, const Bytes& a,
                   const Bytes& b) {
  Difference difference;
  const uint32_t size = size_of_type(form.output_type);
  const uint64_t values = form.threads() * form.outputs;
  for (uint64_t index = 0; index < values; ++index) {
    const uint64_t x = value_at(a, index, size);
    const uint64_t y = value_at(b, index, size);
    if (x == y) continue;
    if (difference.count++ == 0) difference.first = describe(form, inputs, a, b, index);
    if (!form.approximate) continue;
    const uint64_t ulp = distance(form.output_type, x, y);
    if (ulp <= difference.ulp) continue;
    difference.ulp = ulp;
    difference.worst = describe(form, inputs, a, b, index);
  }
  return difference;
}

std::string digest_of(const Bytes& output) {
  const auto* text = reinterpret_cast<const char*>(output.data());
  return cache::hex(cache::digest(std::string_view(text, output.size())));
}

bool read_record(const std::filesystem::path& path, Record& record, std::string& error) {
  std::ifstream file(path);
  if (!file) {
    error = path.string() + ": cannot be read";
    return false;
  }
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string name;
    std::string digest;
    if (!(words >> name >> digest) || digest.size() != 32) {
      error = path.string() + ":" + std::to_string(number) + ": expected a name and a digest";
      return false;
    }
    record[name] = digest;
  }
  return true;
}

}  // namespace nibble::forms
