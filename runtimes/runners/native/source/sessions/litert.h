// TFLite models in LiteRT.
#pragma once

#include <memory>

#include "../core/request.h"
#include "../core/session.h"

namespace edgevit {

// Open a .tflite file by LiteRT's C interface, with the XNNPACK delegate that it applies by itself, as an app does.
// `request.runtime` says the version, as "LiteRT 2.3.0": the library cannot be asked.
// Throws Failure as `open_session` does.
std::unique_ptr<Session> open_litert(const Request& request);

}  // namespace edgevit
