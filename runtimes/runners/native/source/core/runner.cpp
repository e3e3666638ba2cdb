#include "runner.h"

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <new>

#include "checksums.h"
#include "clocks.h"
#include "failure.h"
#include "feed.h"
#include "files.h"
#include "lines.h"
#include "npz.h"
#include "process.h"
#include "request.h"
#include "session.h"
#include "steps.h"

namespace edgevit {

const char* const kRunner = "native 1";

namespace {

class Run {
 public:
  Run(const Request& request, LineWriter& lines, std::string& stage)
      : request_(request), lines_(lines), stage_(stage) {}

  void execute() {
    stage_ = "pin";
    if (!work().cpus.empty()) pin(work().cpus);
    stage_ = "open the model";
    const std::int64_t start_ns = monotonic_ns();
    const std::unique_ptr<Session> session = open_session(request_);
    const std::int64_t loaded_ns = monotonic_ns();
    add_header(session->runtime());
    add_phase("load", start_ns, loaded_ns);
    stage_ = "read the inputs";
    const TensorSets inputs = read_feeds(session->inputs(), request_.inputs);
    measure(*session, inputs[0]);
    if (request_.outputs) answer(*session, inputs);
    lines_.add(Line("memory").number("peak_bytes", peak_memory_bytes()));
    stage_ = "write the lines";
    lines_.end(work().runs);
  }

 private:
  const Workload& work() const { return request_.workload; }

  void add_header(const std::string& runtime) {
    Line header("header");
    header.number("contract", kContractVersion).text("runner", kRunner).text("runtime", runtime).null("python");
    header.number("pid", getpid()).number("threads", work().threads).numbers("cpus", usable_cpus());
    header.clocks("clocks", realtime_ns(), monotonic_ns(), boottime_ns());
    lines_.add(header);
  }

  void add_phase(const char* name, std::int64_t start_ns, std::int64_t end_ns) {
    Line phase("phase");
    lines_.add(phase.text("name", name).number("start_monotonic_ns", start_ns).number("end_monotonic_ns", end_ns));
  }

  template <typename Work>
  void in_phase(const char* name, const Work& work) {
    stage_ = name;
    const std::int64_t start_ns = monotonic_ns();
    work();
    add_phase(name, start_ns, monotonic_ns());
  }

  void measure(Session& session, const std::vector<Tensor>& feed) {
    std::vector<Tensor> outputs;
    const std::function<void()> run = [&] { session.run(feed, outputs); };
    Stamps warmup, timed;
    in_phase("lead_in", [&] {
      sleep_until_ns(monotonic_ns() + work().idle_ns);
      pulses("before");
    });
    in_phase("warmup", [&] {
      if (work().warmup > 0) warmup = do_steps(run, {Step{0, work().warmup, 0}});
    });
    in_phase("runs", [&] { timed = do_steps(run, work().schedule); });
    in_phase("lead_out", [&] {
      pulses("after");
      sleep_until_ns(monotonic_ns() + work().idle_ns);
    });
    add_samples("warmup", warmup.runs);
    add_samples("run", timed.runs);
    std::int64_t index = 0;
    for (const Stamp& stamp : timed.controls) {
      Line control("control");
      control.number("index", index++).number("start_monotonic_ns", stamp.start_ns);
      lines_.add(control.number("end_monotonic_ns", stamp.end_ns));
    }
  }

  void add_samples(const char* kind, const std::vector<Stamp>& stamps) {
    std::int64_t index = 0;
    for (const Stamp& stamp : stamps) {
      Line sample("sample");
      sample.text("kind", kind).number("index", index++).number("latency_ns", stamp.end_ns - stamp.start_ns);
      sample.number("start_monotonic_ns", stamp.start_ns).number("end_monotonic_ns", stamp.end_ns);
      sample.number("start_boottime_ns", stamp.boot_start_ns).number("end_boottime_ns", stamp.boot_end_ns);
      lines_.add(sample);
    }
  }

  void pulses(const char* place) {
    if (!work().pulses) return;
    const Pulses& asked = *work().pulses;
    std::int64_t index = 0;
    for (const std::int64_t busy_ns : asked.busy_ns) {
      sleep_until_ns(monotonic_ns() + asked.idle_ns);
      const std::int64_t start_ns = monotonic_ns();
      keep_busy(start_ns + busy_ns);
      Line pulse("pulse");
      pulse.text("place", place).number("index", index++).number("start_monotonic_ns", start_ns);
      lines_.add(pulse.number("end_monotonic_ns", monotonic_ns()));
    }
    sleep_until_ns(monotonic_ns() + asked.idle_ns);
  }

  void answer(Session& session, const TensorSets& inputs) {
    TensorSets outputs(inputs.size());
    in_phase("golden", [&] {
      for (std::size_t index = 0; index < inputs.size(); ++index) session.run(inputs[index], outputs[index]);
    });
    stage_ = "write the outputs";
    const std::string archive = format_npz(outputs);
    write_file(*request_.outputs, archive);
    Line line("output");
    line.text("file", *request_.outputs).text("sha256", sha256(archive.data(), archive.size()));
    lines_.add(line.number("count", static_cast<std::int64_t>(outputs.size())));
  }

  const Request& request_;
  LineWriter& lines_;
  std::string& stage_;
};

int report(LineWriter& lines, const std::string& stage, const char* error) {
  try {
    lines.fail(stage, error);
  } catch (const std::exception& second) {
    std::fprintf(stderr, "the reason could not be written down: %s\n", second.what());
  }
  std::fprintf(stderr, "runner failed at %s: %s\n", stage.c_str(), error);
  return 1;
}

}  // namespace

int run_request(const std::string& path) {
  std::string text, stage = "read the request";
  try {
    const std::vector<std::byte> data = read_file(path);
    text.assign(reinterpret_cast<const char*>(data.data()), data.size());
    const Request request = parse_request(text);
    LineWriter lines(request.lines);
    try {
      Run(request, lines, stage).execute();
      return 0;
    } catch (const std::bad_alloc&) {
      return report(lines, stage, "there is not enough memory");
    } catch (const std::exception& error) {
      return report(lines, stage, error.what());
    }
  } catch (const std::exception& error) {
    if (const std::string named = lines_file(text); !named.empty()) {
      LineWriter lines(named);
      return report(lines, stage, error.what());
    }
    std::fprintf(stderr, "runner failed at %s: %s\n", stage.c_str(), error.what());
    return 1;
  }
}

}  // namespace edgevit
