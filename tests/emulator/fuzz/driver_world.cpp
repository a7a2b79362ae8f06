// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/emulator/fuzz/driver_world.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace nibble::fuzz {
namespace {

constexpr const char* kPtx = R"(.version 8.0
.target sm_90
.address_size 64
.global .align 4 .u32 counter = 7;
.visible .entry copy(.param .u64 pa, .param .u64 pb, .param .u32 pn)
{
.reg .pred %p<2>;
.reg .b32 %r<6>;
.reg .b64 %rd<6>;
ld.param.u64 %rd1, [pa];
ld.param.u64 %rd2, [pb];
setp.lt.u64 %p1, %rd1, 4096;
@%p1 ret;
mov.u32 %r2, %tid.x;
mul.wide.u32 %rd4, %r2, 4;
add.s64 %rd1, %rd1, %rd4;
add.s64 %rd2, %rd2, %rd4;
ld.global.u32 %r1, [%rd1];
st.global.u32 [%rd2], %r1;
ret;
}
.visible .entry spin() { .reg .pred p; .reg .b32 r; mov.u32 r, 0; L: add.u32 r, r, 1;
setp.lt.u32 p, r, 40; @p bra L; ret; }
.visible .entry quick() { ret; }
.visible .entry wide() .reqnctapercluster 2, 1, 1 { ret; }
.visible .entry exact() .reqntid 32, 1, 1 { .shared .b8 s[1024]; .reg .b32 x; mov.u32 x, s; ret; }
.visible .entry trapped() { trap; ret; }
)";

constexpr uint32_t kFatMagic = 0xBA55ED50;
constexpr size_t kFatHeaderBytes = 16, kFatEntryBytes = 64;

std::vector<std::byte>& host_memory() {
  static std::vector<std::byte> memory(2 * kHostBytes);
  return memory;
}

// Each points to a block as large as parameters can be.
std::vector<void*>& parameter_pointers() {
  static std::vector<void*> pointers(kMostParameters, host_memory().data());
  return pointers;
}

