// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// 64 processes of 8 threads start cold on the same 8 kernels, with the real compiler: 8 compiles.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <nibble/nibble.hpp>
#include <thread>
#include <vector>

namespace nibble {
namespace {

constexpr int kProcesses = 64;
constexpr int kThreads = 8;
constexpr int kKeys = 8;

struct Shared {
  std::atomic<int> ready{0};
  std::atomic<uint64_t> compiles{0};
  std::atomic<uint64_t> failures{0};
  std::atomic<uint64_t> launches{0};
};

// Eight requests that need eight kernels: shape classes differ in the rows of a tile.
QuantizeRequest request_of(int key) {
  QuantizeRequest request;
  request.x = {1 << 20, key % 2 == 0 ? DataType::kBf16 : DataType::kF16, 64,
               key % 4 < 2 ? int64_t{64} : int64_t{8192}};
  request.y = {2 << 20, 3 << 20, 4 << 20, key < 4 ? ScaleLayout::kRowMajor : ScaleLayout::k128x4};
  request.amax_given = true;
  return request;
}

void run_process(const Options& options, Shared& shared) {
  ++shared.ready;
  while (shared.ready < kProcesses) usleep(1000);
  Result<Context> context = Context::create(options);
  if (!context.ok()) {
    ++shared.failures;
    return;
  }
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kKeys; ++i) {
        const Status status = quantize(*context, request_of((i + thread) % kKeys));
        ++(status.ok() ? shared.launches : shared.failures);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  shared.compiles += context->statistics().compiles;
}

TEST(Herd, ProcessesThatStartColdCompileEachKernelOnce) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("nibble-herd-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all);
  Options options;
  options.device = "cuda:0";
  options.driver_library = NIBBLE_STUB_DRIVER;
  options.cache_directory = (folder / "cache").string();
  if (const char* nvrtc = std::getenv("NIBBLE_NVRTC_LIBRARY")) options.nvrtc_library = nvrtc;

  void* memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  Shared& shared = *new (memory) Shared;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      run_process(options, shared);
      _exit(0);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  EXPECT_EQ(shared.compiles, static_cast<uint64_t>(kKeys));
  EXPECT_EQ(shared.failures, 0u);
  EXPECT_EQ(shared.launches, static_cast<uint64_t>(kProcesses * kThreads * kKeys));
  munmap(memory, sizeof(Shared));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace nibble
