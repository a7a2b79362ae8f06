// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A store among processes: cold herds, sudden death, forks.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <new>
#include <random>
#include <thread>

#include "cache/digest.h"
#include "cache/file_lock.h"
#include "cache/store.h"
#include "tests/cache/scratch.h"

namespace nibble::cache {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::options_for;
using testing::run_child;
using testing::ScratchDirectory;
using testing::start_child;
using testing::wait_for;
using Payload = std::optional<std::string>;

// A value of type T that forked processes share.
template <typename T>
class Shared {
 public:
  Shared() {
    void* memory =
        ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    value_ = new (memory) T();
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { ::munmap(value_, sizeof(T)); }
  T* operator->() const { return value_; }

 private:
  T* value_;
};

std::string key_of(int number) { return KeyText().add("number", number).text(); }

// Different for each key in size and in every byte.
std::string payload_of(int number) {
  std::string payload(3000 + 997 * static_cast<std::size_t>(number), '\0');
  std::minstd_rand random(static_cast<unsigned>(number) + 1);
  for (char& c : payload) c = static_cast<char>(random());
  return payload;
}

struct Herd {
  std::atomic<int> ready{0};
  std::atomic<int> creates{0};
  std::atomic<int> right{0};
  std::atomic<int> hits{0};
};

TEST(Processes, AColdHerdCreatesEachKeyOnce) {
  constexpr int kProcesses = 64;
  constexpr int kThreads = 8;
  constexpr int kKeys = 8;
  const ScratchDirectory scratch;
  const Shared<Herd> herd;
  const auto thread_body = [&](Store& store, int first) {
    herd->ready.fetch_add(1);
    while (herd->ready.load() < kProcesses * kThreads) std::this_thread::sleep_for(milliseconds(1));
    for (int i = 0; i < kKeys; ++i) {
      const int number = (first + i) % kKeys;
      const auto slow = [&] {
        herd->creates.fetch_add(1);
        std::this_thread::sleep_for(milliseconds(50));
        return Payload(payload_of(number));
      };
      if (store.get_or_create(key_of(number), slow) == payload_of(number)) herd->right.fetch_add(1);
    }
  };
  std::vector<pid_t> children;
  children.reserve(kProcesses);
  for (int p = 0; p < kProcesses; ++p) {
    children.push_back(start_child([&, p] {
      StoreOptions options = options_for(scratch / "cache");
      options.lock_timeout = seconds(60);
      Store store(options);
      std::vector<std::thread> threads;
      threads.reserve(kThreads);
      for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] { thread_body(store, p + t); });
      }
      for (std::thread& thread : threads) thread.join();
      const CounterSnapshot counted = store.counters().snapshot();
      herd->hits.fetch_add(static_cast<int>(counted.hits));
      EXPECT_EQ(counted.corrupt + counted.collisions + counted.read_errors, 0U);
      EXPECT_EQ(counted.put_failures + counted.create_failures, 0U);
      EXPECT_EQ(counted.lock_timeouts + counted.flight_timeouts + counted.locks_unavailable, 0U);
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
  EXPECT_EQ(herd->creates.load(), kKeys);
  EXPECT_EQ(herd->right.load(), kProcesses * kThreads * kKeys);
  EXPECT_GT(herd->hits.load(), 0);
  Store store(options_for(scratch / "cache"));
  EXPECT_EQ(store.verify().entries, 8U);
  EXPECT_TRUE(store.verify().damaged.empty());
  EXPECT_EQ(testing::files_in(scratch / "cache/v1/.tmp"), 0U);
}

// Never ends by itself: puts and creates a few keys and checks everything it reads.
[[noreturn]] void work_until_killed(const std::string& directory, unsigned seed) {
  Store store(options_for(directory));
  std::minstd_rand random(seed);
  while (true) {
    const int number = static_cast<int>(random() % 4);
    const std::string key = key_of(number);
    const std::string right = payload_of(number);
    const auto create = [&] {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 500));
      return Payload(right);
    };
    const Payload got = random() % 2 == 0 ? store.get_or_create(key, create)
                                          : (store.put(key, right), store.get(key));
    const CounterSnapshot counted = store.counters().snapshot();
    if ((got && got != right) || counted.corrupt + counted.collisions != 0) ::_exit(3);
    if (random() % 4 == 0) ::unlink(store.entry_path(key).c_str());
  }
}

TEST(Processes, SuddenDeathLeavesNoBadEntryAndNoLock) {
  constexpr int kDeaths = 200;
  const ScratchDirectory scratch;
  Store store(options_for(scratch / "cache"));
  std::minstd_rand random(7);
  const auto start = [&] {
    const auto seed = static_cast<unsigned>(random());
    return start_child([&, seed] { work_until_killed(scratch / "cache", seed); });
  };
  std::array<pid_t, 3> workers = {start(), start(), start()};
  for (int death = 0; death < kDeaths; ++death) {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 15'000));
    pid_t& victim = workers[random() % workers.size()];
    ::kill(victim, SIGKILL);
    ASSERT_EQ(wait_for(victim), 128 + SIGKILL) << "a worker ended by itself: it saw a bad entry";
    victim = start();
    const int number = static_cast<int>(random() % 4);
    const auto before = steady_clock::now();
    ASSERT_EQ(store.get_or_create(key_of(number), [&] { return Payload(payload_of(number)); }),
              payload_of(number));
    ASSERT_LT(steady_clock::now() - before, seconds(10));
  }
  for (const pid_t worker : workers) {
    ::kill(worker, SIGKILL);
    EXPECT_EQ(wait_for(worker), 128 + SIGKILL);
  }
  const CounterSnapshot counted = store.counters().snapshot();
  EXPECT_EQ(counted.corrupt + counted.collisions + counted.read_errors, 0U);
  EXPECT_EQ(counted.lock_timeouts, 0U);
  EXPECT_TRUE(store.verify().damaged.empty());
  for (const auto& item : std::filesystem::directory_iterator(scratch / "cache/v1/.locks")) {
    EXPECT_TRUE(item.is_regular_file()) << item.path();
    FileLock lock;
    EXPECT_EQ(lock.lock(AT_FDCWD, item.path().c_str(), milliseconds(0)), FileLock::Result::kLocked);
  }
}

struct Fork {
  std::atomic<int> grandchild{0};
  std::atomic<bool> holding{false};
};

// The holder of a lock dies while a child that it forked lives on with copies of its descriptors.
TEST(Processes, AForkedChildKeepsNoLock) {
  const ScratchDirectory scratch;
  const Shared<Fork> shared;
  const pid_t holder = start_child([&] {
    Store store(options_for(scratch / "cache"));
    std::thread creator([&] {
      store.get_or_create("key", [&] {
        shared->holding = true;
        std::this_thread::sleep_for(seconds(60));
        return Payload();
      });
    });
    while (!shared->holding) std::this_thread::sleep_for(milliseconds(1));
    const pid_t grandchild = ::fork();
    if (grandchild == 0) {
      ::sleep(60);
      ::_exit(0);
    }
    shared->grandchild = grandchild;
    creator.join();
  });
  while (shared->grandchild == 0) std::this_thread::sleep_for(milliseconds(1));
  std::this_thread::sleep_for(milliseconds(50));  // the grandchild's handlers run in the grandchild
  ::kill(holder, SIGKILL);
  EXPECT_EQ(wait_for(holder), 128 + SIGKILL);
  Store store(options_for(scratch / "cache"));
  const auto before = steady_clock::now();
  EXPECT_EQ(store.get_or_create("key", [] { return Payload("made"); }), "made");
  EXPECT_LT(steady_clock::now() - before, seconds(5));
  EXPECT_EQ(store.counters().snapshot().lock_timeouts, 0U);
  EXPECT_EQ(::kill(shared->grandchild, SIGKILL), 0) << "the grandchild must have been alive";
}

// A child forked while another thread leads a flight: that flight never lands there.
TEST(Processes, AForkedChildStartsWithNoFlights) {
  const ScratchDirectory scratch;
  StoreOptions options = options_for(scratch / "cache");
  options.lock_timeout = milliseconds(300);
  Store store(options);
  std::atomic<bool> release{false};
  const auto slow = [&] {
    while (!release) std::this_thread::sleep_for(milliseconds(1));
    return Payload("parent's");
  };
  std::thread leader([&] { EXPECT_EQ(store.get_or_create("key", slow), "parent's"); });
  while (store.counters().snapshot().creates == 0) std::this_thread::yield();
  std::thread waiter([&] { store.get_or_create("key", slow); });
  while (store.counters().snapshot().flight_waits == 0) std::this_thread::yield();

  EXPECT_EQ(run_child([&] {
              const CounterSnapshot before = store.counters().snapshot();
              EXPECT_EQ(store.get_or_create("key", [] { return Payload("child's"); }), "child's");
              EXPECT_EQ(store.get("key"), "child's");
              const CounterSnapshot after = store.counters().snapshot();
              EXPECT_EQ(after.flight_waits, before.flight_waits);
              EXPECT_EQ(after.lock_timeouts, before.lock_timeouts + 1) << "the parent's lock holds";
            }),
            0);
  release = true;
  leader.join();
  waiter.join();
  EXPECT_EQ(store.get("key"), "parent's");
}

// The create itself forks, and the child uses the store, unwinds and exits.
TEST(Processes, ACreateMayFork) {
  const ScratchDirectory scratch;
  Store store(options_for(scratch / "cache"));
  int status = -1;
  const auto create = [&] {
    status = run_child([&] {
      EXPECT_EQ(store.get_or_create("key", [] { return Payload("child's"); }), "child's");
      EXPECT_EQ(store.get_or_create("other", [] { return Payload("other"); }), "other");
    });
    return Payload("parent's");
  };
  EXPECT_EQ(store.get_or_create("key", create), "parent's");
  EXPECT_EQ(status, 0);
  EXPECT_EQ(store.get("key"), "parent's");
  EXPECT_EQ(store.get("other"), "other");
}

TEST(FileLock, ExcludesAndIsFreed) {
  const ScratchDirectory scratch;
  const std::string path = scratch / "lock";
  FileLock other;
  {
    FileLock lock;
    EXPECT_EQ(lock.lock(AT_FDCWD, path.c_str(), milliseconds(0)), FileLock::Result::kLocked);
    EXPECT_EQ(other.lock(AT_FDCWD, path.c_str(), milliseconds(30)), FileLock::Result::kTimeout);
    EXPECT_EQ(other.descriptor(), -1);
  }
  EXPECT_TRUE(std::filesystem::exists(path)) << "lock files are never removed";
  EXPECT_EQ(other.lock(AT_FDCWD, path.c_str(), milliseconds(0)), FileLock::Result::kLocked);
  FileLock nowhere;
  EXPECT_EQ(nowhere.lock(AT_FDCWD, (path + "/x").c_str(), milliseconds(0)),
            FileLock::Result::kUnavailable);
}

}  // namespace
}  // namespace nibble::cache
