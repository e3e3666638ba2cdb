// What of a TFLite file is looked at before LiteRT sees it.
#pragma once

#include <string>

namespace edgevit {

// LiteRT reads files without a look at their size, and a cut one ends the process: whether the model and all of its
// weights are there is checked here, in the schema of TFLite (FlatBuffers). The rest was audited on the host.
// Throws Failure: it cannot be read, is of another kind, or ends before what it points at.
void require_whole_tflite(const std::string& path);

}  // namespace edgevit
