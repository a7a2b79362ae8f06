// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Reads forms and their headers.
#include "tests/emulator/forms/form.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

namespace nibble::forms {
namespace {

constexpr uint32_t kMaxOutputs = 128;

bool read_dimensions(const std::string& word, std::array<uint32_t, 3>& dimensions) {
  uint32_t x = 0;
  uint32_t y = 1;
  uint32_t z = 1;
  if (std::sscanf(word.c_str(), "%u,%u,%u", &x, &y, &z) < 1) return false;
  dimensions = {x, y, z};
  return x != 0 && y != 0 && z != 0;
}

std::string read_input(std::istringstream& words, Form& form) {
  static const std::map<std::string, Generator> kGenerators = {
      {"special", Generator::kSpecial}, {"random", Generator::kRandom}, {"all", Generator::kAll}};
  Input input;
  std::string generator;
  words >> input.type >> generator;
  const uint32_t size = size_of_type(input.type);
  if (size == 0) return "unknown type '" + input.type + "'";
  const auto found = kGenerators.find(generator);
  if (found == kGenerators.end()) return "unknown generator '" + generator + "'";
  input.generator = found->second;
  if (input.generator == Generator::kAll && size != 2) return "'all' is for 16-bit types";
  if (std::string count; words >> count) {
    unsigned long long number = 0;
    if (std::sscanf(count.c_str(), "count=%llu", &number) != 1 || number == 0) {
      return "expected count=N, not '" + count + "'";
    }
    input.count = number;
  }
  form.inputs.push_back(input);
  return {};
}

std::string read_output(std::istringstream& words, Form& form) {
  words >> form.output_type >> form.outputs;
  if (size_of_type(form.output_type) == 0) return "unknown type '" + form.output_type + "'";
  if (form.outputs < 1 || form.outputs > kMaxOutputs) return "values per thread: 1 to 128";
  return {};
}

std::string read_launch(std::istringstream& words, Form& form) {
  std::string grid;
  std::string block;
  std::string shared;
  words >> grid >> block >> shared;
  if (!read_dimensions(grid, form.grid)) return "bad grid '" + grid + "'";
  if (!read_dimensions(block, form.block)) return "bad block '" + block + "'";
  if (!shared.empty() && std::sscanf(shared.c_str(), "shared=%u", &form.dynamic_shared) != 1) {
    return "expected shared=BYTES, not '" + shared + "'";
  }
  return {};
}

template <class T>
std::vector<T> read_list(const std::string& text) {
  std::vector<T> list;
  std::istringstream items(text);
  for (std::string item; std::getline(items, item, ',');) {
    list.push_back(static_cast<T>(std::strtoll(item.c_str(), nullptr, 0)));
  }
  return list;
}

int index_in(const std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? -1 : static_cast<int>(found - names.begin());
}

std::string read_map_word(const std::string& key, const std::string& value, Map& map) {
  // In the order of CUtensorMapDataType and CUtensorMapSwizzle.
  static const std::vector<std::string> kTypes = {
      "u8",  "u16",  "u32",     "s32",  "u64",      "s64",   "f16",       "f32",
      "f64", "bf16", "f32.ftz", "tf32", "tf32.ftz", "b4x16", "b4x16_p64", "b6x16_p32"};
  static const std::vector<std::string> kSwizzles = {
      "none", "32B", "64B", "128B", "128B_atom_32B", "128B_atom_32B_flip_8B", "128B_atom_64B"};
  if (key == "type") {
    map.type = index_in(kTypes, value);
    return map.type >= 0 ? "" : "unknown type of a map";
  }
  if (key == "swizzle") {
    map.swizzle = index_in(kSwizzles, value);
    return map.swizzle >= 0 ? "" : "unknown swizzle";
  }
  if (key == "dims") {
    map.dims = read_list<uint64_t>(value);
  } else if (key == "strides") {
    map.strides = read_list<uint64_t>(value);
  } else if (key == "box") {
    map.box = read_list<uint32_t>(value);
  } else if (key == "steps") {
    map.steps = read_list<uint32_t>(value);
  } else if (key == "lower") {
    map.lower = read_list<int>(value);
  } else if (key == "upper") {
    map.upper = read_list<int>(value);
  } else if (key == "pixels") {
    map.pixels = static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 0));
  } else if (key == "fill" && value == "nan") {
    map.fills_nan = true;
  } else {
    return "unknown '" + key + "=" + value + "'";
  }
  return {};
}

