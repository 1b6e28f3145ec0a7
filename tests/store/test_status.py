"""Status and X-UIDL in the mail: written as it moves, where there is room, and where it changes no unique-id."""

import pytest

from .boxes import FROM, parse, store

BODY = b"text\n" * 10


def mail(number, header=b"", end=b"\n"):
    head = FROM + b"Message-Id: <%d@example.org>\n" % number + header
    return (head + b"\n" + BODY).replace(b"\n", end) + end


def session(folder, data=None, gone=(), seen=(), **values):
    """Expunge; {octets} and uids before, the file afterwards."""
    opened = store(folder, data, **values)
    octets = [entry.octets for entry in opened.scan()]
    uids = list(opened.uids())
    opened.mark_seen(set(seen))
    opened.expunge(set(gone))
    opened.remember(set(seen))
    opened.close()
    return octets, uids, (folder / "box").read_bytes()


WRITE = {"status_headers": "write"}
STATUS = b"Status: RO\n"


def test_retrieved_mail_behind_the_first_deletion_gets_it(tmp_path):
    data = b"".join(mail(number) for number in range(4))
    _, _, left = session(tmp_path, data, {1}, {0, 2}, **WRITE)
    assert left == mail(0) + mail(2, STATUS) + mail(3)


def test_a_status_that_is_there_is_replaced(tmp_path):
    data = mail(0) + mail(1, b"Status: O\nX-Other: 1\n") + mail(2, b"status: \n O\n")
    _, _, left = session(tmp_path, data, {0}, {1, 2}, **WRITE)
    assert left == mail(1, STATUS + b"X-Other: 1\n") + mail(2, STATUS)


def test_one_that_says_so_already_stays(tmp_path):
    data = mail(0) + mail(1, b"Status: OR\n")
    assert session(tmp_path, data, {0}, {1}, **WRITE)[2] == mail(1, b"Status: OR\n")


def test_lines_end_as_the_mailbox_ends_them(tmp_path):
    data = mail(0, end=b"\r\n") + mail(1, end=b"\r\n")
    assert session(tmp_path, data, {0}, {1}, **WRITE)[2] == mail(1, STATUS, b"\r\n")


def test_without_room_it_stays_in_our_record_and_is_written_later(tmp_path):
    """The hole behind the small first message takes a few fields; the rest wait for the next expunge."""
    data = b"".join(mail(number) for number in range(40))
    _, _, left = session(tmp_path, data, {0}, range(1, 40), **WRITE)
    written = left.count(STATUS)
    assert 0 < written < 39
    opened = store(tmp_path, **WRITE)
    opened.scan()
    assert opened.retrieved() == set(range(39))
    opened.mark_seen(opened.retrieved() - {0})
    opened.expunge({0})
    opened.close()
    assert (tmp_path / "box").read_bytes().count(STATUS) > written


def test_without_a_deletion_nothing_is_written(tmp_path):
    data = mail(0) + mail(1)
    assert session(tmp_path, data, (), {0, 1}, **WRITE)[2] == data


def test_by_default_a_store_writes_none(tmp_path):
    data = mail(0) + mail(1)
    assert session(tmp_path, data, {0}, {1})[2] == mail(1)


@pytest.mark.parametrize("header", [b"x" * (1 << 20) + b"\n"])
def test_a_header_that_never_ends_is_left_alone(tmp_path, header):
    data = mail(0) + mail(1, header)
    assert session(tmp_path, data, {0}, {1}, **WRITE)[2] == mail(1, header)


def test_the_next_session_has_the_right_sizes_and_the_same_uids(tmp_path):
    data = b"".join(mail(number) for number in range(3))
    octets, uids, _ = session(tmp_path, data, {0}, {1, 2}, **WRITE)
    opened = store(tmp_path, **WRITE)
    entries = opened.scan()
    texts = [b"".join(opened.read(index)) for index in range(2)]
    assert [entry.octets for entry in entries] == [len(text) for text in texts]
    assert [entry.octets for entry in entries] == [size + len(STATUS) + 1 for size in octets[1:]]
    assert list(opened.uids()) == uids[1:]
    assert opened.retrieved() == {0, 1}
    opened.close()


@pytest.mark.parametrize("scheme", ["qpopper2", "qpopper4", "popa3d", "mailutils3", "dovecot", "courier", "uw"])
@pytest.mark.parametrize("values", [WRITE, {"x_uidl_headers": "write"}, {**WRITE, "x_uidl_headers": "write"}])
def test_no_scheme_gives_another_uid_for_what_was_written(tmp_path, scheme, values):
    equal = mail(3)
    data = mail(0) + mail(1) + mail(2, b"X-UIDL: stored\n") + equal + equal + mail(4, b"Status: O\n")
    _, uids, _ = session(tmp_path, data, {0}, range(1, 6), uidl=scheme, **values)
    opened = store(tmp_path, uidl=scheme, **values)
    opened.scan()
    assert list(opened.uids()) == uids[1:]
    opened.close()


def test_x_uidl_stands_first_and_is_what_uidl_said(tmp_path):
    data = mail(0, b"X-Padding: " + b"x" * 200 + b"\n") + mail(1) + mail(2, b"X-UIDL: stored\n")
    _, uids, left = session(tmp_path, data, {0}, x_uidl_headers="write")
    assert left == mail(1).replace(FROM, FROM + b"X-UIDL: " + uids[1].encode() + b"\n") + mail(2, b"X-UIDL: stored\n")
    assert [one[0] for one in parse(left)] == [FROM, FROM]


def test_x_uidl_is_not_written_where_the_scheme_does_not_read_it(tmp_path):
    data = mail(0, b"X-Padding: " + b"x" * 200 + b"\n") + mail(1)
    assert session(tmp_path, data, {0}, x_uidl_headers="write", uidl="popa3d")[2] == mail(1)
