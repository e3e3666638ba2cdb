// Whole files, in and out.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace edgevit {

// Throws Failure with the name and the system's reason.
std::vector<std::byte> read_file(const std::string& path);

// Write under another name, flush to the disk, then move to `path`: what stands there is whole. Throws Failure; what
// was at `path` is then as it was.
void write_file(const std::string& path, std::string_view data);

}  // namespace edgevit
