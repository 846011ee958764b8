"""What a text of SQL asks for, as far as an HTTP server must know before the engine reads it.

Pure. The engine parses; here only tokens are told apart, to find the verb, the FORMAT clause, where
the data of an INSERT begin, and what must not reach an in-process engine (INTO OUTFILE, a second
statement).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_HEAD = 1 << 18  # ClickHouse's own max_query_size; data of an INSERT do not count

_TOKEN = re.compile(
    rb"""
      (?P<skip>  \s+ | --[^\n]* | \#[\ !][^\n]* | /\*.*?\*/ )
    | (?P<quoted> '[^'\\]*(?:(?:\\.|'')[^'\\]*)*' | "[^"\\]*(?:(?:\\.|"")[^"\\]*)*"
               | `[^`\\]*(?:(?:\\.|``)[^`\\]*)*` | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<word>  [^\W\d]\w* )
    | (?P<open>  [(\[{] )
    | (?P<close> [)\]}] )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_RESULTS = frozenset(
    {"SELECT", "WITH", "FROM", "VALUES", "(", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN"}
    | {"CHECK", "KILL", "BACKUP", "RESTORE"}
)
_STREAMED = frozenset({"SELECT", "WITH", "FROM", "("})


class BadStatementError(Exception):
    """A statement refused before the engine sees it, with ClickHouse's error code."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {message}. ({name})")


@dataclass(frozen=True)
class Statement:
    """One statement. `text` is what the engine gets; `data_at` is where an INSERT's data begin."""

    text: bytes
    verb: str
    format: str  # as the statement says it; empty when it does not
    data_at: int | None = None
    clause: bytes = b""  # the SETTINGS of an INSERT with data, which are not in its text

    @property
    def has_result(self) -> bool:
        """Whether an answer has rows, or may have."""
        return self.verb in _RESULTS

    @property
    def may_stream(self) -> bool:
        """Whether the engine can hand the result out block by block."""
        return self.verb in _STREAMED


def read(sql: bytes) -> Statement:
    r"""Read the statement at the start of `sql`; raises BadStatementError.

    >>> read(b"SELECT 1 AS format FORMAT JSON SETTINGS max_threads = 1").format
    'JSON'
    >>> found = read(b"INSERT INTO t SETTINGS a = 1 FORMAT CSV\n1\n")
    >>> found.text, found.clause, found.format, found.data_at
    (b'INSERT INTO t ', b'SETTINGS a = 1 ', 'CSV', 40)
    """
    words = _words(sql)
    verb = next(words, None)
    if verb is None:
        raise BadStatementError(62, "SYNTAX_ERROR", "Empty query")
    if not (verb[0][0].isalpha() or verb[0] == "("):
        raise BadStatementError(62, "SYNTAX_ERROR", f"No statement begins with {verb[0]!r}")
    if verb[0] == "INSERT":
        return _read_insert(sql, words)
    return _read_other(sql, verb[0], words)


def _words(sql: bytes) -> Iterator[tuple[str, int, int]]:
    """What stands outside brackets: words in upper case, the sign "(" for a bracket, other signs.

    A quoted thing is the sign "'". Each comes with its start and end.
    """
    depth = 0
    for match in _TOKEN.finditer(sql):
        kind = "quoted" if match.lastgroup == "tag" else match.lastgroup
        if kind == "close":
            depth = max(0, depth - 1)
        elif kind == "open":
            if depth == 0:
                yield "(", match.start(), match.end()
            depth += 1
        elif depth == 0 and kind != "skip":
            text = "'" if kind == "quoted" else match[0].decode("utf-8", "replace").upper()
            yield text, match.start(), match.end()


def _read_insert(sql: bytes, words: Iterator[tuple[str, int, int]]) -> Statement:
    before, clause_at = "INSERT", None
    for word, start, end in words:
        named = before in {"INTO", "TABLE", "."}  # a table may have a keyword's name
        if word == "INFILE" and before == "FROM":
            raise BadStatementError(344, "SUPPORT_IS_DISABLED", "FROM INFILE is not allowed")
        if word in {"SELECT", "WITH"} and not named:
            return Statement(sql[: _end(sql)], "INSERT", "")
        if word == "SETTINGS" and not named:
            clause_at = start
        if word == "VALUES" and not named:
            return _with_data(sql[:start], clause_at, "Values", end)
        if word == "FORMAT" and not named:
            _, name_start, name_end = next(words, ("", end, end))
            name = sql[name_start:name_end].decode("utf-8", "replace")
            return _with_data(sql[:start], clause_at, name, _after_name(sql, name_end))
        before = word
    return _with_data(sql[: _end(sql)], clause_at, "", len(sql))


def _with_data(head: bytes, clause_at: int | None, form: str, data_at: int) -> Statement:
    """An INSERT whose data begin at `data_at`; its SETTINGS are kept apart."""
    at = len(head) if clause_at is None else clause_at
    return Statement(head[:at], "INSERT", form, data_at, head[at:])


def _after_name(sql: bytes, at: int) -> int:
    """Data begin after the format's name, spaces, perhaps a semicolon, and one end of line."""
    match = re.compile(rb"[ \t\f]*;?[ \t\f]*\r?\n?").match(sql, at)
    return match.end() if match else at


def _read_other(sql: bytes, verb: str, words: Iterator[tuple[str, int, int]]) -> Statement:
    end = _end(sql)
    name, before, last = "", "", verb
    for word, start, stop in words:
        if word == "OUTFILE" and last == "INTO":
            raise BadStatementError(358, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed")
        if last == "FORMAT" and (word[0].isalpha()):
            name = sql[start:stop].decode("utf-8", "replace")
        elif name and before == "FORMAT" and word not in {"SETTINGS", ";"}:
            name = ""  # it was an identifier after all
        before, last = last, word
    return Statement(sql[:end], verb, name)


def _end(sql: bytes) -> int:
    """Where the one statement ends; raises when it is too long, or another one follows."""
    if len(sql) > MAX_HEAD:
        raise BadStatementError(
            62, "SYNTAX_ERROR", f"Max query size exceeded: more than {MAX_HEAD} bytes"
        )
    at = None
    for word, start, _ in _words(sql):
        if word == ";":
            at = start if at is None else at
        elif at is not None:
            raise BadStatementError(62, "SYNTAX_ERROR", "Multi-statements are not allowed")
    return len(sql) if at is None else at
