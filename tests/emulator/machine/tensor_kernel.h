// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A kernel around some tcgen05 instructions: images of shared and tensor memory go in, tensor
// memory comes out. One block of four warps, or a pair; one thread of the first executes the
// instructions.
#pragma once

#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {

class TensorKernel {
 public:
  static constexpr uint32_t kLanes = 128;

  // `columns`: of tensor memory, that are set, allocated and read back; a multiple of 32.
  TensorKernel(uint32_t blocks, uint32_t columns, uint32_t shared_bytes)
      : blocks_(blocks),
        columns_(columns),
        shared_(blocks, std::vector<std::byte>(shared_bytes)),
        tensor_(blocks, std::vector<uint32_t>(size_t{kLanes} * columns)) {}

  std::string target = "sm_100a";
  Settings settings;
  // The instructions. %tmem: the allocation's address; %smem: the image's, in shared memory;
  // %rd<40> and %r<40> (from 8 on) are free; %p1 is true, %p2 false.
  std::string body;
  // What all warps execute before tensor memory is read back, %mine being its first address for the
  // warp.
  std::string before_reading;

  std::vector<std::byte>& shared(uint32_t block = 0) { return shared_[block]; }
  uint32_t& tensor(uint32_t lane, uint32_t column, uint32_t block = 0) {
    return tensor_[block][size_t{lane} * columns_ + column];
  }
  // Sets the bits of an element at a bit offset of shared memory.
  void put_bits(uint32_t block, uint64_t bit, uint32_t width, uint32_t value) {
    for (uint32_t i = 0; i < width; ++i, ++bit) {
      auto& byte = shared_[block][bit / 8];
      const auto mask = static_cast<std::byte>(1u << bit % 8);
      byte = (value >> i & 1) != 0 ? byte | mask : byte & ~mask;
    }
  }

  // A descriptor of the image's byte `offset` in register %rd`r`.
  static std::string descriptor(uint32_t r, uint32_t offset, uint64_t rest) {
    const std::string rd = "%rd" + std::to_string(r);
    return "add.u32 %r8, %smem, " + std::to_string(offset) + ";\nand.b32 %r8, %r8, 0x3FFFF;\n" +
           "shr.u32 %r8, %r8, 4;\ncvt.u64.u32 " + rd + ", %r8;\nor.b64 " + rd + ", " + rd + ", " +
           std::to_string(rest) + ";\n";
  }

  std::optional<Fault> run() {
    Machine machine(target, settings);
    if (!machine.load(text())) return Fault{Fault::Kind::kLaunchConfig, machine.error};
    std::vector<std::byte> shared;
    std::vector<uint32_t> tensor;
    for (uint32_t block = 0; block < blocks_; ++block) {
      shared.insert(shared.end(), shared_[block].begin(), shared_[block].end());
      tensor.insert(tensor.end(), tensor_[block].begin(), tensor_[block].end());
    }
    const uint64_t a = machine.buffer(shared), b = machine.buffer(tensor);
    auto fault = machine.run("test", {blocks_, 1, 1}, {128, 1, 1}, {a, b}, {blocks_, 1, 1},
                             static_cast<uint32_t>(shared_[0].size()));
    const auto back = machine.read<uint32_t>(b, tensor.size());
    for (uint32_t block = 0; block < blocks_; ++block) {
      std::memcpy(tensor_[block].data(), back.data() + block * tensor_[block].size(),
                  tensor_[block].size() * sizeof(uint32_t));
    }
    return fault;
  }

  std::string text() const;

 private:
  // The warp's lanes of tensor memory from or to %rd3, eight columns at a time.
  std::string move_all(bool reads) const {
    std::string text;
    const std::string registers = "{%v0, %v1, %v2, %v3, %v4, %v5, %v6, %v7}";
    for (uint32_t column = 0; column < columns_; column += 8) {
      const std::string at = std::to_string(column), bytes = std::to_string(column * 4);
      const std::string half = "{%v0, %v1, %v2, %v3}", rest = "{%v4, %v5, %v6, %v7}";
      const std::string second = std::to_string(column * 4 + 16);
      if (reads) {
        text += "tcgen05.ld.sync.aligned.32x32b.x8.b32 " + registers + ", [%mine+" + at + "];\n" +
                "tcgen05.wait::ld.sync.aligned;\n" + "st.global.v4.b32 [%rd3+" + bytes + "], " +
                half + ";\nst.global.v4.b32 [%rd3+" + second + "], " + rest + ";\n";
      } else {
        text += "ld.global.v4.b32 " + half + ", [%rd3+" + bytes + "];\nld.global.v4.b32 " + rest +
                ", [%rd3+" + second + "];\n" + "tcgen05.st.sync.aligned.32x32b.x8.b32 [%mine+" +
                at + "], " + registers + ";\n";
      }
    }
    return text;
  }

