// What the kernel says of this process.
#pragma once

#include <cstdint>
#include <vector>

namespace edgevit {

// Bind this process, and the threads that it will start, to these cores. Throws Failure with the kernel's reason.
void pin(const std::vector<int>& cpus);

// The cores that this process may use, ascending, as the kernel tells.
std::vector<int> usable_cpus();

// Peak resident memory of this program in bytes. VmHWM belongs to the address space, which exec replaces; ru_maxrss is
// that of whatever forked this process where that was larger, and stands in where there is no /proc.
std::int64_t peak_memory_bytes();

// Keep all cores that this process may use busy until the monotonic clock shows `until_ns`.
void keep_busy(std::int64_t until_ns);

}  // namespace edgevit
