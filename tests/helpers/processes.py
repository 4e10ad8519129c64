"""Several processes from one test: forked, so that nothing is imported again, and started as a launcher would."""

import multiprocessing
import os
import socket
import traceback


def in_processes(count, work, *arguments):
    """Run ``work(*arguments)`` as each of ``count`` processes of a group; any that fails fails the test."""
    context = multiprocessing.get_context("fork")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    errors = context.Queue()
    group = [context.Process(target=_enter, args=(rank, count, port, errors, work, arguments)) for rank in range(count)]
    for process in group:
        process.start()
    for process in group:
        process.join(180)
        if process.is_alive() or process.exitcode:  # the others would wait for it
            for other in group:
                other.kill()
    assert [process.exitcode for process in group] == [0] * count, "\n".join(_drain(errors))


def _enter(rank, count, port, errors, work, arguments):
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(count), NODE_RANK="0", RANK=str(rank),
        LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(count),
    )  # fmt: skip
    try:
        work(*arguments)
    except BaseException:
        errors.put(f"rank {rank}: {traceback.format_exc()}")
        errors.close()
        errors.join_thread()
        os._exit(1)
    os._exit(0)


def _drain(errors):
    found = []
    while not errors.empty():
        found.append(errors.get())
    return found