  uint32_t blocks_, columns_;
  std::vector<std::vector<std::byte>> shared_;
  std::vector<std::vector<uint32_t>> tensor_;
};

inline std::string TensorKernel::text() const {
  const std::string group = ".cta_group::" + std::to_string(blocks_);
  const std::string columns = std::to_string(std::bit_ceil(columns_));
  const std::string bytes = std::to_string(shared_[0].size());
  const std::string sync = blocks_ == 1 ? "bar.sync 0;\n"
                                        : "barrier.cluster.arrive.aligned;\n"
                                          "barrier.cluster.wait.aligned;\n";
  const std::string commit =
      blocks_ == 1
          ? "tcgen05.commit" + group + ".mbarrier::arrive::one.shared::cluster.b64 [%bar];\n"
          : "tcgen05.commit" + group +
                ".mbarrier::arrive::one.shared::cluster.multicast::cluster.b64 [%bar], "
                "%mask;\n";
  return ".version 9.0\n.target " + target + "\n.address_size 64\n" + R"(
.extern .shared .align 1024 .b8 image[];
.visible .entry test(.param .u64 a, .param .u64 b)
{
.shared .align 8 .b64 bar;
.shared .align 4 .b32 slot;
.reg .pred %p<9>; .reg .b16 %mask; .reg .b32 %r<40>, %v<8>, %tmem, %mine, %smem, %bar, %slot;
.reg .b64 %rd<40>;
ld.param.u64 %rd1, [a];
ld.param.u64 %rd2, [b];
mov.b16 %mask, 3;
mov.u32 %r1, %tid.x;
mov.u32 %r2, %cluster_ctarank;
mov.u32 %smem, image;
mov.u32 %bar, bar;
mov.u32 %slot, slot;
setp.eq.u32 %p1, %r1, %r1;
setp.ne.u32 %p2, %r1, %r1;
shr.u32 %r3, %r1, 5;
mad.wide.u32 %rd1, %r2, )" +
         bytes + R"(, %rd1;
mad.lo.u32 %r4, %r2, 128, %r1;
mad.wide.u32 %rd3, %r4, )" +
         std::to_string(columns_ * 4) + R"(, %rd2;
shl.b32 %r4, %r1, 4;
LOAD:
setp.ge.u32 %p3, %r4, )" +
         bytes + R"(;
@%p3 bra LOADED;
cvt.u64.u32 %rd4, %r4;
add.u64 %rd4, %rd1, %rd4;
ld.global.v4.b32 {%v0, %v1, %v2, %v3}, [%rd4];
add.u32 %r5, %smem, %r4;
st.shared.v4.b32 [%r5], {%v0, %v1, %v2, %v3};
add.u32 %r4, %r4, 2048;
bra LOAD;
LOADED:
fence.proxy.async.shared::cta;
setp.ne.u32 %p3, %r1, 0;
@%p3 bra READY;
mbarrier.init.shared::cta.b64 [%bar], 1;
fence.mbarrier_init.release.cluster;
READY:
)" + sync +
         R"(setp.ne.u32 %p3, %r3, 0;
@%p3 bra ALLOCATED;
tcgen05.alloc)" +
         group + ".sync.aligned.shared::cta.b32 [%slot], " + columns + R"(;
tcgen05.relinquish_alloc_permit)" +
         group + R"(.sync.aligned;
ALLOCATED:
)" + sync +
         R"(ld.shared.b32 %tmem, [%slot];
shl.b32 %mine, %r3, 21;
add.u32 %mine, %mine, %tmem;
)" + move_all(false) +
         R"(tcgen05.wait::st.sync.aligned;
tcgen05.fence::before_thread_sync;
)" + sync +
         R"(tcgen05.fence::after_thread_sync;
or.b32 %r4, %r1, %r2;
setp.ne.u32 %p3, %r4, 0;
@%p3 bra ISSUED;
)" + body +
         commit +
         R"(ISSUED:
mbarrier.try_wait.parity.shared::cta.b64 %p3, [%bar], 0;
@!%p3 bra ISSUED;
tcgen05.fence::after_thread_sync;
)" + before_reading +
         move_all(true) + R"(tcgen05.fence::before_thread_sync;
)" + sync +
         R"(setp.ne.u32 %p3, %r3, 0;
@%p3 bra DONE;
tcgen05.dealloc)" +
         group + ".sync.aligned.b32 %tmem, " + columns + R"(;
DONE:
ret;
}
)";
}

}  // namespace nibble::emulator
