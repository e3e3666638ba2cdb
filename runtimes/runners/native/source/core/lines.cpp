#include "lines.h"

#include "checksums.h"
#include "files.h"
#include "json.h"

namespace edgevit {

Line::Line(std::string_view kind) : text_("{\"line\": " + quoted(kind)) {}

Line& Line::field(std::string_view name, const std::string& value) {
  text_ += ", " + quoted(name) + ": " + value;
  return *this;
}

Line& Line::text(std::string_view name, std::string_view value) { return field(name, quoted(value)); }

Line& Line::number(std::string_view name, std::int64_t value) { return field(name, std::to_string(value)); }

Line& Line::numbers(std::string_view name, const std::vector<int>& values) {
  std::string list;
  for (const int value : values) list += (list.empty() ? "" : ", ") + std::to_string(value);
  return field(name, "[" + list + "]");
}

Line& Line::null(std::string_view name) { return field(name, "null"); }

Line& Line::clocks(std::string_view name, std::int64_t realtime_ns, std::int64_t monotonic_ns,
                   std::int64_t boottime_ns) {
  return field(name, "{\"realtime_ns\": " + std::to_string(realtime_ns) + ", \"monotonic_ns\": " +
                         std::to_string(monotonic_ns) + ", \"boottime_ns\": " + std::to_string(boottime_ns) + "}");
}

void LineWriter::add(const Line& line) {
  lines_ += line.finished();
  ++count_;
}

void LineWriter::end(std::int64_t samples) {
  Line line("end");
  line.number("samples", samples).number("lines", count_).text("sha256", sha256(lines_.data(), lines_.size()));
  add(line);
  write_file(path_, lines_);
}

void LineWriter::fail(std::string_view stage, std::string_view error) {
  add(Line("error").text("stage", stage).text("error", error).text("detail", ""));
  write_file(path_, lines_);
}

}  // namespace edgevit
