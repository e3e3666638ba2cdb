#include "steps.h"

#include "clocks.h"

namespace edgevit {

Stamps do_steps(const std::function<void()>& run, const std::vector<Step>& schedule) {
  Stamps stamps;
  std::size_t runs = 0, controls = 0;
  for (const Step& step : schedule) {
    runs += static_cast<std::size_t>(step.count);
    controls += step.count == 0 ? 1 : 0;
  }
  stamps.runs.reserve(runs);
  stamps.controls.reserve(controls);
  std::int64_t wait_ns = 0;
  const std::function<void()> wait = [&wait_ns] { sleep_until_ns(monotonic_ns() + wait_ns); };
  std::int64_t end_ns = monotonic_ns();
  for (const Step& step : schedule) {
    const bool is_control = step.count == 0;
    const std::function<void()>& work = is_control ? wait : run;
    std::vector<Stamp>& kept = is_control ? stamps.controls : stamps.runs;
    const std::int64_t count = is_control ? 1 : step.count;
    wait_ns = step.wait_ns;
    if (step.gap_ns > 0) sleep_until_ns(end_ns + step.gap_ns);
    for (std::int64_t index = 0; index < count; ++index) {
      Stamp stamp;
      stamp.boot_start_ns = boottime_ns();
      stamp.start_ns = monotonic_ns();
      work();
      stamp.end_ns = end_ns = monotonic_ns();
      stamp.boot_end_ns = boottime_ns();
      kept.push_back(stamp);
    }
  }
  return stamps;
}

}  // namespace edgevit
