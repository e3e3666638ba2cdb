// The one exception of the runner: its words go to the error line as they are.
#pragma once

#include <stdexcept>
#include <string>

namespace edgevit {

struct Failure : std::runtime_error {
  explicit Failure(const std::string& words) : std::runtime_error(words) {}
};

}  // namespace edgevit
