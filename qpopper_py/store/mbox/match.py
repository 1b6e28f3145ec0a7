"""Finding messages again after another session of the same user has expunged some: second_session = allowed.

A message is known by the hash of its From_ line and header, and its octets.  Of what can have happened only expunges
and deliveries are accepted: what lies there now must be messages of the scan in their old order, and new ones behind
them.  Everything else may be an edit, and a message that is not there may be one that was edited: then nothing is
found.  Messages that share their marks are told apart by their order alone, so they count only as long as none of
them is missing, or if all of them are wanted.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from qpopper_py.store.mbox.layout import Layout

    Mark = tuple[bytes, int]


def found_again(old: "Layout", new: "Layout", wanted: "Collection[int]") -> "list[int] | None":
    """The rows of ``new``, ascending, that are the rows ``wanted`` of ``old``; those that are gone have none.

    None: ``new`` is not what expunges and deliveries can have made of ``old``, or it cannot be told which is which.
    """
    places: dict[Mark, list[int]] = {}
    for row in range(int(old.internal), len(old)):
        places.setdefault(_mark(old, row), []).append(row)
    now: dict[int, int] = {}  # row of old -> row of new
    upto = 0  # rows of old before this one are matched, or gone
    delivered = False
    for row in range(int(new.internal), len(new)):
        known = places.get(_mark(new, row))
        if known is None:
            delivered = True
            continue
        match = next((place for place in known if place >= upto), -1)
        if delivered or match < 0:
            return None
        now[match] = row
        upto = match + 1
    sought = set(wanted)
    for sharers in places.values():
        there = sum(row in now for row in sharers)
        if there < len(sharers) and sought.intersection(sharers) and not sought.issuperset(sharers) and there:
            return None
    return sorted(now[row] for row in sought if row in now)


def _mark(layout: "Layout", row: int) -> "Mark":
    return layout.digest(row), layout.octets[row]
