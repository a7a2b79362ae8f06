// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A form: one .ptx file that runs one instruction form on many inputs. Its `//!` lines say how:
//
//   //! in f32 special          one line for each input, one element a thread:
//                               special  hand-chosen values, crossed with those of the other
//                                        inputs, then random bits
//                               random   bits of a counter-based generator
//                               all      every 16-bit pattern in turn
//                      `count=N` behind it: N elements instead
//   //! map in0 type=bf16 dims=64,32 strides=128 box=32,16 swizzle=128B
//                      a tensor map over an input or `out`, for each one parameter behind the
//                      inputs: `.param .align 64 .b8 map0[128]`. Also steps=1,2 (element strides),
//                      fill=nan; of im2col maps lower=-1,0 upper=0,-1 pixels=32, the box is the
//                      channels
//   //! out u32 3               the output's type and its values per thread
//   //! launch 16 256           grid and block; `2,3,1 8,4,2` in more dimensions; shared=BYTES
//   //! target sm_90a
//   //! expect NAME             a function of forms_expect.cpp: forms that no recorded card has
//   //! approximate             outputs are compared by their distance, not their bits
//
// The kernel is `kernel(.param .u64 out, .param .u64 in0, .param .u64 in1, ...)`. Clusters: by the
// directive .reqnctapercluster.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace nibble::forms {

using Bytes = std::vector<std::byte>;

enum class Generator { kSpecial, kRandom, kAll };

struct Input {
  std::string type;  // "f32", "bf16x2", "s64", ...
  Generator generator = Generator::kSpecial;
  uint64_t count = 0;  // elements; 0: one a thread
};

// Numbers as cuTensorMapEncodeTiled and cuTensorMapEncodeIm2col take them.
struct Map {
  uint32_t buffer = 0;  // of the kernel's parameters: 0 is out, 1 in0
  int type = 0, swizzle = 0;
  bool fills_nan = false;
  std::vector<uint64_t> dims, strides;
  std::vector<uint32_t> box, steps;
  std::vector<int> lower, upper;  // im2col
  uint32_t pixels = 0;            // im2col; 0: a map of tiles
};

struct Form {
  std::string name;  // "integer/add_u32": the last folder and the file's stem
  std::string text;  // PTX
  std::vector<Input> inputs;
  std::vector<Map> maps;
  std::string output_type;
  uint32_t outputs = 0;  // values per thread
  std::array<uint32_t, 3> grid = {1, 1, 1};
  std::array<uint32_t, 3> block = {1, 1, 1};
  uint32_t dynamic_shared = 0;  // bytes
  std::string target;
  std::string expect;
  bool approximate = false;

  uint64_t threads() const;
  uint64_t output_bytes() const;
};

// Bytes of one value of a type; 0 for a type that forms do not have.
uint32_t size_of_type(const std::string& type);

// The value of `bytes` bytes at `index` of an array, zero-extended.
uint64_t value_at(const Bytes& array, uint64_t index, uint32_t bytes);

// False with the file, the line and the rule in `error`.
bool read_form(const std::filesystem::path& path, Form& form, std::string& error);

// The forms of files and folders (searched deep), by name.
bool read_forms(const std::vector<std::filesystem::path>& paths, std::vector<Form>& forms,
                std::string& error);

// The inputs' arrays: a function of the header alone, the same on every machine.
std::vector<Bytes> make_inputs(const Form& form);

}  // namespace nibble::forms
