// One model opened in its runtime. Each program defines `open_session` for the formats that it runs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "request.h"
#include "tensor.h"

namespace edgevit {

class Session {
 public:
  virtual ~Session() = default;

  // Name and version of the runtime, e.g. "onnxruntime 1.31.1".
  virtual std::string runtime() const = 0;

  // What the model takes, in its own order. Where the file knows no names, those of the request.
  virtual const std::vector<TensorInfo>& inputs() const = 0;

  // Run once: copy `inputs` in, run, copy what comes out.
  //   inputs   one tensor for each of inputs(), in that order, of exactly its type and shape (free axes apart)
  //   outputs  filled in the model's order, each with its name, type, shape and values; what an earlier run allocated
  //            there is used again, so that a timed run takes no memory
  // Throws Failure in the runtime's own words.
  virtual void run(const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs) = 0;
};

// Open `request.model` in the runtime whose library is `request.library`, with `request.workload.threads` threads.
// Throws Failure: the library cannot be loaded, or its interface is not the one that is known here, or it refuses the
// model; the words name the file and say what was expected.
std::unique_ptr<Session> open_session(const Request& request);

}  // namespace edgevit
