"""Fuzz one target for so many seconds, guided by the coverage of the package.

`python tests/fuzz/fuzz.py job 60`: what it finds is left in the folder build/fuzz, and the process
ends with a code other than 0. Needs the extra `fuzz`.
"""

import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent
FOUND = HERE.parent.parent / "build" / "fuzz"
LONGEST = 1 << 16

with atheris.instrument_imports(include=["batch"]):
    from targets import TARGETS


def main():
    name, seconds = sys.argv[1], float(sys.argv[2])
    grown = FOUND / name
    grown.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds:.0f}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={FOUND}/{name}-",
        f"-dict={HERE / name}.dict",
        "-timeout=10",
        "-rss_limit_mb=3000",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    # New inputs go into the first folder; the seeds are only read.
    folders = [str(grown), str(HERE / "corpus" / name)]
    atheris.Setup([sys.argv[0], *options, *sys.argv[3:], *folders], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
