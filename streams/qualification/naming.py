"""What groups were called before: points go on under a name of now, whichever name they were given under.

A model names the group that one of its own `was` in the model before it. From one change to the next what a partition
knows of that adds up, so that a lead finds its groups again in a partition that is several changes ahead of its own, or
behind it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from types import MappingProxyType

from streams.qualification.model.values import Group

#: Group, by its name in an earlier model or now -> the group that has its points.
Heirs = Mapping[str, str]
#: So many former names are remembered: all that the groups of a model say, and a few changes of them.
MOST_NAMES = 100

_NONE: Mapping[str, str] = MappingProxyType({})


def line_of(
    groups: Mapping[str, Group], there: Collection[str] = (), before: Mapping[str, str] = _NONE
) -> dict[str, str]:
    """Name -> the one before it, for `groups` of a model and for their former names, newest first.

    `there` are the groups of the model before, and `before` is what was known of their names.
    """
    line = {name: group.was for name, group in groups.items() if group.was is not None}
    renamed = set(line.values())
    for name, older in before.items():
        goes_on = name not in groups or (name in there and name not in renamed)
        # A name of now means what it does now: the line leads past it.
        past = next((one for one in (older, *(one for _, one in _steps(older, before))) if one not in groups), None)
        if name not in line and goes_on and past is not None:
            line[name] = past
    found = {name: older for group in groups for name, older in _steps(group, line)}
    return dict(islice(((name, older) for name, older in line.items() if name in found), MOST_NAMES))


def heirs_of(
    names: Collection[str], was: Mapping[str, str], there: Collection[str] = (), undone: Mapping[str, str] = _NONE
) -> Heirs:
    """Which of the groups `names` has the points that were given under a name: its own, or one that it `was`.

    `there` are the groups that points come from, and `undone` what those were called before: a model that is taken back
    has the groups that had other names since. But not those that say themselves that they were another that is there.
    """
    heirs = {name: name for name in names}
    for name in names:
        for _, older in _steps(name, was):
            if older in heirs:
                break
            heirs[older] = name
    taken = {heirs[name] for name in there if heirs.get(name, name) != name}
    back = {}
    for name in there:
        heir = None if name in heirs else next((older for _, older in _steps(name, undone) if older in names), None)
        if heir is not None and heir not in taken:
            back[name] = heir
    return heirs | back


def _steps(name: str, line: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """From a name back along the line: each with the one before it."""
    for _ in range(len(line)):
        older = line.get(name)
        if older is None:
            return
        yield name, older
        name = older
