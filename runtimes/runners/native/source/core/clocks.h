// The clocks of a run, in ns. `monotonic` stops while the device is suspended, `boottime` does not.
#pragma once

#include <cstdint>

namespace edgevit {

std::int64_t monotonic_ns();
std::int64_t boottime_ns();
std::int64_t realtime_ns();

// Sleep until the monotonic clock shows `moment_ns`; at once where it is past.
void sleep_until_ns(std::int64_t moment_ns);

}  // namespace edgevit
