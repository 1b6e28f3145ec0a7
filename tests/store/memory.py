"""A store in memory: the smallest thing that keeps the contract, to hold the contract suite itself honest."""

from qpopper_py.errors import MaildropBusy
from qpopper_py.store.base import Entry, Store

PIECE = 7


class Mailbox:
    """What outlasts the sessions: (uid, message as RETR sends it), the record, and whether a session is there."""

    def __init__(self):
        self.messages = []
        self.seen = set()
        self.busy = False
        self.count = 0

    def deliver(self, message):
        self.count += 1
        self.messages.append((f"m{self.count}", message))


class Memory(Store):
    def __init__(self, mailbox):
        self.mailbox = mailbox
        self.mine = False
        self.snapshot = []

    def scan(self):
        if self.mailbox.busy:
            raise MaildropBusy("another session has it")
        self.mailbox.busy = self.mine = True
        self.snapshot = list(self.mailbox.messages)
        return [Entry(len(message)) for _, message in self.snapshot]

    def uids(self):
        return [uid for uid, _ in self.snapshot]

    def read(self, index):
        message = self.snapshot[index][1]
        return (message[at : at + PIECE] for at in range(0, len(message), PIECE))

    def expunge(self, indexes):
        gone = {self.snapshot[index][0] for index in indexes}
        self.mailbox.messages = [pair for pair in self.mailbox.messages if pair[0] not in gone]

    def retrieved(self):
        return {index for index, uid in enumerate(self.uids()) if uid in self.mailbox.seen}

    def remember(self, retrieved):
        self.mailbox.seen |= {self.uids()[index] for index in retrieved}
        self.mailbox.seen &= {uid for uid, _ in self.mailbox.messages}

    def close(self):
        if self.mine:
            self.mailbox.busy = self.mine = False
