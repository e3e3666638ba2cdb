#include "calls.h"

#include <algorithm>
#include <cstring>

#include "../../core/failure.h"

namespace edgevit::litert {
namespace {

constexpr const char* kMark = "ERROR: ";    // of TFLite and of LiteRT, as "ERROR: [file:line] text"
constexpr const char* kOldMark = "E0000 ";  // of LiteRT before 2.1.0, as "E0000 time thread file:line] text"
constexpr const char* kPlaceEnds = "] ";

bool begins_with(const std::string& line, const char* mark) { return line.compare(0, std::strlen(mark), mark) == 0; }

std::string error_in(const std::string& line) {
  const bool marked = begins_with(line, kMark);
  if (!marked && !begins_with(line, kOldMark)) return "";
  const bool placed = !marked || line.compare(std::strlen(kMark), 1, "[") == 0;
  const std::size_t place = placed ? line.find(kPlaceEnds) : std::string::npos;
  return line.substr(place != std::string::npos ? place + std::strlen(kPlaceEnds) : marked ? std::strlen(kMark) : 0);
}

}  // namespace

std::string errors_in(const std::string& words) {
  std::string errors;
  for (std::size_t start = 0; start < words.size();) {
    const std::size_t end = std::min(words.find('\n', start), words.size());
    const std::string error = error_in(words.substr(start, end - start));
    if (!error.empty()) errors += (errors.empty() ? "" : "; ") + error;
    start = end + 1;
  }
  return errors;
}

void Calls::require(Status status, const char* what) const {
  if (status == kOk) return;
  const std::string reasons = words_ == nullptr ? "" : errors_in(words_->take());
  throw Failure(runtime_ + " could not " + what + " " + model_ + ": " + status_text(status) +
                (reasons.empty() ? "" : ": " + reasons));
}

}  // namespace edgevit::litert
