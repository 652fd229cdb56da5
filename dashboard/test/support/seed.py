"""Fills a stopped engine's database with copies of its only execution.

seed.py DATABASE SESSIONS EACH: creates SESSIONS sessions with EACH executions.
"""

import os
import sqlite3
import sys

database, sessions, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
connection = sqlite3.connect(database)
connection.row_factory = sqlite3.Row


def row(table):
    found = dict(connection.execute(f"SELECT * FROM {table} ORDER BY id DESC LIMIT 1").fetchone())
    found.pop("id")
    return found


def put(table, template, rows):
    names = ", ".join(template)
    marks = ", ".join("?" for _ in template)
    connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)


session, goal, execution = row("sessions"), row("goals"), row("executions")
start = execution["created_at"]
first_session = connection.execute("SELECT MAX(id) FROM sessions").fetchone()[0] + 1
first_goal = connection.execute("SELECT MAX(id) FROM goals").fetchone()[0] + 1
# The engine's ids grow with time, and so do these.
uuids = iter(range(1, 10**9))


def uuid():
    return b"\x02" + next(uuids).to_bytes(7, "big") + os.urandom(8)


def changed(template, **members):
    return tuple({**template, **members}.values())


put("sessions", session, (
    changed(session, uuid=uuid(), name=f"session-{n}", created_at=start + n,
            last_activity_at=start + n * each)
    for n in range(sessions)
))
put("goals", goal, (
    changed(goal, uuid=uuid(), session=first_session + n, title=f"goal of session {n}")
    for n in range(sessions)
))
put("executions", execution, (
    changed(execution, uuid=uuid(), session=first_session + n // each, goal=first_goal + n // each,
            created_at=start + n, status=2 if n % 9 else 3, known=None if n % 9 else 2,
            duplicates=n % 3, tool=f"tool_{n % 40}")
    for n in range(sessions * each)
))
connection.commit()
