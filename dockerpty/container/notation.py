"""Docker's notations for what a flag of `run` takes: sizes, CPUs, durations, limits, devices, lists of fields.

Pure: a flag's name and its text in, the value of the Engine API out, or an error that names both. The rules are those
of docker's command (docker/cli `opts`, go-units, Go's `time.ParseDuration` and `encoding/csv`). What goes where is in
`options`.
"""

from __future__ import annotations

from dockerpty.errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

_SIZES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
# getrlimit(2), without the address space: no container could be started with that one.
_LIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss"),
    *("rtprio", "rttime", "sigpending", "stack"),
)
_DIGITS = frozenset("0123456789")
# Go's strconv.ParseBool.
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")
# As many as Go's numbers have; Python refuses to read thousands of them.
_LONGEST_NUMBER = 19
# A number of CPUs beyond this is a slip, and would only take long to compute.
_EXPONENT_LIMIT = 30


def refusal(flag: str, text: str, reason: str, hint: str = "") -> DockerptyError:
    """Make the error for a value that a flag does not take, without what is in it for a driver: a password, maybe."""
    before, mark, options = text.partition("-opt=")
    name, equals, _ = options.partition("=")
    shown = f"{before}{mark}{name}=..." if equals else text
    return DockerptyError("use", f"{flag} {shown}" if text else f"an empty {flag}", reason, hint)


def integer(flag: str, text: str, least: int = -(1 << 63), most: int = (1 << 63) - 1) -> int:
    """Read a whole number as Go does: also `0x10`, `0b11`, and `010` for eight."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    octal = len(digits) > 1 and digits[0] == "0" and digits[1] in _DIGITS
    try:
        # Python also reads blanks around a number, and digits of every script.
        if not text.isascii() or not digits[:1].isdigit() or digits != digits.strip():
            raise ValueError(text)
        number = int(digits, 8 if octal else 0)
    except ValueError:
        raise refusal(flag, text, "it is no whole number") from None
    number = -number if text[0] == "-" else number
    if number < least:
        raise refusal(flag, text, f"it is below {least}")
    if number > most:
        raise refusal(flag, text, f"it is above {most}")
    return number


def boolean(flag: str, text: str, key: str, value: str) -> bool:
    """Read what Go takes for true or false."""
    if value not in _TRUE + _FALSE:
        raise refusal(flag, text, f"{value!r} for {key} is neither true nor false")
    return value in _TRUE


def size(flag: str, text: str) -> int:
    """Read a size in bytes: a number, and k, m, g, t or p for powers of 1024."""
    rest = text.lower()
    number = rest.rstrip("bikmgtp")
    unit = rest[len(number) :]
    number = number.removesuffix(" ")
    known = unit in ("", "b") or (unit[0] in _SIZES and unit[1:] in ("", "b", "ib"))
    # Signs, "inf" and underscores are numbers for Python.
    if known and number.strip(".") and not set(number) - _DIGITS - {"."} and number.count(".") < 2:
        amount = float(number) * _SIZES.get(unit[:1], 1)
        if amount < 1 << 63:
            return int(amount)
    raise refusal(flag, text, "it is no size", "write a number and b, k, m or g, for example 512m")


def swap(flag: str, text: str) -> int:
    """Read a size, or -1 for no limit."""
    return -1 if text == "-1" else size(flag, text)


def nano_cpus(flag: str, text: str) -> int:
    """Read a number of CPUs, as `1.5` or `3/2`, in billionths. Exact: what is finer is refused."""
    above, slash, below = text.partition("/")
    try:
        upper, lower = _decimal(above), _decimal(below) if slash else (1, 0)
        if not lower[0]:
            raise ValueError(text)
        shift = upper[1] - lower[1] + 9
        # Not as 10**n, which is no int for a type checker.
        number, divisor = upper[0] * int("1" + "0" * shift), lower[0] * int("1" + "0" * -shift)
        nano, rest = divmod(number, divisor)
    except ValueError:
        raise refusal(flag, text, "it is no number of CPUs", "write for example 0.5 or 2") from None
    if rest:
        raise refusal(flag, text, "it is too precise: a billionth of a CPU is the least")
    return nano


def nanoseconds(flag: str, text: str) -> int:
    """Read a duration as Go writes them: `1m30s`, `1.5h`, `500ms`; 0 needs no unit."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    total = 0
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = rest[: len(rest) - len(rest.lstrip("nuµμmsh"))]
        rest = rest[len(unit) :]
        whole, _, part = number.partition(".")
        is_number = (whole or part) and "." not in part and len(whole) <= _LONGEST_NUMBER
        if unit not in _NANOSECONDS or not is_number:
            total, rest = -1, ""
            break
        # As Go: what is finer than it can count does not.
        part = part[:_LONGEST_NUMBER]
        total += int(whole or "0") * _NANOSECONDS[unit]
        total += int(part or "0") * _NANOSECONDS[unit] // 10 ** len(part)
    if not 0 <= total < 1 << 63 or not text.strip("+-"):
        raise refusal(flag, text, "it is no duration", "write for example 30s, 500ms or 1m30s")
    if text[0] == "-" and total:
        raise refusal(flag, text, "it is negative")
    return total


