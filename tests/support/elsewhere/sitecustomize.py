"""Put on ``PYTHONPATH``, makes Python look as on macOS: what only Linux's ``os`` and ``time`` have is not there."""

import os
import sys
import sysconfig
import time
import urllib.request  # noqa: F401  # before the platform's name changes: it would look for a module of macOS

sysconfig.get_config_vars()
_ONLY_LINUX = {
    os: ("memfd_create", "pidfd_open", "posix_fadvise", "posix_fallocate", "copy_file_range", "splice", "eventfd"),
    time: ("CLOCK_BOOTTIME", "CLOCK_TAI"),
}
for _module, _names in _ONLY_LINUX.items():
    for _name in (*_names, *(name for name in dir(_module) if name.startswith("sched_"))):
        if hasattr(_module, _name):
            delattr(_module, _name)
sys.platform = "darwin"
