"""A site's cases: one folder a case, and an index of them in SQLite that can be made again from the folders at any time.

    STORE/CASE/summary.json, decisions.jsonl, timings.jsonl    as `surgical-ml replay` leaves them
    STORE/CASE/about.json                                      {"schema": 1, "date": "2026-03-14"}, where somebody said it
    STORE/cases.sqlite                                         the index: nothing is in it that is not in the folders

A case without a date in `about.json` has the date of the first entry of its record, if its record lies in its folder.
"""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from surgical_ml.audit import AuditError, read
from surgical_ml.errors import InputError
from surgical_ml.evaluation.case_files import DECISIONS, SUMMARY, TIMINGS, read_decisions, read_summary
from surgical_ml.guidance import Kind
from surgical_ml.labels import member, natural, read_json
from surgical_ml.workflow.protocol_course import CaseCourse, Visit, decided_course

INDEX, ABOUT = "cases.sqlite", "about.json"
SCHEMA = 1

_TABLES = """
CREATE TABLE cases (name TEXT PRIMARY KEY, content TEXT NOT NULL, day TEXT, procedure TEXT NOT NULL,
                    protocol TEXT NOT NULL, model TEXT NOT NULL, length_s REAL NOT NULL);
CREATE TABLE visits (name TEXT NOT NULL REFERENCES cases ON DELETE CASCADE, place INTEGER NOT NULL, phase TEXT NOT NULL,
                     start_s REAL NOT NULL, end_s REAL NOT NULL, tools TEXT, PRIMARY KEY (name, place));
CREATE TABLE departures (name TEXT NOT NULL REFERENCES cases ON DELETE CASCADE, code TEXT NOT NULL,
                         subject TEXT NOT NULL, onset_s REAL NOT NULL, priority TEXT NOT NULL, phase TEXT);
"""


@dataclass(frozen=True, slots=True)
class Departure:
    """A deviation that was announced in a case: what, since when, with which priority, and in which committed phase."""

    code: str
    subject: str
    onset_s: float
    priority: str
    phase: str | None


@dataclass(frozen=True, slots=True)
class StoredCase:
    """One case of a store.

    Attributes:
        name: of its folder.
        day: when it was; None where nothing says so.
        procedure: the protocol that it was judged against.
        length_s: from its first to its last judged frame, seconds.
        course: its visits to phases.
        departures: in the order of their onsets.
    """

    name: str
    day: date | None
    procedure: str
    length_s: float
    course: CaseCourse
    departures: tuple[Departure, ...]


@dataclass(frozen=True, slots=True)
class Indexed:
    """What bringing an index up to date did: how many cases it has, which were read, and which could not be, and why."""

    cases: int
    read: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]


def add_case(store: Path, case: Path, day: date | None = None, *, name: str | None = None) -> Path:
    """Copy a case folder into a store; the copy appears whole or not at all.

    Args:
        store: folder of the store, made where there is none.
        case: folder that `surgical-ml replay` wrote.
        day: when the case was; as its record says otherwise.
        name: in the store; that of the folder otherwise.

    Raises:
        InputError: it is no case folder, or the store has a case of that name.
    """
    read_summary(case)
    name = name or case.resolve().name
    target = store / name
    if target.parent != store or name.startswith(".") or target.exists():
        raise InputError(target, "a new folder of the store", "one that is there" if target.exists() else repr(name))
    day = day or recorded_day(case)
    aside = store / f".{name}.partial"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        for file in (SUMMARY, DECISIONS, TIMINGS):
            shutil.copyfile(case / file, aside / file)
        if day is not None:
            (aside / ABOUT).write_text(json.dumps({"schema": SCHEMA, "date": day.isoformat()}) + "\n", "utf-8")
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def recorded_day(case: Path) -> date | None:
    """The UTC day of the first entry of a case's record; None where the record is not in the folder."""
    if not (case / "audit").is_dir():
        return None
    try:
        entry = next(iter(read(case / "audit")), None)
    except AuditError as error:
        raise InputError(case / "audit", "a whole record", str(error)) from error
    return None if entry is None else datetime.fromtimestamp(int(entry[1]["t_utc"]) / 1e9, UTC).date()


def update_index(store: Path, *, rebuild: bool = False) -> Indexed:
    """Bring a store's index up to date: read what is new or changed, and forget what is gone.

    A case that cannot be read is left out and named, and keeps no other from being seen.

    Args:
        store: folder of the store.
        rebuild: throw the index away first.

    Raises:
        InputError: no such folder, or one in which no case can be read.
    """
    if not store.is_dir():
        raise InputError(store, "the folder of a case store", "a file" if store.exists() else "no folder")
    folders = {path.parent.name: path.parent for path in store.glob(f"*/{DECISIONS}")}
    folders = {name: folders[name] for name in sorted(folders, key=natural) if not name.startswith(".")}
    fresh, refused = [], []
    with _opened(store, rebuild) as index:
        known = dict(index.execute("SELECT name, content FROM cases"))
        for name in known.keys() - folders.keys():
            index.execute("DELETE FROM cases WHERE name = ?", (name,))
        for name, folder in folders.items():
            try:
                content = _content(folder)
                if known.get(name) == content:
                    continue
                case, protocol, model = _read_case(folder)
            except InputError as error:
                index.execute("DELETE FROM cases WHERE name = ?", (name,))
                refused.append((name, str(error)))
                continue
            _put(index, case, content, protocol, model)
            fresh.append(name)
        (cases,) = index.execute("SELECT count(*) FROM cases").fetchone()
    if cases == 0:
        raise InputError(store, f"case folders with {SUMMARY} and {DECISIONS}", refused[0][1] if refused else "none")
    return Indexed(cases, tuple(fresh), tuple(refused))


