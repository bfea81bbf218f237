"""Connections to the database: how many there are, how long they wait, what their errors mean."""

from v6srv.engine.gates import is_writing, work_on, writing
from v6srv.engine.make import SPENT, make_engine
from v6srv.engine.probe import Probe

__all__ = ["SPENT", "Probe", "is_writing", "make_engine", "work_on", "writing"]
