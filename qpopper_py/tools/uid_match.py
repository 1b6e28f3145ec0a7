"""Which message of a mailbox is which of another server's list: by something that tells, never by a guess.

A wrong uid is worse than none: a client takes the message for one that it has, and never fetches it.
"""

from collections.abc import Callable, Sequence

from qpopper_py.tools.uid_lists import Given


def by_key(given: Sequence[Given], key: Callable[[Given], str], mine: Sequence[str]) -> dict[int, Given]:
    """Message -> entry where both have the same key; of several with one key, in their order if they are as many."""
    theirs: dict[str, list[Given]] = {}
    for entry in given:
        theirs.setdefault(key(entry), []).append(entry)
    ours: dict[str, list[int]] = {}
    for index, text in enumerate(mine):
        ours.setdefault(text, []).append(index)
    found: dict[int, Given] = {}
    for text, indexes in ours.items():
        entries = theirs.get(text, [])
        if text and len(entries) == len(indexes):
            found.update(zip(indexes, entries, strict=True))
    return found


def by_order(given: Sequence[Given], octets: Sequence[int]) -> dict[int, Given]:
    """Message -> entry by order and size.

    Where both are as many and no size contradicts, all.  Else the sizes that each side has once only, in the same
    order, are the posts, and between two posts the rest is matched where it is alike on both sides.  A size that is
    not known is not matched unless the counts agree.
    """
    found: dict[int, Given] = {}
    sizes = [entry.octets for entry in given]
    for theirs, ours in stretches(sizes, octets):
        if len(theirs) == len(ours) and all(sizes[t] in (-1, octets[o]) for t, o in zip(theirs, ours, strict=True)):
            found.update((o, given[t]) for t, o in zip(theirs, ours, strict=True))
    return found


def stretches(sizes: Sequence[int], octets: Sequence[int]) -> list[tuple[range, range]]:
    """Both sequences cut at the same posts: (part of the one, part of the other), each post a part of its own."""
    if len(sizes) == len(octets) and all(size in (-1, own) for size, own in zip(sizes, octets, strict=True)):
        return [(range(len(sizes)), range(len(octets)))]
    theirs, ours = once(sizes), once(octets)
    posts = ascending([(theirs[size], ours[size]) for size in theirs if size in ours and size >= 0])
    parts = []
    a = b = 0
    for t, o in [*posts, (len(sizes), len(octets))]:
        parts += [(range(a, t), range(b, o)), (range(t, min(t + 1, len(sizes))), range(o, min(o + 1, len(octets))))]
        a, b = t + 1, o + 1
    return parts


def once(items: Sequence[int]) -> dict[int, int]:
    """Where an item stands, of those that stand there once only."""
    places: dict[int, list[int]] = {}
    for place, item in enumerate(items):
        places.setdefault(item, []).append(place)
    return {item: found[0] for item, found in places.items() if len(found) == 1}


def ascending(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those pairs, by their first, whose second contradicts no other's: mail is added and taken out, never moved."""
    pairs = sorted(pairs)
    least_behind = [0] * len(pairs)
    least = 1 << 62
    for place in range(len(pairs) - 1, -1, -1):
        least_behind[place] = least
        least = min(least, pairs[place][1])
    kept = []
    most = -1
    for place, (first, second) in enumerate(pairs):
        if most < second < least_behind[place]:
            kept.append((first, second))
        most = max(most, second)
    return kept
