#include "request.h"

#include <cmath>

#include "failure.h"
#include "json.h"

namespace edgevit {

namespace {

constexpr std::int64_t kMostRuns = 1'000'000'000;  // as the host: at 1 us each they take a quarter of an hour
constexpr std::int64_t kMostThreads = 1024;        // chosen: the cores of the largest machines
constexpr std::int64_t kLongestAxis = 1LL << 40;   // chosen: more values than any device holds
constexpr double kLongestNs = 86'400e9;            // a day, as the host

std::int64_t within(std::int64_t least, std::int64_t most, std::int64_t value, const std::string& what) {
  if (value < least || value > most) {
    throw Failure("the request's '" + what + "' is " + std::to_string(value) + ", expected " + std::to_string(least) +
                  " to " + std::to_string(most));
  }
  return value;
}

std::int64_t nanoseconds(const Json& value, double unit_ns, const std::string& what) {
  const double ns = value.number(what) * unit_ns;
  if (!(ns >= 0.0 && ns <= kLongestNs)) throw Failure("the request's '" + what + "' is negative or longer than a day");
  return static_cast<std::int64_t>(std::llround(ns));
}

std::vector<TensorInfo> tensors(const Json& value, const std::string& what) {
  std::vector<TensorInfo> found;
  for (const Json& each : value.items(what)) {
    TensorInfo tensor;
    tensor.name = each.at("name").text("name");
    tensor.dtype = dtype_of(each.at("dtype").text("dtype"));
    for (const Json& size : each.at("shape").items("shape")) {
      tensor.shape.push_back(within(-1, kLongestAxis, size.integer("shape"), "shape"));
    }
    found.push_back(tensor);
  }
  return found;
}

// A hexadecimal mask without 0x as the numbers of its cores.
std::vector<int> cores_of(const std::string& mask) {
  constexpr std::size_t kMostDigits = 256;  // 1024 cores, as many as the kernel's sets hold
  if (mask.empty() || mask.size() > kMostDigits) throw Failure("'" + mask.substr(0, 80) + "' is no mask of cores");
  std::vector<int> cpus;
  for (std::size_t digit = 0; digit < mask.size(); ++digit) {
    const char c = mask[mask.size() - 1 - digit];
    const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (value < 0) throw Failure("'" + mask.substr(0, 80) + "' is no mask of cores");
    for (int bit = 0; bit < 4; ++bit) {
      if ((value >> bit & 1) != 0) cpus.push_back(static_cast<int>(digit) * 4 + bit);
    }
  }
  if (cpus.empty()) throw Failure("'" + mask.substr(0, 80) + "' names no core");
  return cpus;
}

Step step_of(const Json& value) {
  Step step;
  step.gap_ns = nanoseconds(value.at("gap_ms"), 1e6, "gap_ms");
  step.count = within(0, kMostRuns, value.at("count").integer("count"), "count");
  step.wait_ns = nanoseconds(value.at("wait_ms"), 1e6, "wait_ms");
  if ((step.count > 0) == (step.wait_ns > 0)) throw Failure("a step of the request is neither a burst nor a control");
  return step;
}

Pulses pulses_of(const Json& value) {
  Pulses pulses;
  for (const Json& each : value.at("busy_ms").items("busy_ms"))
    pulses.busy_ns.push_back(nanoseconds(each, 1e6, "busy_ms"));
  pulses.idle_ns = nanoseconds(value.at("idle_ms"), 1e6, "idle_ms");
  return pulses;
}

Workload workload_of(const Json& value) {
  Workload work;
  work.runs = within(1, kMostRuns, value.at("runs").integer("runs"), "runs");
  work.warmup = within(0, kMostRuns, value.at("warmup").integer("warmup"), "warmup");
  work.threads = within(1, kMostThreads, value.at("threads").integer("threads"), "threads");
  work.idle_ns = nanoseconds(value.at("idle_s"), 1e9, "idle_s");
  std::int64_t scheduled = 0;
  for (const Json& each : value.at("schedule").items("schedule")) {
    work.schedule.push_back(step_of(each));
    scheduled = within(0, kMostRuns, scheduled + work.schedule.back().count, "schedule");
  }
  if (scheduled != work.runs) {
    throw Failure("a run of " + std::to_string(work.runs) + " forward passes with a schedule of " +
                  std::to_string(scheduled));
  }
  if (const Json& mask = value.at("affinity"); !mask.is_null()) work.cpus = cores_of(mask.text("affinity"));
  if (const Json& pulses = value.at("pulses"); !pulses.is_null()) work.pulses = pulses_of(pulses);
  return work;
}

std::string optional_text(const Json& value, const std::string& what) {
  return value.is_null() ? std::string() : value.text(what);
}

void refuse_unknown(const Json& request) {
  for (const auto& [name, value] : request.members("request")) {
    bool known = false;
    for (const char* field : {"schema_version", "format", "model", "library", "runtime", "inputs", "lines", "outputs",
                              "takes", "gives", "workload"}) {
      known = known || name == field;
    }
    if (!known) throw Failure("the request has an unknown field '" + name.substr(0, 80) + "'");
  }
}

}  // namespace

Request parse_request(std::string_view json) {
  const Json read = Json::parse(json);
  const std::int64_t version = read.at("schema_version").integer("schema_version");
  if (version != kRequestVersion) {
    throw Failure("a request of version " + std::to_string(version) + ", this runner takes " +
                  std::to_string(kRequestVersion) + ": build the runner anew, with the host's own sources");
  }
  refuse_unknown(read);
  Request request;
  request.format = read.at("format").text("format");
  request.model = read.at("model").text("model");
  request.library = optional_text(read.at("library"), "library");
  request.runtime = optional_text(read.at("runtime"), "runtime");
  request.inputs = read.at("inputs").text("inputs");
  request.lines = read.at("lines").text("lines");
  if (const Json& outputs = read.at("outputs"); !outputs.is_null()) request.outputs = outputs.text("outputs");
  request.takes = tensors(read.at("takes"), "takes");
  request.gives = tensors(read.at("gives"), "gives");
  request.workload = workload_of(read.at("workload"));
  return request;
}

std::string lines_file(std::string_view json) {
  try {
    return Json::parse(json).at("lines").text("lines");
  } catch (const Failure&) {
    return {};
  }
}

}  // namespace edgevit
