#pragma once
#define __NDK_MAJOR__ 16  // libc++ then defines itself what came with API 26, as a later NDK does elsewhere
