// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/jit/host_signals.h"

#include <dlfcn.h>
#include <pthread.h>

#include <chrono>
#include <system_error>

namespace nibble {

namespace {

constexpr auto kInterval = std::chrono::microseconds(200);

const void* library_of(const void* address) {
  Dl_info info = {};
  return address != nullptr && ::dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

}  // namespace

HostSignals::HostSignals(const void* compiler) : library_(library_of(compiler)) {
  sigset_t blocked;
  sigemptyset(&blocked);
  for (const int signal : kSignals) sigaddset(&blocked, signal);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &mask_);
  look();
  try {
    watcher_ = std::thread([this] { watch(); });  // blocks them too, as this thread does
  } catch (const std::system_error&) {
    // No thread is to be had: the handlers stay until the compiler puts them back.
  }
}

HostSignals::~HostSignals() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  ended_.notify_one();
  if (watcher_.joinable()) watcher_.join();
  look();
  ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
}

bool HostSignals::is_compilers(const struct sigaction& action) const {
  // The union's members have one address.
  const auto handler = action.sa_handler;
  if (library_ == nullptr || handler == SIG_DFL || handler == SIG_IGN) return false;
  return library_of(reinterpret_cast<const void*>(handler)) == library_;
}

// Puts back the host's handlers, or takes note of them.
void HostSignals::look() {
  for (size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction now = {};
    if (::sigaction(kSignals[i], nullptr, &now) != 0) continue;
    Host& host = host_[i];
    if (!is_compilers(now)) {
      host = {now, true};
    } else if (host.known) {
      ::sigaction(kSignals[i], &host.action, nullptr);
    }
  }
}

void HostSignals::watch() {
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, kInterval, [this] { return ends_; })) look();
}

}  // namespace nibble
