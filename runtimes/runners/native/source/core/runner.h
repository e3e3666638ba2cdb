// One request from start to end.
#pragma once

#include <string>

namespace edgevit {

// Name and version of this runner, as it stands in every header line.
extern const char* const kRunner;

// Do what the request in the file `path` asks for. Returns the exit code: 0, or 1 where the run could not be done; then
// the file of lines ends in the reason, which standard error gets as well.
int run_request(const std::string& path);

}  // namespace edgevit
