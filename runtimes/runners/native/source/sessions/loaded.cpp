// The formats of the program that loads its runtime while it runs.
#include "../core/failure.h"
#include "../core/session.h"
#include "litert.h"
#include "onnx.h"

namespace edgevit {

std::unique_ptr<Session> open_session(const Request& request) {
  if (request.format == "onnx") return open_onnx(request);
  if (request.format == "tflite") return open_litert(request);
  throw Failure("this program runs onnx and tflite, not '" + request.format + "'");
}

}  // namespace edgevit
