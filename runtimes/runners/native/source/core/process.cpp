#include "process.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "clocks.h"
#include "failure.h"

namespace edgevit {

void pin(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) {
    if (cpu < 0 || cpu >= CPU_SETSIZE) throw Failure("there is no core " + std::to_string(cpu));
    CPU_SET(static_cast<std::size_t>(cpu), &set);
  }
  if (sched_setaffinity(0, sizeof(set), &set) != 0) {
    throw Failure(std::string("the kernel does not bind to these cores: ") + std::strerror(errno));
  }
}

std::vector<int> usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

std::int64_t peak_memory_bytes() {
  constexpr std::int64_t kKib = 1024;
  if (std::FILE* status = std::fopen("/proc/self/status", "re")) {
    char line[256];
    std::int64_t kib = 0;
    while (std::fgets(line, sizeof(line), status) != nullptr) {
      if (std::strncmp(line, "VmHWM:", 6) == 0) kib = std::strtoll(line + 6, nullptr, 10);
    }
    std::fclose(status);
    if (kib > 0) return kib * kKib;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * kKib;
}

void keep_busy(std::int64_t until_ns) {
  const std::size_t count = std::max<std::size_t>(usable_cpus().size(), 1);
  const auto burn = [until_ns] {
    while (monotonic_ns() < until_ns) {
      volatile std::uint32_t value = 1;
      for (int i = 0; i < 10'000; ++i) value = value * 1664525U + 1013904223U;
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < count; ++i) threads.emplace_back(burn);
  burn();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace edgevit
