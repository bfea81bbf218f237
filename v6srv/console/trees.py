"""Tasks that belong together, as a picture: each below the one that started it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from v6srv.model import Task

WIDTH, HEIGHT, STEP_X, STEP_Y = 260, 44, 40, 58
"""Of a task, and from one to the next, in pixels."""


@dataclass(frozen=True, slots=True)
class Box:
    """Where a task stands."""

    task: Task
    x: int
    y: int
    above: tuple[int, int] | None
    """Where the line to the task that started it ends; None: none that is shown did."""
    is_here: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """The boxes from top to bottom, and the size of it all in pixels."""

    boxes: list[Box]
    width: int
    height: int


def picture(tasks: Sequence[Task], here: int) -> Picture:
    """The tree of tasks that are ordered by id; `here` is the one whose page this is."""
    known = {task.id for task in tasks}
    below: dict[int | None, list[Task]] = defaultdict(list)
    for task in tasks:
        below[task.parent_id if task.parent_id in known else None].append(task)
    boxes: list[Box] = []
    places: dict[int, tuple[int, int]] = {}
    waiting = [(task, 0) for task in reversed(below[None])]
    while waiting:
        task, depth = waiting.pop()
        x, y = depth * STEP_X + 2, len(boxes) * STEP_Y + 2
        above = places.get(task.parent_id or 0)
        boxes.append(Box(task, x, y, above, task.id == here))
        places[task.id] = (x + STEP_X // 2, y + HEIGHT)
        waiting += [(child, depth + 1) for child in reversed(below[task.id])]
    width = max(box.x for box in boxes) + WIDTH + 4
    return Picture(boxes, width, len(boxes) * STEP_Y)