template <class T>
void put(std::string& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

template <class T>
T get(const std::string& bytes, size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

World::World(Random& random, Tally& tally, const Mutator& mutator)
    : random(random),
      tally(tally),
      mutator(mutator),
      host_(host_memory()),
      parameters_(parameter_pointers()) {}

uint64_t World::any_handle(Kind kind) {
  auto& own = handles_[static_cast<size_t>(kind)];
  auto& others = random.pick(handles_);
  const size_t draw = random.below(20);
  if (draw < 16 && !own.empty()) return draw < 8 ? own.back() : random.pick(own);
  if (draw == 18 && !others.empty()) return random.pick(others);
  if (draw == 16 && !own.empty()) return random.pick(own) ^ uint64_t { 1 } << random.below(64);
  if (draw == 17) return random.number();
  return random.below(3);  // null and the default streams
}

void World::keep_value(Kind kind, CUresult result, uint64_t value) {
  if (result == CUDA_SUCCESS) handles_[static_cast<size_t>(kind)].push_back(value);
}

void World::keep_memory(CUresult result, uint64_t address, uint64_t size) {
  if (result != CUDA_SUCCESS) return;
  memory_.push_back({address, size});
  for (size_t i = 0; i < 4; ++i) std::memcpy(host_.data() + 8 * i, &address, sizeof address);
}

uint64_t World::device_address() {
  if (random.one_in(24)) return random.one_in(2) ? 0 : random.number();
  if (memory_.empty()) return 0;
  const Allocation& allocation = random.pick(memory_);
  if (random.one_in(3)) return allocation.address + random.below(allocation.size + 600);
  return allocation.address;
}

uint64_t World::unified_address() {
  if (memory_.empty() || random.one_in(3)) return reinterpret_cast<uint64_t>(host());
  const Allocation& allocation = random.pick(memory_);
  return allocation.address + (random.one_in(3) ? random.below(allocation.size) : 0);
}

uint64_t World::size() {
  if (random.one_in(30)) return random.number();
  return random.one_in(4) ? random.below(kHostBytes) : random.below(600);
}

const char* World::name() {
  static constexpr const char* kNames[] = {
      "copy",    "spin",    "quick",      "wide",   "exact",
      "trapped", "counter", "cuMemAlloc", "cuInit", "cuStreamBeginCapture",
      "",        "cu"};
  if (random.one_in(24)) return nullptr;
  name_ = random.pick(kNames);
  if (random.one_in(6)) name_ += static_cast<char>(1 + random.below(255));
  return name_.c_str();
}

// Without `may_lie` the header's sizes, whatever was damaged, do not lead out of the bytes.
std::string World::fat_binary(const std::string& ptx, bool may_lie) {
  std::string bytes(kFatHeaderBytes + kFatEntryBytes, '\0');
  bytes += ptx;
  put<uint32_t>(bytes, 0, kFatMagic);
  put<uint16_t>(bytes, 6, kFatHeaderBytes);
  put<uint64_t>(bytes, 8, kFatEntryBytes + ptx.size());
  put<uint16_t>(bytes, 16, 1);  // PTX
  put<uint32_t>(bytes, 20, kFatEntryBytes);
  put<uint64_t>(bytes, 24, ptx.size());
  put<uint32_t>(bytes, 44, 90);
  for (size_t i = random.below(4); i > 0; --i) {
    bytes[random.below(kFatHeaderBytes + kFatEntryBytes)] = static_cast<char>(random.below(256));
  }
  if (random.one_in(4)) bytes += bytes.substr(kFatHeaderBytes);  // two entries
  if (may_lie) return bytes;
  const auto header = std::min<size_t>(get<uint16_t>(bytes, 6), bytes.size());
  put<uint16_t>(bytes, 6, static_cast<uint16_t>(header));
  put<uint64_t>(bytes, 8, std::min<uint64_t>(get<uint64_t>(bytes, 8), bytes.size() - header));
  return bytes + std::string(kFatEntryBytes, '\0');
}

const void* World::image() {
  if (wants_good_image) return kPtx;
  if (random.one_in(40)) return nullptr;
  image_ = random.one_in(3) ? kPtx : mutator.mutate(kPtx, random);
  if (random.one_in(6)) image_ = mutator.mutate(mutator.seed(random), random);
  if (random.one_in(4)) image_ = fat_binary(image_, false);
  if (random.one_in(40))
    image_ =
        "\x7F"
        "ELF" +
        image_;
  return image_.c_str();
}

const char* World::path() {
  static const std::string kPath =
      (std::filesystem::temp_directory_path() / ("nibble_fuzz_" + std::to_string(getpid())))
          .string();
  if (random.one_in(4)) return random.one_in(2) ? nullptr : "/nowhere";
  std::string bytes = random.one_in(2) ? fat_binary(kPtx, true) : kPtx;
  if (random.one_in(2)) bytes = mutator.mutate(bytes, random);
  if (random.one_in(8)) bytes = "\xB1\x43\x62\x46" + bytes;
  std::ofstream(kPath, std::ios::binary) << bytes;
  return kPath.c_str();
}

void** World::parameters(bool is_extra) {
  if (!is_extra) return random.one_in(16) ? nullptr : parameters_.data();
  if (!random.one_in(8)) return nullptr;
  extra_size_ = random.below(300);
  extra_ = {CU_LAUNCH_PARAM_BUFFER_POINTER, host_.data(), CU_LAUNCH_PARAM_BUFFER_SIZE,
            &extra_size_};
  if (random.one_in(4)) extra_[2 * random.below(2)] = reinterpret_cast<void*>(3 + random.below(9));
  if (random.one_in(8)) extra_[1 + 2 * random.below(2)] = nullptr;
  return extra_.data();
}

}  // namespace nibble::fuzz
