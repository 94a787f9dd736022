"""Docker's notations: what is right becomes the engine's value, what is wrong an error that names flag and value."""

from __future__ import annotations

import csv
import io
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.container import notation
from dockerpty.errors import DockerptyError

WORDS = st.text(min_size=1).filter(lambda text: not {"\r", "\n"} & set(text))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("5", 5),
        ("5b", 5),
        ("5B", 5),
        ("1k", 1024),
        ("1kb", 1024),
        ("1KiB", 1024),
        ("1.5g", 1610612736),
        ("5 m", 5 << 20),
        (".5k", 512),
        ("1.9", 1),
        ("2T", 2 << 40),
        ("1p", 1 << 50),
    ],
)
def test_a_size_is_in_powers_of_1024(text: str, size: int) -> None:
    assert notation.size("--memory", text) == size


@pytest.mark.parametrize(
    "text",
    [
        *("", "-1", "+1", "k", ".", "1x", "1kk", "1bb", "1ib", "1 kb b", "1  k", "1e3", "1_0", "inf", "nan"),
        *("1.2.3", "1kbi", "9" * 400, "16384p", "٣"),
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(DockerptyError) as caught:
        notation.size("--memory", text)
    shown = f"--memory {text}" if text else "an empty --memory"
    assert str(caught.value) == (
        f"cannot use {shown}: it is no size; write a number and b, k, m or g, for example 512m"
    )


def test_only_swap_may_be_without_limit() -> None:
    assert notation.swap("--memory-swap", "-1") == -1
    assert notation.swap("--memory-swap", "1k") == 1024


@given(st.integers(0, (1 << 53) - 1))
def test_bytes_are_themselves(number: int) -> None:
    assert notation.size("--memory", str(number)) == number


@given(st.integers(-(10**12), 10**12))
def test_billionths_of_a_cpu_come_back(nano: int) -> None:
    assert (
        notation.nano_cpus("--cpus", f"{'-' if nano < 0 else ''}{abs(nano) // 10**9}.{abs(nano) % 10**9:09}")
        == nano
    )


@given(st.integers(0, 1000), st.integers(1, 1000), st.integers(-3, 3))
def test_cpus_are_exact_or_refused(above: int, below: int, power: int) -> None:
    nano = Fraction(above, below) * Fraction(10) ** power * 10**9
    text = f"{above}e{power}/{below}"
    if nano.denominator == 1:
        assert notation.nano_cpus("--cpus", text) == nano
    else:
        with pytest.raises(DockerptyError, match="too precise"):
            notation.nano_cpus("--cpus", text)


@pytest.mark.parametrize(
    "text", ["", "x", ".", "-", "--1", "1/", "/2", "1/0", "1,5", "1e", "1e99", "1 ", "1/2/3", "٣"]
)
def test_what_is_no_number_of_cpus_is_refused(text: str) -> None:
    with pytest.raises(DockerptyError, match="it is no number of CPUs"):
        notation.nano_cpus("--cpus", text)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("+0", 0),
        ("0s", 0),
        ("-0s", 0),
        ("1ns", 1),
        ("1us", 1000),
        ("1µs", 1000),
        ("1μs", 1000),
        ("500ms", 500_000_000),
        ("1m30s", 90_000_000_000),
        ("1.5h", 5_400_000_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("+2s", 2_000_000_000),
    ],
)
def test_a_duration_is_as_go_writes_it(text: str, nanoseconds: int) -> None:
    assert notation.nanoseconds("--health-interval", text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "5", "s", ".s", "1d", "1s2", "1.2.3s", "1 s", "1S", "s1", "1sm", "+", "1ss"),
        *("9" * 5000 + "s", "9999999999999h"),
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(DockerptyError, match="it is no duration; write for example 30s"):
        notation.nanoseconds("--health-interval", text)


def test_of_a_duration_what_is_finer_than_nanoseconds_does_not_count() -> None:
    assert notation.nanoseconds("--health-interval", f"0.{'9' * 5000}s") == 999_999_999


def test_a_number_that_no_engine_can_count_to_is_refused() -> None:
    for number in (str(1 << 63), "9" * 5000):
        for read, text in (
            (notation.ulimits, f"nofile={number}"),
            (notation.gpus, number),
            (notation.weights, f"/dev/a:{number}"),
            (notation.operation_rates, f"/dev/a:{number}"),
        ):
            with pytest.raises(DockerptyError, match=r"is too large$"):
                read("--x", [text])


def test_a_duration_below_zero_is_refused() -> None:
    with pytest.raises(DockerptyError, match="cannot use --health-timeout -1s: it is negative"):
        notation.nanoseconds("--health-timeout", "-1s")


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_the_parts_of_a_duration_add_up(hours: int, minutes: int, seconds: int, ms: int) -> None:
    total = ((hours * 60 + minutes) * 60 + seconds) * 10**9 + ms * 10**6
    assert notation.nanoseconds("--x", f"{hours}h{minutes}m{seconds}s{ms}ms") == total


@pytest.mark.parametrize(
    ("text", "number"),
    [("5", 5), ("-5", -5), ("+5", 5), ("0x1F", 31), ("010", 8), ("-010", -8), ("0b11", 3), ("0", 0)],
)
def test_a_whole_number_is_as_go_reads_it(text: str, number: int) -> None:
    assert notation.integer("--x", text) == number


@pytest.mark.parametrize("text", ["", "-", "x", "1.5", "1 ", " 1", "--1", "089", "1e3", "٣", str(1 << 63)])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(DockerptyError, match="cannot use"):
        notation.integer("--x", text)


def test_a_number_out_of_bounds_is_refused_with_the_bound() -> None:
    with pytest.raises(DockerptyError, match="cannot use --blkio-weight 70000: it is above 65535"):
        notation.integer("--blkio-weight", "70000", 0, 65535)
    with pytest.raises(DockerptyError, match="cannot use --blkio-weight -1: it is below 0"):
        notation.integer("--blkio-weight", "-1", 0, 65535)


def test_the_last_limit_of_a_name_counts_and_hard_is_soft_where_it_is_not_said() -> None:
    assert notation.ulimits("--ulimit", ["nofile=10:20", "core=-1", "nofile=30", "cpu=1:infinity"]) == [
        {"Name": "core", "Soft": -1, "Hard": -1},
        {"Name": "cpu", "Soft": 1, "Hard": -1},
        {"Name": "nofile", "Soft": 30, "Hard": 30},
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nofile", "it is no limit; write NAME=SOFT"),
        ("nofile=1:2:3", "it is no limit"),
        ("files=1", "there is no limit 'files'; there are core, cpu,"),
        ("nofile=x", "'x' is no whole number"),
        ("nofile=", "'' is no whole number"),
        ("nofile=1:", "'' is no whole number"),
        ("nofile=2:1", "its soft limit is above the hard one"),
        ("nofile=-1:1", "its soft limit is above the hard one"),
    ],
)
def test_what_is_no_limit_is_refused(text: str, words: str) -> None:
    with pytest.raises(DockerptyError, match=words):
        notation.ulimits("--ulimit", [text])


