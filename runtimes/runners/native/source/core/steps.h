// The schedule, done literally, one step after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "request.h"

namespace edgevit {

struct Stamp {
  std::int64_t start_ns = 0, end_ns = 0;            // monotonic
  std::int64_t boot_start_ns = 0, boot_end_ns = 0;  // boot time, read outside of the other two
};

struct Stamps {
  std::vector<Stamp> runs, controls;
};

// Rest, then run `count` times, or wait where that is 0. A gap lasts to a moment, counted from the end of what was
// before; memory for the stamps is taken before the first step; a control passes through the same lines as a run.
Stamps do_steps(const std::function<void()>& run, const std::vector<Step>& schedule);

}  // namespace edgevit
