// ONNX files in ONNX Runtime's CPU provider.
#pragma once

#include <memory>

#include "../core/session.h"

namespace edgevit {

// See open_session. Graph optimisation, threads and provider are those of the Python session.
std::unique_ptr<Session> open_onnx(const Request& request);

}  // namespace edgevit
