"""Run a command and write the peak of its memory in KiB: `peak.py FILE COMMAND…`.

A process of its own does so, because a child's peak begins with the memory of its parent.
"""

import os
import sys
from pathlib import Path

told, *command = sys.argv[1:]
child = os.posix_spawn(command[0], command, os.environ)
_, status, usage = os.wait4(child, 0)
Path(told).write_text(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