def ulimits(flag: str, given: Iterable[str]) -> list[dict[str, Any]]:
    """Read `NAME=SOFT[:HARD]`; the last of a name counts."""
    limits = {}
    for text in given:
        name, equals, value = text.partition("=")
        parts = value.split(":")
        if not equals or len(parts) > 2:
            raise refusal(
                flag, text, "it is no limit", "write NAME=SOFT[:HARD], for example nofile=1024:2048"
            )
        if name not in _LIMITS:
            raise refusal(flag, text, f"there is no limit {name!r}", f"there are {', '.join(_LIMITS)}")
        soft, hard = (
            -1 if part in ("-1", "infinity") else _plain(flag, text, part) for part in (parts * 2)[:2]
        )
        if len(parts) == 1:
            hard = soft
        if hard != -1 and (soft == -1 or soft > hard):
            raise refusal(flag, text, "its soft limit is above the hard one")
        limits[name] = {"Name": name, "Soft": soft, "Hard": hard}
    return [limits[name] for name in sorted(limits)]


def devices(flag: str, given: Iterable[str]) -> tuple[list[dict[str, str]], list[str]]:
    """Read `SOURCE[:TARGET][:PERMISSIONS]`, and tell from them CDI's names, which are `VENDOR/CLASS=NAME`."""
    mapped, named = [], []
    for text in given:
        maker, equals, name = text.partition("=")
        if equals and name and not text.startswith("/") and maker.count("/") == 1 and ":" not in maker:
            named.append(text)
            continue
        source, *rest = text.split(":")
        mode = rest.pop() if rest and _is_mode(rest[-1]) and len(rest) < 3 else "rwm"
        if len(rest) > 1:
            raise refusal(flag, text, f"{rest[-1]!r} is no set of r, w and m", "write SOURCE[:TARGET][:rwm]")
        target = rest[0] if rest else source
        if not source or not target.startswith("/"):
            raise refusal(flag, text, "it has no absolute path", "write SOURCE[:TARGET][:rwm]")
        mapped.append({"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": mode})
    return mapped, named


def device_rules(flag: str, given: Sequence[str]) -> list[str]:
    """Check rules of the form `c 1:3 rwm`."""
    for text in given:
        kind, _, rest = text.partition(" ")
        numbers, _, mode = rest.partition(" ")
        major, colon, minor = numbers.partition(":")
        ok = kind in ("a", "b", "c") and colon and mode and len(mode) <= 3 and not set(mode) - set("rwm")
        if not ok or not all(part == "*" or (part and not set(part) - _DIGITS) for part in (major, minor)):
            raise refusal(flag, text, "it is no rule", "write TYPE MAJOR:MINOR rwm, for example c 1:3 rw")
    return list(given)


def weights(flag: str, given: Iterable[str]) -> list[dict[str, Any]]:
    """Read `PATH:WEIGHT`."""
    found = []
    for text in given:
        path, weight = _of_device(flag, text, "WEIGHT")
        number = _plain(flag, text, weight, least=0)
        if number != 0 and not 10 <= number <= 1000:
            raise refusal(flag, text, "its weight is not from 10 to 1000")
        found.append({"Path": path, "Weight": number})
    return found


def byte_rates(flag: str, given: Iterable[str]) -> list[dict[str, Any]]:
    """Read `PATH:SIZE`, a size per second."""
    found = []
    for text in given:
        path, rate = _of_device(flag, text, "SIZE")
        try:
            found.append({"Path": path, "Rate": size(flag, rate)})
        except DockerptyError as error:
            raise refusal(flag, text, f"{rate!r} is no size", error.hint) from None
    return found


def operation_rates(flag: str, given: Iterable[str]) -> list[dict[str, Any]]:
    """Read `PATH:NUMBER`, operations per second."""
    found = []
    for text in given:
        path, rate = _of_device(flag, text, "NUMBER")
        found.append({"Path": path, "Rate": _plain(flag, text, rate, least=0)})
    return found