@pytest.mark.parametrize(
    ("text", "source", "target", "mode"),
    [
        ("/dev/a", "/dev/a", "/dev/a", "rwm"),
        ("/dev/a:r", "/dev/a", "/dev/a", "r"),
        ("/dev/a:/dev/b", "/dev/a", "/dev/b", "rwm"),
        ("/dev/a:/dev/b:wm", "/dev/a", "/dev/b", "wm"),
        ("/dev/a=b", "/dev/a=b", "/dev/a=b", "rwm"),
    ],
)
def test_a_device_is_source_target_and_permissions(text: str, source: str, target: str, mode: str) -> None:
    mapped, named = notation.devices("--device", [text])
    assert mapped == [{"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": mode}]
    assert named == []


def test_a_name_of_cdi_is_no_path() -> None:
    assert notation.devices("--device", ["maker.com/kind=one"]) == ([], ["maker.com/kind=one"])


@pytest.mark.parametrize("text", ["", "a", ":/b", "/a:b", "/a:/b:q", "/a:/b:r:w", "/a:/b:rr", "a/b/c=d"])
def test_what_is_no_device_is_refused(text: str) -> None:
    with pytest.raises(DockerptyError, match="cannot use"):
        notation.devices("--device", [text])


@pytest.mark.parametrize("text", ["c 1:3 rw", "a *:* rwm", "b 8:* r"])
def test_a_rule_about_devices_is_passed_on(text: str) -> None:
    assert notation.device_rules("--device-cgroup-rule", [text]) == [text]


