// The file of JSON lines that a run leaves: `Line` of runtimes/runners/contract.py.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace edgevit {

// One line: fields are appended in the order of the calls.
class Line {
 public:
  explicit Line(std::string_view kind);

  Line& text(std::string_view name, std::string_view value);
  Line& number(std::string_view name, std::int64_t value);
  Line& numbers(std::string_view name, const std::vector<int>& values);
  Line& null(std::string_view name);
  Line& clocks(std::string_view name, std::int64_t realtime_ns, std::int64_t monotonic_ns, std::int64_t boottime_ns);

  std::string finished() const { return text_ + "}\n"; }

 private:
  Line& field(std::string_view name, const std::string& value);

  std::string text_;
};

// Collects lines; the file appears only when it is complete.
class LineWriter {
 public:
  explicit LineWriter(std::string path) : path_(std::move(path)) {}

  void add(const Line& line);

  // Append the end marker over all lines before it, and write the file. Throws Failure.
  void end(std::int64_t samples);

  // Append why the run could not be done, and write the file. Throws Failure.
  void fail(std::string_view stage, std::string_view error);

 private:
  std::string path_;
  std::string lines_;
  std::int64_t count_ = 0;
};

}  // namespace edgevit
