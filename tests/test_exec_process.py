"""One run of a command, and what is left of it: nothing."""

import asyncio
import os
import signal
import tempfile

import pytest
from processes import PYTHON, is_gone, open_files, pid_in, wait_until

from batch.providers.exec.process import LAST_WORDS, Ended, TooMuch, run_command

MIB = 1 << 20
FLOOD = """
import sys
for stream in (sys.stderr, sys.stdout):
    stream.write("x" * 2_000_000 + stream.name)
    stream.flush()
sys.stdout.write(str(len(sys.stdin.read())))
sys.exit(3)
"""


async def ran(*words, typed=b"", most=4 * MIB, seconds=20.0):
    with tempfile.TemporaryFile() as file:
        file.write(typed)
        file.seek(0)
        async with asyncio.timeout(seconds):
            return await run_command(words, file, os.environ, most)


async def shell(script, **how):
    return await ran("/bin/sh", "-c", script, **how)


async def test_a_command_tells_how_it_ended_what_it_wrote_and_what_it_complained_of():
    script = "cat; echo one >&2; echo two >&2; exit 3"
    assert await shell(script, typed=b"asked") == Ended(3, b"asked", b"one\ntwo\n")


async def test_a_command_that_a_signal_ended_tells_its_number():
    assert (await shell("kill -9 $$")).status == -9


async def test_both_directions_carry_more_than_a_pipe_holds():
    done = await ran("cat", typed=b"a" * MIB)
    assert done.output == b"a" * MIB


async def test_a_command_that_writes_before_it_reads_is_no_deadlock():
    done = await ran(PYTHON, "-c", FLOOD, typed=b"a" * MIB)
    assert done.status == 3
    assert done.output == b"x" * 2_000_000 + b"<stdout>" + str(MIB).encode()
    assert done.last_words == (b"x" * LAST_WORDS + b"<stderr>")[-LAST_WORDS:]


async def test_a_command_that_reads_nothing_is_none_the_worse():
    assert (await ran("true", typed=b"a" * MIB)).status == 0


async def test_stdin_and_stdout_can_be_opened_by_name():
    done = await shell("cat /dev/stdin >/dev/stdout", typed=b"by name")
    assert done == Ended(0, b"by name", b"")


async def test_a_command_has_a_session_of_its_own_so_that_ctrl_c_does_not_reach_it():
    script = "import os; print(os.getsid(0) == os.getpid() == os.getpgid(0))"
    assert (await ran(PYTHON, "-c", script)).output == b"True\n"


async def test_output_up_to_the_limit_is_taken_and_one_byte_more_is_not():
    assert len((await shell("printf 12345", most=5)).output) == 5
    with pytest.raises(TooMuch):
        await shell("printf 123456", most=5)


async def test_a_command_that_never_stops_writing_is_ended(tmp_path):
    with pytest.raises(TooMuch):
        await shell(f"echo $$ >{tmp_path}/pid; exec yes", most=1000)
    assert is_gone(pid_in(tmp_path / "pid"))


@pytest.mark.parametrize(
    "script",
    [
        "sleep 1000 & echo $! >pid; wait",
        "sleep 1000 & echo $! >pid",
        "sh -c 'trap \"\" TERM; echo $$ >pid; while :; do sleep 0.1; done' & wait",
        "trap '' TERM; echo $$ >pid; while :; do sleep 0.1; done",
    ],
    ids=["grandchild", "orphan", "stubborn grandchild", "stubborn"],
)
async def test_a_timeout_ends_all_that_a_command_started(tmp_path, monkeypatch, script):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TimeoutError):
        await shell(script, seconds=0.3)
    pid = pid_in(tmp_path / "pid")
    wait_until(lambda: is_gone(pid))


async def test_a_cancelled_command_is_ended(tmp_path):
    task = asyncio.create_task(shell(f"echo $$ >{tmp_path}/pid; exec sleep 1000"))
    pid = await asyncio.to_thread(pid_in, tmp_path / "pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert is_gone(pid)


async def test_a_command_that_is_asked_to_end_may_clean_up(tmp_path):
    script = (
        f"trap 'rm {tmp_path}/lock; exit' TERM; echo >{tmp_path}/lock; while :; do sleep 0.01; done"
    )
    with pytest.raises(TimeoutError):
        await shell(script, seconds=0.3)
    assert not (tmp_path / "lock").exists()


async def test_what_goes_on_in_the_background_with_its_answer_given_is_left_alone(tmp_path):
    script = f"sleep 1000 >/dev/null & echo $! >{tmp_path}/pid; echo answer"
    assert (await shell(script)).output == b"answer\n"
    pid = pid_in(tmp_path / "pid")
    assert not is_gone(pid)
    os.kill(pid, signal.SIGKILL)


async def test_nothing_stays_open_not_even_for_one_that_escaped_from_its_group(tmp_path):
    await shell("true")
    before = open_files()
    escape = f"import os; os.setsid(); open('{tmp_path}/pid', 'w').write(f'{{os.getpid()}}\\n');"
    escape += "os.execlp('sleep', 'sleep', '1000')"
    with pytest.raises(TimeoutError):
        await shell(f'{PYTHON} -c "{escape}" & wait', seconds=1.0)
    for script in ("cat", "exit 1", "echo x >&2"):
        await shell(script)
    with pytest.raises(TooMuch):
        await shell("yes", most=10)
    with pytest.raises(FileNotFoundError):
        await ran("no-such-command")
    await asyncio.sleep(0)
    assert open_files() == before
    os.kill(pid_in(tmp_path / "pid"), signal.SIGKILL)
