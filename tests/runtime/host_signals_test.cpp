// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A compiler's signal handlers give way to the host's.
#include "runtime/jit/host_signals.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <string>

#include "runtime/jit/nvrtc.h"

namespace nibble {
namespace {

using namespace std::chrono_literals;

void handler_of_this_program(int) {}

using Handler = void (*)(int);
Handler handler_of(int signal) {
  struct sigaction now = {};
  ::sigaction(signal, nullptr, &now);
  return now.sa_handler;
}
void set_handler(int signal, Handler handler) {
  struct sigaction action = {};
  action.sa_handler = handler;
  ::sigaction(signal, &action, nullptr);
}

bool becomes(int signal, Handler handler) {
  for (int tries = 0; tries < 5000; ++tries) {
    if (handler_of(signal) == handler) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

// The C library stands for the compiler: abs() for its handler.
TEST(HostSignals, TheCompilersHandlersGiveWay) {
  const auto compilers = reinterpret_cast<Handler>(::dlsym(RTLD_DEFAULT, "abs"));
  ASSERT_NE(compilers, nullptr);
  for (const int signal : {SIGINT, SIGTERM, SIGXFSZ}) {
    for (const Handler host : {Handler{SIG_DFL}, Handler{SIG_IGN}, &handler_of_this_program}) {
      struct sigaction before = {};
      ::sigaction(signal, nullptr, &before);
      set_handler(signal, host);
      {
        const HostSignals signals(reinterpret_cast<const void*>(compilers));
        set_handler(signal, compilers);
        EXPECT_TRUE(becomes(signal, host)) << signal;
        set_handler(signal, &handler_of_this_program);  // the host's change is its own
        std::this_thread::sleep_for(5ms);
        EXPECT_EQ(handler_of(signal), &handler_of_this_program) << signal;
        set_handler(signal, compilers);
      }
      EXPECT_EQ(handler_of(signal), &handler_of_this_program) << signal;
      ::sigaction(signal, &before, nullptr);
    }
  }
}

TEST(HostSignals, TheWorkingThreadTakesNone) {
  const auto is_blocked = [] {
    sigset_t mask;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    return sigismember(&mask, SIGINT) == 1 && sigismember(&mask, SIGTERM) == 1;
  };
  const bool inherited = is_blocked();
  {
    const HostSignals signals(nullptr);
    EXPECT_TRUE(is_blocked());
  }
  EXPECT_EQ(is_blocked(), inherited);
}

// Whether SIGINT is blocked in a thread of this process.
bool blocks_interrupts(pid_t thread) {
  std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/status");
  std::string line;
  while (std::getline(status, line)) {
    if (!line.starts_with("SigBlk:")) continue;
    return (std::stoull(line.substr(7), nullptr, 16) >> (SIGINT - 1) & 1) != 0;
  }
  return false;
}

// A compile is guarded: seen from outside, its thread takes no interrupt.
TEST(HostSignals, ACompileIsGuarded) {
  const auto nvrtc = Nvrtc::load("");
  ASSERT_TRUE(nvrtc.ok()) << nvrtc.status().to_string();
  std::atomic<pid_t> thread{0};
  std::atomic<bool> ended{false};
  std::thread compiling([&] {
    thread = ::gettid();
    const auto output =
        nvrtc.value()->compile({"some.cu",
                                "extern \"C\" __global__ void kernel(float* x) { *x = 1; }\n",
                                {},
                                compile_options(*find_arch("sm_90a"), ImageKind::kCubin)});
    EXPECT_TRUE(output.ok());
    ended = true;
  });
  bool guarded = false;
  while (!ended && !guarded) guarded = thread != 0 && blocks_interrupts(thread);
  compiling.join();
  EXPECT_TRUE(guarded);
}

TEST(HostSignals, AfterCompilesTheHandlersAreTheHosts) {
  const auto nvrtc = Nvrtc::load("");
  ASSERT_TRUE(nvrtc.ok()) << nvrtc.status().to_string();
  const Handler inherited = handler_of(SIGTERM);
  set_handler(SIGINT, &handler_of_this_program);
  std::string source = "extern \"C\" __global__ void kernel(float* x) {\n";
  for (int i = 0; i < 300; ++i) source += "x[" + std::to_string(i) + "] *= 2.0f;\n";
  source += "}\n";
  constexpr int kThreads = 4;
  std::vector<std::thread> compiling;
  compiling.reserve(kThreads);
  std::atomic<int> failures{0};
  for (int i = 0; i < kThreads; ++i) {
    compiling.emplace_back([&, i] {
      for (int round = 0; round < 3; ++round) {
        const auto output = nvrtc.value()->compile(
            {"some.cu",
             "// " + std::to_string(i) + std::to_string(round) + "\n" + source,
             {},
             compile_options(*find_arch("sm_90a"), ImageKind::kCubin)});
        failures += output.ok() ? 0 : 1;
      }
    });
  }
  for (std::thread& one : compiling) one.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(handler_of(SIGINT), &handler_of_this_program);
  EXPECT_EQ(handler_of(SIGTERM), inherited);
  set_handler(SIGINT, SIG_DFL);
}

}  // namespace
}  // namespace nibble