std::string read_map(std::istringstream& words, Form& form) {
  Map map;
  std::string word;
  words >> word;
  if (word != "out" && std::sscanf(word.c_str(), "in%u", &map.buffer) != 1) {
    return "a map is over out or an input, not '" + word + "'";
  }
  if (word != "out") ++map.buffer;
  if (map.buffer > form.inputs.size()) return "no such input '" + word + "'";
  while (words >> word) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) return "expected key=value, not '" + word + "'";
    std::string wrong = read_map_word(word.substr(0, equals), word.substr(equals + 1), map);
    if (!wrong.empty()) return wrong;
  }
  const size_t rank = map.dims.size();
  if (map.steps.empty()) map.steps.assign(rank, 1);
  if (rank < 1 || rank > 5 || map.strides.size() + 1 != rank || map.steps.size() != rank) {
    return "dims, strides and steps of a map do not fit";
  }
  if (map.pixels == 0
          ? map.box.size() != rank
          : map.box.size() != 1 || map.lower.size() + 2 != rank || map.upper.size() + 2 != rank) {
    return "the box of a map does not fit";
  }
  form.maps.push_back(map);
  return {};
}

// One header line without its `//!`; what is wrong with it, or nothing.
std::string read_line(const std::string& line, Form& form) {
  std::istringstream words(line);
  std::string key;
  words >> key;
  if (key == "in") return read_input(words, form);
  if (key == "out") return read_output(words, form);
  if (key == "map") return read_map(words, form);
  if (key == "launch") return read_launch(words, form);
  if (key == "target") return words >> form.target ? "" : "expected a target";
  if (key == "expect") return words >> form.expect ? "" : "expected a name";
  if (key != "approximate") return "unknown key '" + key + "'";
  form.approximate = true;
  return {};
}

}  // namespace

uint64_t Form::threads() const {
  uint64_t count = 1;
  for (int axis = 0; axis < 3; ++axis) count *= uint64_t{grid[axis]} * block[axis];
  return count;
}

uint64_t Form::output_bytes() const { return threads() * outputs * size_of_type(output_type); }

uint32_t size_of_type(const std::string& type) {
  static const std::map<std::string, uint32_t> kSizes = {
      {"b8", 1},     {"u8", 1},    {"s8", 1},    {"b16", 2},    {"u16", 2},   {"s16", 2},
      {"f16", 2},    {"bf16", 2},  {"b32", 4},   {"u32", 4},    {"s32", 4},   {"f32", 4},
      {"b64", 8},    {"u64", 8},   {"s64", 8},   {"f64", 8},    {"f16x2", 4}, {"f32x2", 8},
      {"bf16x2", 4}, {"u16x2", 4}, {"s16x2", 4}, {"e4m3x2", 2}, {"e5m2x2", 2}};
  const auto found = kSizes.find(type);
  return found == kSizes.end() ? 0 : found->second;
}

uint64_t value_at(const Bytes& array, uint64_t index, uint32_t bytes) {
  uint64_t value = 0;
  std::memcpy(&value, array.data() + index * bytes, bytes);
  return value;
}

bool read_form(const std::filesystem::path& path, Form& form, std::string& error) {
  std::ifstream file(path);
  if (!file) {
    error = path.string() + ": cannot be read";
    return false;
  }
  form = {};
  form.name = (path.parent_path().filename() / path.stem()).string();
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    form.text += line + '\n';
    if (!line.starts_with("//!")) continue;
    const std::string wrong = read_line(line.substr(3), form);
    if (wrong.empty()) continue;
    error = path.string() + ":" + std::to_string(number) + ": " + wrong;
    return false;
  }
  if (form.outputs == 0 || form.target.empty()) error = path.string() + ": needs out and target";
  return error.empty();
}

bool read_forms(const std::vector<std::filesystem::path>& paths, std::vector<Form>& forms,
                std::string& error) {
  std::vector<std::filesystem::path> files;
  for (const auto& path : paths) {
    if (!std::filesystem::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      if (entry.path().extension() == ".ptx") files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    if (!read_form(file, forms.emplace_back(), error)) return false;
  }
  return true;
}

}  // namespace nibble::forms