def gpus(flag: str, given: Iterable[str]) -> list[dict[str, Any]]:
    """Read requests for GPUs: `all`, a number, or the fields `count`, `device`, `driver`, `capabilities`, `options`."""
    requests = []
    for text in given:
        request: dict[str, Any] = {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": [["gpu"]]}
        request["Options"] = {}
        seen = set()
        for field in fields(flag, text):
            key, equals, value = field.partition("=")
            if not equals:
                key, value = "count", field
            if key in seen:
                raise refusal(flag, text, f"it has {key} twice")
            seen.add(key)
            if key == "count":
                request["Count"] = -1 if value == "all" else _plain(flag, text, value)
            elif key == "driver":
                request["Driver"] = value
            elif key == "device":
                request["DeviceIDs"] = value.split(",")
            elif key == "capabilities":
                request["Capabilities"] = [[*value.split(","), "gpu"]]
            elif key == "options":
                request["Options"] = pairs(fields(flag, value))
            else:
                raise refusal(flag, text, f"there is no field {key!r}")
        if "count" not in seen and request["DeviceIDs"] is None:
            request["Count"] = 1
        requests.append(request)
    return requests


def capabilities(flag: str, given: Iterable[str]) -> list[str]:
    """Give capabilities their full names, each once."""
    names = (name.strip().upper() for name in given)
    return sorted(
        {name if name in ("ALL", "RESET") or name[:4] == "CAP_" else f"CAP_{name}" for name in names}
    )


def pairs(given: Iterable[str]) -> dict[str, str]:
    """Read `NAME[=VALUE]`; the last of a name counts."""
    return {name: value for name, _, value in (text.partition("=") for text in given)}


def full_pairs(flag: str, given: Iterable[str]) -> dict[str, str]:
    """Read `NAME=VALUE`; the last of a name counts."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise refusal(flag, text, "it has no name or no =", "write NAME=VALUE")
        found[name] = value
    return found


def fields(flag: str, text: str) -> list[str]:
    """Take apart fields with commas between them; one in double quotes may have commas, and `""` for a quote."""
    found: list[str] = []
    at = 0
    while True:
        if text[at : at + 1] == '"':
            at, field = _quoted(flag, text, at + 1)
        else:
            end = text.find(",", at)
            field = text[at:] if end < 0 else text[at:end]
            at += len(field)
            if '"' in field:
                raise refusal(flag, text, "it has a quote within a field", "put the quotes around the field")
        found.append(field)
        if at >= len(text):
            break
        at += 1
    if found == [""]:
        raise refusal(flag, text, "there is nothing in it")
    return found


def _quoted(flag: str, text: str, at: int) -> tuple[int, str]:
    """Read on from behind a quote; tell where the field ends, and what it is."""
    field = ""
    while True:
        end = text.find('"', at)
        if end < 0:
            raise refusal(flag, text, "a quote is not closed")
        field, at = field + text[at:end], end + 1
        if text[at : at + 1] != '"':
            break
        field, at = field + '"', at + 1
    if text[at : at + 1] not in ("", ","):
        raise refusal(flag, text, "something follows a quote", "put the quotes around the field")
    return at, field


def _decimal(text: str) -> tuple[int, int]:
    """Read `[-]12.5[e3]` as digits and a power of ten."""
    mantissa, mark, exponent = text.lower().partition("e")
    whole, _, part = (mantissa[1:] if mantissa[:1] in ("+", "-") else mantissa).partition(".")
    power = int(exponent) if mark else 0
    if set(whole + part) - _DIGITS or not whole + part or abs(power) > _EXPONENT_LIMIT:
        raise ValueError(text)
    return int(whole + part) * (-1 if mantissa[0] == "-" else 1), power - len(part)


def _plain(flag: str, text: str, part: str, least: int | None = None) -> int:
    """Read a whole number in a longer value, in digits only."""
    digits = part.removeprefix("-") if least is None else part
    if not digits or set(digits) - _DIGITS:
        raise refusal(flag, text, f"{part!r} is no whole number")
    if len(digits) > _LONGEST_NUMBER or int(digits) >= 1 << 63:
        raise refusal(flag, text, f"{part!r} is too large")
    return int(part)


def _of_device(flag: str, text: str, what: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not colon or not path.startswith("/dev/"):
        raise refusal(flag, text, "it has no device", f"write /dev/NAME:{what}")
    return path, value


def _is_mode(text: str) -> bool:
    return bool(text) and len(set(text)) == len(text) and not set(text) - set("rwm")
