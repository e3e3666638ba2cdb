"""What all tests share: one thread per process, set before anything loads torch.

The suite runs on small machines beside other work, where spinning threads cost more than they bring; results do not
depend on it.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
