"""Formats as docker has them: what they print, and what is said of those that make no sense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.cli.grammar import UsageError
from dockerpty.cli.template import Subject, Template

WEB = Subject(
    {"ID": "abc", "Names": "web,db", "Ports": "0.0.0.0:80->80/tcp", "Empty": "", "Platform": None},
    lambda name: {"role": "front", "a.b-c": "x"}.get(name, ""),
)
TITLES = Subject({"ID": "CONTAINER ID", "Names": "NAMES"}, lambda name: f"label {name}", header=True)


@pytest.mark.parametrize(
    ("format", "shown"),
    [
        ("", ""),
        ("plain }} text", "plain }} text"),
        ("{{.ID}}", "abc"),
        ("{{ .ID }}-{{.Names}}", "abc-web,db"),
        (r"{{.ID}}\t{{.Names}}\n", "abc\tweb,db\n"),
        ('{{.Label "role"}}{{.Label "a.b-c"}}{{.Label "none"}}', "frontx"),
        ("{{.Label `role`}}", "front"),
        ("{{.Platform}}", "<nil>"),
        ("{{json .Names}}", '"web,db"'),
        ("{{json .Ports}}", '"0.0.0.0:80->80/tcp"'),
        (
            "{{json .}}",
            '{"Empty":"","ID":"abc","Names":"web,db","Platform":null,"Ports":"0.0.0.0:80-\\u003e80/tcp"}',
        ),
        ("{{upper .ID}}{{.ID | upper}}{{lower `X`}}{{title .ID}}", "ABCABCxAbc"),
        ("{{.ID | println}}", "abc\n"),
        ('{{split .Names ","}}', "[web db]"),
        ('{{join (split .Names ",") " and "}}', "web and db"),
        ('{{split .Names "," | json}}', '["web","db"]'),
        ("{{pad .ID 1 2}}|{{pad .Empty 1 2}}|", " abc  ||"),
        ("{{truncate .Names 3}}{{truncate .ID 9}}", "webabc"),
        ("{{len .Names}}", "6"),
        ("{{if .Empty}}full{{else}}empty{{end}}", "empty"),
        ("{{if .ID}}full{{end}}", "full"),
        ('{{if eq .ID "abc"}}{{if ne .ID "x"}}yes{{end}}{{end}}', "yes"),
        ("{{if not .ID}}no{{end}}{{and .ID .Empty}}{{or .Empty .ID}}", "abc"),
        ('{{print .ID "-" 3}}', "abc-3"),
        ("a  {{- .ID -}}  b", "aabcb"),
        ("a {{-3}}", "a -3"),
        ('{{"}}"}}{{"a\\"b"}}', '}}a"b'),
        ("{{`\\n`}}", "\n"),
    ],
)
def test_a_format_prints_what_dockers_does(format: str, shown: str) -> None:
    assert Template(format).render(WEB) == shown


@pytest.mark.parametrize(
    ("format", "shown"),
    [
        (r"{{.ID}}\t{{.Names}}", "CONTAINER ID\tNAMES"),
        ("{{upper .ID}}{{json .Names}}{{truncate .Names 2}}", "CONTAINER IDNAMESNAMES"),
        ('{{join (split .Names ",") ";"}}', "NAMES"),
        ("{{json .}}", ""),
        ('{{.Label "x"}}', "label x"),
        ("{{pad .ID 1 0}}", " CONTAINER ID"),
    ],
)
def test_functions_leave_titles_as_they_are(format: str, shown: str) -> None:
    assert Template(format).render(TITLES) == shown


@pytest.mark.parametrize(
    ("format", "message"),
    [
        ("{{.Nope}}", "there is no field Nope; there are: Empty, ID, Names, Platform, Ports, Label"),
        ("{{.names}}", "there is no field names; there are: Empty, ID, Names, Platform, Ports, Label"),
        ("{{.Names", "an action is not closed; see dpty ps --help"),
        ("{{", "an action is not closed; see dpty ps --help"),
        ("{{}}", "an action is empty; see dpty ps --help"),
        ("{{.ID |}}", "an action is empty; see dpty ps --help"),
        ("{{.ID $x}}", "'$x' makes no sense in it; see dpty ps --help"),
        ("{{.ID .Names}}", ".ID takes no arguments; see dpty ps --help"),
        ("{{3 4}}", "3 takes no arguments; see dpty ps --help"),
        ("{{.Label}}", '.Label takes the name of one label; write {{.Label "NAME"}}'),
        ("{{upper 3}}", "upper takes a text; see dpty ps --help"),
        ("{{pad .ID}}", "pad takes a text and a number and a number; see dpty ps --help"),
        ("{{and}}", "and takes a value; see dpty ps --help"),
        ("{{range .Names}}x{{end}}", "range cannot be used here; see dpty ps --help"),
        ("{{end}}", "end cannot be used here; see dpty ps --help"),
        ("{{if .ID}}", "an if has no end; see dpty ps --help"),
        ("{{if .ID}}a{{else}}b{{else}}c{{end}}", "else cannot be used here; see dpty ps --help"),
        ("{{(.ID}}", "a bracket is not closed; see dpty ps --help"),
        ("{{.ID)}}", "a bracket is closed that was not opened; see dpty ps --help"),
        ('{{"\\q"}}', '"\\q" is no text; see dpty ps --help'),
    ],
)
def test_a_format_that_makes_no_sense_is_told_in_one_sentence(format: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Template(format).render(WEB)
    assert str(caught.value) == f"cannot use the format {format!r}: {message}"


def test_an_unknown_function_is_told_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"there is no function foo; there are: and, eq, join, json, "):
        Template("{{foo .ID}}").render(WEB)


@given(st.text(st.sampled_from(list('{}.-|()"`\\ aID3ntifels'))))
def test_any_format_is_printed_or_refused_and_nothing_else(format: str) -> None:
    try:
        Template(format).render(WEB)
    except UsageError:
        return  # refused


@pytest.mark.parametrize("text", ["{{" + "(" * 20000 + ".ID" + ")" * 20000 + "}}", "{{if .ID}}" * 20000])
def test_what_is_deeper_than_anybody_types_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="there is too much within each other in it"):
        Template(text)


def test_no_more_blanks_are_put_around_a_text_than_fit_a_memory() -> None:
    assert Template("{{pad .ID 999999999999999999 0}}").render(WEB) == " " * 1000 + "abc"


@pytest.mark.parametrize(
    ("format", "shown"),
    [
        ('{{eq .ID "x" "abc"}}{{eq .ID "x" "y"}}{{eq 1 true}}', "truefalsefalse"),
        ('{{if eq .ID "x" "abc" "z"}}yes{{end}}', "yes"),
        ("{{true}}{{if false}}a{{else}}b{{end}}{{not true}}{{.ID | eq .ID}}", "truebfalsetrue"),
        ("{{print true false}}{{json true}}", "true falsetrue"),
        ('{{printf "%s is %q" .ID .Names}}', 'abc is "web,db"'),
        ('{{.ID | printf "<%6s|%-6s|%.2s|%6.2q>" .ID .ID .ID}}', '<   abc|abc   |ab|  "ab">'),
        ('{{printf "%v %v %d%% %3d|" true 3 (len .ID) 5}}', "true 3 3%   5|"),
        ('{{printf "%q" "a\\"b"}}{{printf .ID}}', '"a\\"b"abc'),
        ("{{truex}}", None),
    ],
)
def test_what_is_compared_and_put_together_is_as_with_docker(format: str, shown: str | None) -> None:
    if shown is None:
        with pytest.raises(UsageError, match="there is no function truex"):
            Template(format).render(WEB)
        return
    assert Template(format).render(WEB) == shown


@pytest.mark.parametrize(
    ("format", "message"),
    [
        ("{{eq .ID}}", "eq takes a value and a value"),
        ("{{true 1}}", "true takes no arguments"),
        ("{{printf 5}}", "printf takes a text"),
        ("{{printf}}", "printf takes a text"),
        ('{{printf "%s"}}', "printf has no value for its %s"),
        ('{{printf "x" .ID}}', "printf has a value more than its text has use for"),
        ('{{printf "%s" 5}}', "the %s of printf takes a text"),
        ('{{printf "%d" .ID}}', "the %d of printf takes a number"),
        ('{{printf "%d" true}}', "the %d of printf takes a number"),
        ('{{printf "%x" 5}}', "printf knows %s, %q, %d, %v and %%, and no %x"),
        ('{{printf "100%"}}', "printf knows %s, %q, %d, %v and %%, and no %"),
    ],
)
def test_what_printf_cannot_do_is_told(format: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Template(format).render(WEB)
    assert message in str(caught.value)


def test_a_width_is_no_more_than_fits_a_memory() -> None:
    assert len(Template('{{printf "%999999999s" .ID}}').render(WEB)) == 1000
