"""An expunge, taking a temp drop, writing unique-ids: stopped at every call; recovery too; and every call failing."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest

from qpopper_py.errors import MaildropTrouble
from qpopper_py.store.mbox.compact import carry_out
from qpopper_py.store.mbox.from_line import STRICT
from qpopper_py.store.mbox.inscribe import inscribe
from qpopper_py.store.mbox.plan import make
from qpopper_py.store.mbox.recover import recover
from qpopper_py.store.mbox.redo import Redo
from qpopper_py.store.mbox.scan import scan
from qpopper_py.store.mbox.taking import take
from tests.store.boxes import message

from .crash import ERRORS, Replay, Watch, killable, lay

LONG = bool(os.environ.get("ROUNDS"))
OWNER = os.geteuid()


class NoLock:
    """Nobody else is here."""

    def held(self, fd, exclusive):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def refresh(self):
        pass


def text(number: int, size: int) -> bytes:
    return message(number, b"".join(b"%d.%06d\n" % (number, line) for line in range(size // 9)))


MAIL = [text(number, size) for number, size in enumerate((700, 1500, 300, 2600, 900, 1200))]
STATUS = b"Status: RO\n"


def ranges(doomed):
    found = []
    at = 0
    for number, one in enumerate(MAIL):
        if number in doomed:
            start = found.pop()[0] if found and found[-1][1] == at else at
            found.append((start, at + len(one)))
        at += len(one)
    return found


def edits_for(numbers):
    """Status: RO before the empty line that ends the header."""
    starts = [len(b"".join(MAIL[:number])) for number in range(len(MAIL))]
    return [(at := starts[n] + MAIL[n].index(b"\n\n") + 1, at, STATUS) for n in numbers]


class Case:
    """A change of a mailbox.  ``start``: the files before it; ``outcomes``: what the mailbox may hold afterwards."""

    def __init__(self, folder, most, before, after):
        self.box = str(folder / "box")
        self.state = str(folder / "state")
        self.spare = os.path.join(self.state, "redo.spare")
        self.most = most
        self.before, self.after = before, after
        self.outcomes = (before, after)
        self.cut = abs(len(before) - len(after))
        os.mkdir(self.state)
        Path(self.box).write_bytes(before)
        self.redo().make_spare()
        self.start = {}

    def ready(self, *files):
        """The spare has been used before: what it holds must not count."""
        start = {path: Path(path).read_bytes() for path in files}
        self.run(Watch())
        lay(start, ())
        self.start = {path: Path(path).read_bytes() for path in (*files, self.spare)}

    def redo(self):
        return Redo(self.state, most=self.most)

    def reset(self):
        lay(self.start, (self.state,))

    def files(self):
        return {
            path: Path(path).read_bytes()
            for path in (*self.start, *map(str, Path(self.state).iterdir()))
            if os.path.exists(path)
        }

    def run(self, watch):
        """Make the change; MaildropTrouble."""
        with killable(), watch.standing():
            self.change()
        return watch

    def recover(self, watch=None):
        """What the next session does before it looks at the mailbox."""
        reports = []
        with killable(), (watch or Watch()).standing():
            recover(self.box, OWNER, [self.redo()], NoLock(), reports.append)
            self.once_more(reports.append)
        assert not any("it is now" in line for line in reports), reports

    def once_more(self, report):
        """An expunge is not asked for once more."""

    def contents(self):
        return Path(self.box).read_bytes()

    def deliver(self, data):
        with open(self.box, "ab") as file:
            file.write(data)

    def pending(self):
        return self.redo().pending()


class Expunge(Case):
    """Of ``doomed``, with steps of ``most`` octets; ``seen`` get a Status."""

    def __init__(self, folder, doomed, most, seen=()):
        self.doomed, self.seen = doomed, seen
        after = b"".join(
            one.replace(b"\n\n", b"\n" + STATUS + b"\n", 1) if number in seen else one
            for number, one in enumerate(MAIL)
            if number not in doomed
        )
        super().__init__(folder, most, b"".join(MAIL), after)
        self.ready(self.box)

    def change(self):
        plan = make(ranges(self.doomed), edits_for(self.seen), len(self.before))
        fd = os.open(self.box, os.O_RDWR)
        try:
            carry_out(fd, self.box, plan, self.redo(), lambda: None)
        finally:
            os.close(fd)


class TempDrop(Case):
    """A temp drop that ends in ``end`` goes in front of a mailbox that holds ``held``."""

    def __init__(self, folder, held, end):
        self.temp = str(folder / ".user.pop")
        drop = b"".join(MAIL[:3])[:-2] + end
        gap = b"" if end == b"\n\n" else b"\n" if end else b"\n\n"
        super().__init__(folder, 65536, held, drop + gap + held)
        self.outcomes = (self.after,)
        Path(self.temp).write_bytes(drop)
        self.drop = drop
        self.ready(self.box, self.temp)

    def change(self):
        take(self.box, OWNER, self.temp, self.redo(), NoLock(), lambda _: None)

    def once_more(self, report):
        take(self.box, OWNER, self.temp, self.redo(), NoLock(), report)
        assert not os.path.getsize(self.temp)


class Inscribed(Case):
    """Each message gets an X-UIDL field: the mailbox grows."""

    def __init__(self, folder):
        self.uids = {number: f"uid-{number}" for number in range(len(MAIL))}
        after = b"".join(one.replace(b"\n", b"\nX-UIDL: uid-%d\n" % number, 1) for number, one in enumerate(MAIL))
        super().__init__(folder, 65536, b"".join(MAIL), after)
        self.ready(self.box)

    def change(self):
        fd = os.open(self.box, os.O_RDWR)
        try:
            layout = scan(fd, self.box, 0, os.fstat(fd).st_size, rule=STRICT)
            inscribe(fd, self.box, self.state, layout, self.uids, "qpopper2", self.redo(), lambda: None)
        finally:
            os.close(fd)


def mail_of(size, number=90):
    """A message of exactly that many octets, 80 at least."""
    head = message(number, b"")
    return head[:-1] + b"x" * (size - len(head) - 1) + b"\n\n"


def deliveries(case):
    """Shorter than what is cut, as long, longer; and the very octets that lie at the end of the mailbox."""
    yield b""
    yield mail_of(100)
    yield mail_of(case.cut)
    yield mail_of(case.cut + 700)
    yield case.after[-case.cut :]
    yield case.before[-case.cut :]


CASES = {
    "the first, by steps": (Expunge, {0}, 512),
    "the first, by positions": (Expunge, {0, 1}, 512),
    "a small one, steps larger than all": (Expunge, {2}, 65536),
    "spread": (Expunge, {0, 2, 4}, 1024),
    "spread, with Status": (Expunge, {0, 3}, 1024, (1, 2, 4, 5)),
    "the last but one": (Expunge, {4}, 65536),
    "a temp drop": (TempDrop, b"".join(MAIL[3:]), b"\n\n"),
    "a temp drop, an empty mailbox": (TempDrop, b"", b"\n\n"),
    "a temp drop that ends in mid-line": (TempDrop, MAIL[3], b""),
    "unique-ids written in": (Inscribed,),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request, tmp_path):
    kind, *arguments = request.param
    return kind(tmp_path, *arguments)


def wanted(case, mail):
    return [one + mail for one in case.outcomes]


def test_undisturbed_it_is_done(case):
    case.reset()
    case.run(Watch())
    assert case.contents() == case.after
    assert not case.pending()


def test_killed_before_any_call_it_is_completed_or_undone(case):
    """Then killed again before any call of the recovery; mail comes in before either."""
    case.reset()
    total = case.run(Watch()).count
    late = mail_of(333, 91)
    for kill in range(total + 1):
        mails = list(deliveries(case))
        for mail in mails if LONG else (b"", mails[1 + kill % (len(mails) - 1)]):
            case.reset()
            case.run(Watch(kill))
            case.deliver(mail)
            dead = case.files()
            watch = Watch()
            case.recover(watch)
            done = case.contents()
            assert done in wanted(case, mail), f"killed before call {kill}"
            assert not case.pending()
            every = 1 if LONG else 3
            for again in range(kill % every, watch.count, every):
                lay(dead, (case.state,))
                case.recover(Watch(again))
                case.deliver(late)
                case.recover()
                assert case.contents() == done + late, f"killed before call {kill}, recovery before call {again}"
                assert not case.pending()


def test_power_lost_at_any_call_it_is_completed_or_undone(case):
    """What was not synced is lost in any part and mixture; then power goes in the recovery too."""
    case.reset()
    watch = case.run(Watch())
    replay = Replay(case.start, watch.calls)
    chance = random.Random(1)
    late = mail_of(333, 91)
    for prefix in range(watch.count + 1):
        for number, state in enumerate(replay.states(prefix, 200 if LONG else 12)):
            mail = chance.choice(list(deliveries(case)))
            lay(state, (case.state,))
            case.deliver(mail)
            second = Watch()
            start = {**state, case.box: case.contents()}
            case.recover(second)
            done = case.contents()
            assert done in wanted(case, mail), f"lost at call {prefix}, state {number}"
            assert not case.pending()
            again = Replay(start, second.calls, number)
            for stop in range(second.count + 1) if LONG else (chance.randint(0, second.count),):
                for worse in again.states(stop, 12 if LONG else 3):
                    lay(worse, (case.state,))
                    case.deliver(late)
                    case.recover()
                    assert case.contents() == done + late, f"lost at {prefix}, state {number}, then at {stop}"


def test_power_lost_after_a_recovery_that_followed_a_kill(case):
    """What was not synced before the kill may be lost long after it, unless the recovery saw to that."""
    case.reset()
    total = case.run(Watch()).count
    for kill in range(total + 1):
        case.reset()
        first = case.run(Watch(kill))
        second = Watch()
        case.recover(second)
        done = case.contents()
        replay = Replay(case.start, first.calls + second.calls, kill)
        for stop in range(second.count + 1):
            for state in replay.states(first.count + stop, 40 if LONG else 4):
                lay(state, (case.state,))
                case.recover()
                allowed = (done,) if stop == second.count else case.outcomes
                assert case.contents() in allowed, f"killed before {kill}, lost at call {stop} of the recovery"


def test_a_sync_that_failed_is_not_made_good_by_the_next(case):
    """After a failed fsync the kernel takes what it could not write for written."""
    case.reset()
    calls = case.run(Watch()).calls
    for number, call in enumerate(calls):
        if call[0] != "fsync":
            continue
        case.reset()
        watch = Watch(fail=(number, errno.EIO, 1))
        try:
            case.run(watch)
            last = (case.after,)
        except MaildropTrouble:
            last = case.outcomes
        replay = Replay(case.start, watch.calls, number)
        for prefix in range(number, watch.count + 1):
            for state in replay.states(prefix, 40 if LONG else 6):
                lay(state, (case.state,))
                case.recover()
                allowed = last if prefix == watch.count else case.outcomes
                assert case.contents() in allowed, f"fsync, call {number}, failed; power lost at {prefix}"


def failures(total, calls):
    for number in range(total):
        for code in ERRORS[calls[number][0]]:
            for times in (1, 2, 10**6):
                yield number, code, times


def test_every_call_may_fail_with_every_errno(case):
    """Once, twice or for good.  Nothing is changed; or it is done; or it is done when the disk works again."""
    case.reset()
    calls = case.run(Watch()).calls
    for fail in failures(len(calls), calls):
        case.reset()
        try:
            case.run(Watch(fail=fail))
        except MaildropTrouble as why:
            said = str(why)
        else:
            said = ""
        left = case.contents()
        if not said:
            assert left == case.after, fail
        elif "nothing was removed" in said or "nothing was changed" in said:
            assert left == case.before, fail
            assert not case.pending(), fail
        elif "did not confirm" in said:
            assert left == case.after, fail
        else:
            assert case.pending(), (fail, said)
        case.deliver(mail_of(100))
        case.recover()
        assert case.contents() in wanted(case, mail_of(100)), (fail, said)
        assert not case.pending(), fail
