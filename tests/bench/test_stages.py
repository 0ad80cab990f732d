"""Samples of a profiler find their stage."""

from typing import Final

import pytest

from tests.bench.stages import Frame, Stages, function_shares, samples

_STAGES: Final = Stages(
    [
        "proxy/http/responses.py",
        "proxy/upstream/http1/connection.py",
        "proxy/downstream/http1/connection.py",
        "proxy/net/sockets.py",
    ]
)
_PRINTED: Final = """
    560498 _PyEval_EvalFrameDefault (/usr/bin/python3.13)
    106034006cc0020 [unknown] ([unknown])


    ffffffff81e2c6c6 tcp_sendmsg ([kernel.kallsyms])
    ffffffff81e30d08 __x64_sys_sendto+0x12 ([kernel.kallsyms])
    7f52258ce76e __syscall_cancel_arch (/usr/lib/x86_64-linux-gnu/libc.so.6)
"""


def test_chains_are_read_with_the_innermost_function_first() -> None:
    first, second = samples(_PRINTED.splitlines())
    assert first[0] == Frame("_PyEval_EvalFrameDefault", "python3.13")
    assert [frame.symbol for frame in second] == ["tcp_sendmsg", "__x64_sys_sendto", "__syscall_cancel_arch"]
    assert function_shares([first, second]) == {"_PyEval_EvalFrameDefault (python3)": 0.5, "kernel": 0.5}


def test_shares_together_are_one() -> None:
    shares = _STAGES.shares(samples(_PRINTED.splitlines()))
    assert shares == {"Python: interpreted code": 0.5, "kernel: send": 0.5}


@pytest.mark.parametrize(
    ("functions", "stage"),
    [
        (["tcp_sendmsg", "__x64_sys_sendto", "do_syscall_64"], "kernel: send"),
        (["sock_write_iter", "ksys_write", "do_syscall_64"], "kernel: send"),
        (["inet_release", "____fput", "task_work_run", "do_syscall_64"], "kernel: close"),
        (["clear_page", "asm_exc_page_fault"], "kernel: memory"),
        (["sk_setsockopt", "__sys_setsockopt", "do_syscall_64"], "kernel: other system calls"),
        (["do_syscall_64", "entry_SYSCALL_64_after_hwframe"], "kernel: entry, interrupts, switches"),
    ],
)
def test_the_kernel_is_known_by_its_system_call(functions: list[str], stage: str) -> None:
    assert _STAGES.stage([Frame(name, "[kernel.kallsyms]") for name in functions]) == stage


@pytest.mark.parametrize(
    ("symbol", "module"),
    [
        ("CPyDef_responses___ResponseReader____understood", "proxy/http/responses.py"),
        ("CPyDef_upstream___http1___connection___UpstreamConnection____receive", "proxy/upstream/http1/connection.py"),
        ("CPyPy_downstream___http1___connection___Downstream___finished", "proxy/downstream/http1/connection.py"),
        ("sockets___SocketStream_get_owner", "proxy/net/sockets.py"),
        ("CPyDict_GetItem", None),
    ],
)
def test_a_compiled_function_is_of_the_module_in_its_name(symbol: str, module: str | None) -> None:
    assert _STAGES.module(symbol) == module


@pytest.mark.parametrize(
    ("frame", "stage"),
    [
        (Frame("CPyDef_responses___ResponseReader___read", "plexigate__mypyc.cpython-313.so"), "compiled: proxy/http"),
        (Frame("CPyTagged_Add_", "plexigate__mypyc.cpython-313.so"), "compiled: mypyc's own"),
        (Frame("PyDict_GetItemRef", "python3.13"), "Python: objects and calls"),
        (Frame("malloc", "libc.so.6"), "libc: memory, copies"),
        (Frame("[unknown]", "libcrypto.so.3"), "OpenSSL: libcrypto"),
        (Frame("inflate", "libz.so.1"), "other libraries"),
    ],
)
def test_the_rest_is_known_by_its_library(frame: Frame, stage: str) -> None:
    assert _STAGES.stage([frame]) == stage
