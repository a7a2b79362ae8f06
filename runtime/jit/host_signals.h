// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Keeps a compiler's signal handlers away from the process that it is loaded into.
//
// While NVRTC's front end works, SIGINT, SIGTERM and SIGXFSZ of the whole process have its handler
// (seen in 13.0), which calls exit(): the host's own handler does not run, and where the signal
// meets a thread inside of malloc, that thread waits for itself for ever. At the end of its front
// end NVRTC puts back what it found.
#pragma once

#include <array>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

namespace nibble {

// While one lives, a handler of those signals that lies in the compiler's library gives way to the
// host's within a millisecond or so, and the thread that made it, which works, takes none of them.
// To be destroyed by the same thread. Any number at a time.
class HostSignals {
 public:
  // `compiler`: an address in its library.
  explicit HostSignals(const void* compiler);
  ~HostSignals();
  HostSignals(const HostSignals&) = delete;
  HostSignals& operator=(const HostSignals&) = delete;

 private:
  static constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGXFSZ};
  struct Host {
    struct sigaction action = {};
    bool known = false;
  };

  bool is_compilers(const struct sigaction& action) const;
  void look();
  void watch();

  const void* library_ = nullptr;  // where it is mapped
  std::array<Host, kSignals.size()> host_{};
  sigset_t mask_{};  // of the thread, before
  std::mutex mutex_;
  std::condition_variable ended_;
  bool ends_ = false;
  std::thread watcher_;
};

}  // namespace nibble