@pytest.mark.parametrize(
    "text", ["", "c", "x 1:3 r", "c 1 r", "c 1:3", "c 1:3 ", "c 1:3 q", "c :3 r", "c 1:x r", "c 1:3 rwmr"]
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(DockerptyError, match="it is no rule"):
        notation.device_rules("--device-cgroup-rule", [text])


def test_weights_and_rates_belong_to_a_device() -> None:
    assert notation.weights("--w", ["/dev/a:10", "/dev/b:0"]) == [
        {"Path": "/dev/a", "Weight": 10},
        {"Path": "/dev/b", "Weight": 0},
    ]
    assert notation.byte_rates("--b", ["/dev/a:1m"]) == [{"Path": "/dev/a", "Rate": 1 << 20}]
    assert notation.operation_rates("--o", ["/dev/a:7"]) == [{"Path": "/dev/a", "Rate": 7}]


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *(
            (read, text)
            for read in ("weights", "byte_rates", "operation_rates")
            for text in ("", "a:1", "/dev/a", "/dev/a:")
        ),
        *(("weights", f"/dev/a:{text}") for text in ("5", "1001", "-10", "x")),
        *(("byte_rates", f"/dev/a:{text}") for text in ("-1", "x", "1q")),
        *(("operation_rates", f"/dev/a:{text}") for text in ("-1", "1m", "x")),
    ],
)
def test_what_is_no_weight_and_no_rate_is_refused_with_the_whole_value(read: str, text: str) -> None:
    with pytest.raises(DockerptyError) as caught:
        getattr(notation, read)("--flag", [text])
    assert str(caught.value).startswith(f"cannot use {f'--flag {text}' if text else 'an empty --flag'}: ")


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("all", {"Count": -1}),
        ("3", {"Count": 3}),
        ("count=all", {"Count": -1}),
        ("driver=d", {"Count": 1, "Driver": "d"}),
        ("device=a", {"DeviceIDs": ["a"]}),
        ('"device=0,1"', {"DeviceIDs": ["0", "1"]}),
        ("all,capabilities=c", {"Count": -1, "Capabilities": [["c", "gpu"]]}),
        ('all,"options=a=b,c"', {"Count": -1, "Options": {"a": "b", "c": ""}}),
    ],
)
def test_a_request_for_gpus_says_which(text: str, changed: dict[str, Any]) -> None:
    plain = {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}}
    assert notation.gpus("--gpus", [text]) == [{**plain, **changed}]


@pytest.mark.parametrize("text", ["", "x", "x=1", "all,count=2", "driver=a,driver=b", "1.5", '"all'])
def test_what_is_no_request_for_gpus_is_refused(text: str) -> None:
    with pytest.raises(DockerptyError, match="cannot use"):
        notation.gpus("--gpus", [text])


def test_capabilities_have_their_full_names_once_each() -> None:
    given = ["net_raw", "CAP_NET_RAW", " sys_admin", "all", "reset"]
    assert notation.capabilities("--cap-add", given) == ["ALL", "CAP_NET_RAW", "CAP_SYS_ADMIN", "RESET"]


def test_pairs_may_have_no_value_and_full_ones_must() -> None:
    assert notation.pairs(["a=b=c", "d", "a=e"]) == {"a": "e", "d": ""}
    assert notation.full_pairs("--x", ["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    for text in ("a", "=b", ""):
        with pytest.raises(DockerptyError, match="it has no name or no ="):
            notation.full_pairs("--x", [text])


@given(st.lists(WORDS, min_size=1))
def test_fields_are_what_a_csv_writer_wrote(fields: list[str]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    assert notation.fields("--mount", line.getvalue()) == fields


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a", ["a"]),
        ("a,", ["a", ""]),
        (",", ["", ""]),
        ('"a,b",c', ["a,b", "c"]),
        ('"a ""b"""', ['a "b"']),
        (" a", [" a"]),
    ],
)
def test_fields_stand_between_commas(text: str, fields: list[str]) -> None:
    assert notation.fields("--mount", text) == fields


@pytest.mark.parametrize("text", ["", 'a"b', '"a', '"a"b', 'a,"b', '"'])
def test_quotes_stand_around_a_whole_field(text: str) -> None:
    with pytest.raises(DockerptyError, match="cannot use"):
        notation.fields("--mount", text)
