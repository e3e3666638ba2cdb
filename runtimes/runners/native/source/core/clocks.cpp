#include "clocks.h"

#include <cerrno>
#include <ctime>

namespace edgevit {

namespace {

constexpr std::int64_t kNsPerS = 1'000'000'000;

std::int64_t read_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * kNsPerS + now.tv_nsec;
}

}  // namespace

std::int64_t monotonic_ns() { return read_ns(CLOCK_MONOTONIC); }

std::int64_t boottime_ns() { return read_ns(CLOCK_BOOTTIME); }

std::int64_t realtime_ns() { return read_ns(CLOCK_REALTIME); }

void sleep_until_ns(std::int64_t moment_ns) {
  if (moment_ns <= monotonic_ns()) return;
  timespec moment{};
  moment.tv_sec = static_cast<decltype(moment.tv_sec)>(moment_ns / kNsPerS);
  moment.tv_nsec = static_cast<decltype(moment.tv_nsec)>(moment_ns % kNsPerS);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, nullptr) == EINTR) {
  }
}

}  // namespace edgevit