def stored_cases(store: Path) -> tuple[StoredCase, ...]:
    """The cases of a store as its index has them, in the order of their names.

    Raises:
        InputError: the index is missing or of another version: `update_index` first.
    """
    if not (store / INDEX).is_file():
        raise InputError(store / INDEX, "the index of a case store", "no file")
    with _opened(store, rebuild=False) as index:
        cases = index.execute("SELECT name, day, procedure, length_s FROM cases").fetchall()
        found = []
        for name, day, procedure, length_s in sorted(cases, key=lambda row: natural(row[0])):
            visits = index.execute(
                "SELECT phase, start_s, end_s, tools FROM visits WHERE name = ? ORDER BY place", (name,)
            )
            course = CaseCourse(name, tuple(Visit(p, a, b, t if t is None else json.loads(t)) for p, a, b, t in visits))
            told = index.execute(
                "SELECT code, subject, onset_s, priority, phase FROM departures WHERE name = ? ORDER BY rowid", (name,)
            )
            departures = tuple(Departure(*row) for row in told)
            found.append(StoredCase(name, day and date.fromisoformat(day), procedure, length_s, course, departures))
    return tuple(found)


@contextmanager
def _opened(store: Path, rebuild: bool) -> Iterator[sqlite3.Connection]:
    """The index, in one transaction; a new one where there is none, or none of this version."""
    path = store / INDEX
    try:
        if rebuild or not _is_current(path):
            path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as index, index:
            index.execute("PRAGMA foreign_keys = ON")
            if index.execute("PRAGMA user_version").fetchone() == (0,):
                index.executescript(f"{_TABLES} PRAGMA user_version = {SCHEMA};")
            yield index
    except sqlite3.Error as error:
        raise InputError(path, "an index that can be written, or no file", str(error)) from error


def _is_current(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(path)) as index:
            (version,) = index.execute("PRAGMA user_version").fetchone()
            return bool(version == SCHEMA)
    except sqlite3.DatabaseError:
        # Whatever it is, it is no index, and all that an index holds lies in the folders.
        return False


def _content(folder: Path) -> str:
    """SHA-256, hex, of what a case is indexed from."""
    total = hashlib.sha256()
    for name in (SUMMARY, ABOUT, DECISIONS):
        path = folder / name
        if path.is_file():
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        total.update(name.encode())
    return total.hexdigest()


def _read_case(folder: Path) -> tuple[StoredCase, str, str]:
    """A case, with the digests of its protocol and its model."""
    summary = read_summary(folder)
    course = decided_course(summary.phases, summary.tools, folder / DECISIONS, folder.name)
    found: dict[tuple[str, str, int], Departure] = {}
    first_ns, last_ns, start_ns = None, 0, 0
    for one in read_decisions(folder):
        if one.event != "frame":
            continue
        if first_ns is None:
            first_ns = start_ns = one.stamp_ns
        last_ns = one.stamp_ns
        for told in one.advisories:
            if told.kind is Kind.PROCEDURAL:
                phase = None if one.phase is None else one.phase.committed
                onset_s = max(0.0, (told.onset_ns - start_ns) / 1e9)
                found.setdefault(
                    (told.code, told.subject, told.onset_ns),
                    Departure(told.code, told.subject, onset_s, told.priority.value, phase),
                )
    departures = tuple(sorted(found.values(), key=lambda one: (one.onset_s, one.code, one.subject)))
    day = _day(folder)
    case = StoredCase(folder.name, day, summary.protocol.name, (last_ns - start_ns) / 1e9, course, departures)
    return case, summary.protocol.sha256, summary.model.sha256


def _day(folder: Path) -> date | None:
    path = folder / ABOUT
    if not path.is_file():
        return recorded_day(folder)
    values = read_json(path, "what is known of a case")
    if (schema := member(values, "schema", int, str(path))) != SCHEMA:
        raise InputError(path, f"schema {SCHEMA}", f"schema {schema}")
    try:
        return date.fromisoformat(member(values, "date", str, str(path)))
    except ValueError as error:
        raise InputError(f"{path}, date", "a day: 2026-03-14", str(values["date"])[:40]) from error


def _put(index: sqlite3.Connection, case: StoredCase, content: str, protocol: str, model: str) -> None:
    index.execute("DELETE FROM cases WHERE name = ?", (case.name,))
    day = None if case.day is None else case.day.isoformat()
    index.execute(
        "INSERT INTO cases VALUES (?, ?, ?, ?, ?, ?, ?)",
        (case.name, content, day, case.procedure, protocol, model, case.length_s),
    )
    index.executemany(
        "INSERT INTO visits VALUES (?, ?, ?, ?, ?, ?)",
        [
            (case.name, k, one.phase, one.start_s, one.end_s, one.tools_s and json.dumps(dict(one.tools_s)))
            for k, one in enumerate(case.course.visits)
        ],
    )
    index.executemany("INSERT INTO departures VALUES (?, ?, ?, ?, ?, ?)", _rows(case.name, case.departures))


def _rows(name: str, departures: Sequence[Departure]) -> list[tuple[str, str, str, float, str, str | None]]:
    return [(name, one.code, one.subject, one.onset_s, one.priority, one.phase) for one in departures]
