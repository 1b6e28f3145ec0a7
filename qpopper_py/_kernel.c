/*
 * The optional C kernel: what is done to every octet of a mailbox, and nothing else.
 *
 * Everything here is also there in Python, with the same answers (tests/store/test_kernel.py holds the two against
 * each other); which is used is chosen in kernel.py.  Buffers are bounded (a window of the scan, a piece of a
 * message), a call takes well under a millisecond, but for boundaries() and headers(), which have threads of their own
 * for a while, and a session is a process: the GIL is kept.
 *
 * Stable ABI of Python 3.11: one build serves that and all later ones.
 */
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030b0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

typedef const unsigned char *octets;

/* Sixteen octets at a time, in whatever way the machine has; GCC and Clang know this type on all of them. */
typedef unsigned char block __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));
#define BLOCK ((Py_ssize_t)sizeof(block))
#define ROUNDS 255 /* blocks that a lane of one octet can count */

static inline block load(octets at)
{
    block value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline int any(block mask)
{
    halves both = (halves)mask;
    return (both[0] | both[1]) != 0;
}

static inline Py_ssize_t sum(block lanes)
{
    Py_ssize_t total = 0;
    for (int lane = 0; lane < BLOCK; lane++)
        total += lanes[lane];
    return total;
}

/* ---------------------------------------------------------------------------------------------- line ends */

/* How often the octet `second` follows the octet `first` with its place in [from, to); from >= 1. */
static Py_ssize_t count_pairs(octets text, Py_ssize_t from, Py_ssize_t to, unsigned char first, unsigned char second)
{
    Py_ssize_t total = 0;
    while (to - from >= BLOCK) {
        block lanes = {0};
        for (int round = 0; round < ROUNDS && to - from >= BLOCK; round++, from += BLOCK)
            lanes -= (block)((load(text + from) == second) & (load(text + from - 1) == first));
        total += sum(lanes);
    }
    for (; from < to; from++)
        total += text[from] == second && text[from - 1] == first;
    return total;
}

static Py_ssize_t count_octet(octets text, Py_ssize_t from, Py_ssize_t to, unsigned char which)
{
    Py_ssize_t total = 0;
    while (to - from >= BLOCK) {
        block lanes = {0};
        for (int round = 0; round < ROUNDS && to - from >= BLOCK; round++, from += BLOCK)
            lanes -= (block)(load(text + from) == which);
        total += sum(lanes);
    }
    for (; from < to; from++)
        total += text[from] == which;
    return total;
}

/* A new bytes object of `size` octets, to be filled through *target. */
static PyObject *new_bytes(Py_ssize_t size, unsigned char **target)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, size);
    *target = made ? (unsigned char *)PyBytes_AsString(made) : NULL;
    return made;
}

PyDoc_STRVAR(to_crlf_doc, "to_crlf(data: bytes) -> bytes: LF not preceded by CR becomes CR LF.");

static PyObject *to_crlf(PyObject *module, PyObject *data)
{
    char *start;
    Py_ssize_t size;
    (void)module;
    if (PyBytes_AsStringAndSize(data, &start, &size) < 0)
        return NULL;
    octets text = (octets)start, end = text + size;
    Py_ssize_t alone = count_octet(text, 0, size, '\n');
    if (size > 1)
        alone -= count_pairs(text, 1, size, '\r', '\n');
    if (!alone)
        return Py_NewRef(data);
    unsigned char *to;
    PyObject *made = new_bytes(size + alone, &to);
    if (!made)
        return NULL;
    octets from = text, feed;
    while ((feed = memchr(from, '\n', (size_t)(end - from))) != NULL) {
        size_t length = (size_t)(feed - from);
        memcpy(to, from, length);
        to += length;
        if (feed == text || feed[-1] != '\r')
            *to++ = '\r';
        *to++ = '\n';
        from = feed + 1;
    }
    memcpy(to, from, (size_t)(end - from));
    return made;
}

PyDoc_STRVAR(stuffed_doc, "stuffed(data: bytes) -> bytes: every LF and dot becomes LF and two dots.");

static PyObject *stuffed(PyObject *module, PyObject *data)
{
    char *start;
    Py_ssize_t size;
    (void)module;
    if (PyBytes_AsStringAndSize(data, &start, &size) < 0)
        return NULL;
    octets text = (octets)start, end = text + size;
    Py_ssize_t dots = size > 1 ? count_pairs(text, 1, size, '\n', '.') : 0;
    if (!dots)
        return Py_NewRef(data);
    unsigned char *to;
    PyObject *made = new_bytes(size + dots, &to);
    if (!made)
        return NULL;
    octets from = text, dot = text;
    while ((dot = memchr(dot, '.', (size_t)(end - dot))) != NULL) {
        if (dot++ > text && dot[-2] == '\n') {
            memcpy(to, from, (size_t)(dot - from));
            to += dot - from;
            *to++ = '.';
            from = dot;
        }
    }
    memcpy(to, from, (size_t)(end - from));
    return made;
}

/* ------------------------------------------------------------------------------------- BLAKE2b (RFC 7693) */

#define DIGEST 16

static const uint64_t blake_iv[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

static const unsigned char blake_order[12][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
};

static inline uint64_t turned(uint64_t word, int by)
{
    return word >> by | word << (64 - by);
}

static inline uint64_t little(octets at)
{
    uint64_t word = 0;
    for (int i = 7; i >= 0; i--)
        word = word << 8 | at[i];
    return word;
}

#define MIX(a, b, c, d, x, y)                                                                                          \
    do {                                                                                                               \
        v[a] += v[b] + (x), v[d] = turned(v[d] ^ v[a], 32), v[c] += v[d], v[b] = turned(v[b] ^ v[c], 24);              \
        v[a] += v[b] + (y), v[d] = turned(v[d] ^ v[a], 16), v[c] += v[d], v[b] = turned(v[b] ^ v[c], 63);              \
    } while (0)

static void blake_block(uint64_t h[8], octets text, uint64_t total, int last)
{
    uint64_t v[16], m[16];
    for (int i = 0; i < 8; i++)
        v[i] = h[i], v[i + 8] = blake_iv[i];
    for (int i = 0; i < 16; i++)
        m[i] = little(text + 8 * i);
    v[12] ^= total;
    if (last)
        v[14] = ~v[14];
    for (int round = 0; round < 12; round++) {
        const unsigned char *s = blake_order[round];
        MIX(0, 4, 8, 12, m[s[0]], m[s[1]]);
        MIX(1, 5, 9, 13, m[s[2]], m[s[3]]);
        MIX(2, 6, 10, 14, m[s[4]], m[s[5]]);
        MIX(3, 7, 11, 15, m[s[6]], m[s[7]]);
        MIX(0, 5, 10, 15, m[s[8]], m[s[9]]);
        MIX(1, 6, 11, 12, m[s[10]], m[s[11]]);
        MIX(2, 7, 8, 13, m[s[12]], m[s[13]]);
        MIX(3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    for (int i = 0; i < 8; i++)
        h[i] ^= v[i] ^ v[i + 8];
}

/* hashlib.blake2b(text, digest_size=16) */
static void blake2b(octets text, Py_ssize_t size, unsigned char digest[DIGEST])
{
    uint64_t h[8], done = 0;
    unsigned char rest[128] = {0};
    memcpy(h, blake_iv, sizeof h);
    h[0] ^= 0x01010000 ^ DIGEST;
    for (; size > 128; size -= 128, text += 128)
        blake_block(h, text, done += 128, 0);
    if (size)
        memcpy(rest, text, (size_t)size);
    blake_block(h, rest, done + (uint64_t)size, 1);
    for (int i = 0; i < DIGEST; i++)
        digest[i] = (unsigned char)(h[i / 8] >> 8 * (i % 8));
}

/* ----------------------------------------------------------------------------------------------- CRC-32 */

static uint32_t crc_table[4][256]; /* [n]: of an octet that n octets follow */

static void make_crc_table(void)
{
    for (uint32_t octet = 0; octet < 256; octet++) {
        uint32_t value = octet;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? 0xedb88320 ^ value >> 1 : value >> 1;
        crc_table[0][octet] = value;
    }
    for (int behind = 1; behind < 4; behind++)
        for (int octet = 0; octet < 256; octet++) {
            uint32_t value = crc_table[behind - 1][octet];
            crc_table[behind][octet] = value >> 8 ^ crc_table[0][value & 255];
        }
}

/* zlib.crc32(text) */
static uint32_t crc32(octets text, int64_t size)
{
    uint32_t crc = 0xffffffff;
    int64_t at = 0;
    for (; at + 4 <= size; at += 4) {
        crc ^= (uint32_t)text[at] | (uint32_t)text[at + 1] << 8 | (uint32_t)text[at + 2] << 16 | (uint32_t)text[at + 3] << 24;
        crc = crc_table[3][crc & 255] ^ crc_table[2][crc >> 8 & 255] ^ crc_table[1][crc >> 16 & 255] ^ crc_table[0][crc >> 24];
    }
    for (; at < size; at++)
        crc = crc_table[0][(crc ^ text[at]) & 255] ^ crc >> 8;
    return ~crc;
}

/* ----------------------------------------------------------------------------------------------- the scan */

#define LOOK ((int64_t)1 << 20) /* as in scan.py */
#define FIELD 64                /* octets of a Status field that are looked at, likewise */
#define BACK 3                  /* octets before a separator that count as part of the boundary, likewise */
enum { SEEN = 1, DELETED = 2 }; /* likewise */

/* What a Rule of from_line.py says, for rules whose separators begin with From_; fast.py has the same numbers. */
enum { CR_EMPTY = 1, AFTER_EMPTY = 2, KEEPS_EMPTY = 4, NEEDS_MORE = 8 };

struct message { /* the one that is open; offsets count from the file's start */
    int64_t start, text, counted, body, feeds, pairs, line;
};

struct row {
    int64_t start, text, body, end, octets, line;
};

struct survey {
    octets window;
    Py_ssize_t size;
    int64_t low; /* offset of window[0] */
    int64_t end; /* of the file */
    Py_ssize_t longest;
    int flags;
    PyObject *judge, *fetch, *rows, *seen, *digests;
    struct message *open;
};

static int append(PyObject *column, const void *data, Py_ssize_t size)
{
    Py_ssize_t old = PyByteArray_Size(column);
    if (PyByteArray_Resize(column, old + size) < 0)
        return -1;
    memcpy(PyByteArray_AsString(column) + old, data, (size_t)size);
    return 0;
}

static int is_word(octets at, const char *word, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i++)
        if ((at[i] >= 'A' && at[i] <= 'Z' ? at[i] | 0x20 : at[i]) != (unsigned char)word[i])
            return 0;
    return 1;
}

/* SEEN if a Status field holds R, DELETED if a Status or X-Status field holds D; or both, or 0. */
static char marks_in(octets head, Py_ssize_t size)
{
    octets end = head + size, feed = head;
    char marks = 0;
    while ((feed = memchr(feed, '\n', (size_t)(end - feed))) != NULL) {
        int other = end - ++feed >= 9 && is_word(feed, "x-status:", 9);
        if (!other && (end - feed < 7 || !is_word(feed, "status:", 7)))
            continue;
        octets at = feed + (other ? 9 : 7), stop = end - at < FIELD ? end : at + FIELD;
        for (; at < stop && *at != '\n'; at++)
            if ((*at | 0x20) == 'd')
                marks |= DELETED;
            else if ((*at | 0x20) == 'r' && !other)
                marks |= SEEN;
    }
    return marks;
}

/* `size` octets of the file at `offset`: in the window, else fetched, and then *fetched is to be released. */
static octets octets_at(struct survey *s, int64_t offset, int64_t size, PyObject **fetched)
{
    char *text;
    Py_ssize_t got;
    *fetched = NULL;
    if (offset >= s->low && offset + size <= s->low + s->size)
        return s->window + (offset - s->low);
    *fetched = PyObject_CallFunction(s->fetch, "LL", (long long)size, (long long)offset);
    if (!*fetched || PyBytes_AsStringAndSize(*fetched, &text, &got) < 0)
        return NULL;
    if (got == size)
        return (octets)text;
    PyErr_SetString(PyExc_ValueError, "fetch must give as many octets as it is asked for");
    return NULL;
}

/* The header of the open message is known: hash it and look for Status. */
static int examine(struct survey *s)
{
    int64_t size = s->open->body - s->open->start;
    PyObject *fetched;
    int failed = -1;
    if (size > LOOK)
        size = LOOK;
    octets head = octets_at(s, s->open->start, size, &fetched);
    if (head) {
        unsigned char digest[DIGEST];
        char seen = marks_in(head, (Py_ssize_t)size);
        blake2b(head, (Py_ssize_t)size, digest);
        failed = append(s->digests, digest, DIGEST) < 0 || append(s->seen, &seen, 1) < 0 ? -1 : 0;
    }
    Py_XDECREF(fetched);
    return failed;
}

/* Look for the empty line that ends the header, up to `stop`; once it is there, examine the header. */
static int find_body(struct survey *s, int64_t stop)
{
    struct message *open = s->open;
    if (open->body >= 0)
        return 0;
    int64_t from = open->text - 1 - s->low;
    octets at = s->window + (from > 0 ? from : 0), end = s->window + (stop - s->low);
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        octets next = at < end && *at == '\r' && s->flags & CR_EMPTY ? at + 1 : at;
        if (next < end && *next == '\n') {
            open->body = s->low + (next + 1 - s->window);
            return examine(s);
        }
    }
    return 0;
}

/* The open message ends before `stop`; `blank`: octets of the empty line there, 0 for none. */
static int close_message(struct survey *s, int64_t stop, int blank)
{
    struct message *open = s->open;
    int64_t end = stop;
    if (open->body < 0) { /* no empty line: header to the end */
        open->body = stop;
        if (examine(s) < 0)
            return -1;
    }
    if (blank && open->body < stop && !(s->flags & KEEPS_EMPTY)) {
        end -= blank;
        open->feeds -= 1;
        open->pairs -= blank == 2;
    }
    int64_t size = end - open->text + open->feeds - open->pairs;
    struct row row = {open->start, open->text, open->body, end, size, open->line};
    return append(s->rows, &row, sizeof row);
}

/* A message opens at `start`; 1 if something follows its separator of `length` octets where that must be. */
static int begin_message(struct survey *s, int64_t start, Py_ssize_t length)
{
    int64_t text = start + length, left = s->end - text;
    uint32_t line = crc32(s->window + (start - BACK - s->low), length + BACK);
    *s->open = (struct message){start, text, text, -1, 0, 0, line};
    if (!(s->flags & NEEDS_MORE))
        return 1;
    if (left < 5)
        return left > 0;
    PyObject *fetched;
    octets more = octets_at(s, text, 5, &fetched);
    int is = more ? memcmp(more, "From ", 5) != 0 : -1;
    Py_XDECREF(fetched);
    return is;
}

/* Length of the separator line that follows an LF at `feed`, 0 if there is none, -1 on error; and its empty line. */
static Py_ssize_t separator(struct survey *s, Py_ssize_t feed, int *blank)
{
    octets window = s->window, line = window + feed + 1;
    Py_ssize_t left = s->size - feed - 1;
    if (window[feed] != '\n' || left < 5 || memcmp(line, "From ", 5) != 0)
        return 0;
    *blank = window[feed - 1] == '\r' ? 2 : 1;
    if (window[feed - *blank] != '\n' || (*blank == 2 && !(s->flags & CR_EMPTY)))
        *blank = 0;
    if (!*blank && s->flags & AFTER_EMPTY)
        return 0;
    if (left > s->longest)
        left = s->longest;
    octets eol = memchr(line, '\n', (size_t)left);
    if (!eol && left == s->longest)
        return 0;
    Py_ssize_t length = eol ? eol - line + 1 : left;
    PyObject *answer = PyObject_CallFunction(s->judge, "y#", (const char *)line, length);
    int is = answer ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return is > 0 ? length : is;
}

/* Count line ends in window[from, stop) up to and with an LF before an F, and return its place; `stop` if none is. */
static Py_ssize_t sweep(struct survey *s, Py_ssize_t from, Py_ssize_t stop)
{
    octets window = s->window;
    Py_ssize_t feeds = 0, pairs = 0;
    int candidate = 0;
    while (!candidate && stop - from > BLOCK) { /* one more than a block: the octet behind it is looked at */
        block lf = {0}, crlf = {0};
        for (int round = 0; round < ROUNDS && stop - from > BLOCK; round++, from += BLOCK) {
            block is_feed = (block)(load(window + from) == '\n');
            candidate = any(is_feed & (block)(load(window + from + 1) == 'F'));
            if (candidate)
                break;
            lf -= is_feed;
            crlf -= is_feed & (block)(load(window + from - 1) == '\r');
        }
        feeds += sum(lf);
        pairs += sum(crlf);
    }
    for (; from < stop; from++) {
        if (window[from] != '\n')
            continue;
        feeds++;
        pairs += window[from - 1] == '\r';
        if (from + 1 < stop && window[from + 1] == 'F')
            break;
    }
    s->open->feeds += feeds;
    s->open->pairs += pairs;
    s->open->counted = s->low + (from < stop ? from + 1 : stop);
    return from;
}

/* Find the separators that begin in [pos, stop), offsets in the file, and count.  1; 0: a message has nothing in it. */
static int decide(struct survey *s, int64_t pos, int64_t stop)
{
    Py_ssize_t feed = (Py_ssize_t)((s->open->counted > pos ? s->open->counted : pos) - 1 - s->low);
    while (s->low + feed + 1 < stop) {
        int blank = 0;
        Py_ssize_t length = separator(s, feed, &blank);
        if (length < 0)
            return -1;
        if (length) {
            int64_t at = s->low + feed + 1;
            if (find_body(s, at) < 0 || close_message(s, at, blank) < 0)
                return -1;
            int follows = begin_message(s, at, length);
            if (follows <= 0)
                return follows;
            feed += length;
        } else
            feed = sweep(s, feed + 1, (Py_ssize_t)(stop - s->low));
    }
    return find_body(s, stop) < 0 ? -1 : 1;
}

PyDoc_STRVAR(
    survey_doc,
    "survey(window, low, pos, stop, end, longest, flags, judge, fetch, message, rows, seen, digests) -> bool\n\n"
    "What Scanner.decide in scan.py does for a rule whose separators begin with From_; flags says what else it says.\n"
    "window: octets of the file from offset low on, at least 3 of them before pos; end: the file's size;\n"
    "judge(line): does it separate?; fetch(size, offset) reads what lies beyond the window.  message: seven 64-bit\n"
    "integers (start, text, counted, body, feeds, pairs, line), those of the open message, changed in place.  Appended\n"
    "to these bytearrays: rows, six such integers each (start, text, body, end, octets, line); seen, an octet each;\n"
    "digests, 16 octets each.  False: nothing follows the separator at the open message's start, and by the rule something must.");

static PyObject *survey(PyObject *module, PyObject *args)
{
    struct survey s;
    struct message open;
    Py_buffer window, message;
    long long low, pos, stop, end;
    int answer = -1;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*LLLLniOOw*OOO:survey", &window, &low, &pos, &stop, &end, &s.longest, &s.flags,
                          &s.judge, &s.fetch, &message, &s.rows, &s.seen, &s.digests))
        return NULL;
    s.window = window.buf;
    s.size = window.len;
    s.low = low;
    s.end = end;
    s.open = &open;
    if (message.len != sizeof open || !PyByteArray_Check(s.rows) || !PyByteArray_Check(s.seen) ||
        !PyByteArray_Check(s.digests))
        PyErr_SetString(PyExc_TypeError, "survey: seven integers and three bytearrays are needed");
    else if (low + BACK > pos || pos > stop || stop > low + window.len)
        PyErr_SetString(PyExc_ValueError, "survey: the window does not hold what is to be decided");
    else {
        memcpy(&open, message.buf, sizeof open);
        answer = decide(&s, pos, stop);
        memcpy(message.buf, &open, sizeof open);
    }
    PyBuffer_Release(&window);
    PyBuffer_Release(&message);
    return answer < 0 ? NULL : PyBool_FromLong(answer);
}

/* --------------------------------------------------------------------------------------------- rows of a file */

#define LINE 4096      /* octets of a separator at most, as in from_line.py */
#define HEAD (64 << 10) /* of a header that is hashed here */

/* What a file holds from each start up to each stop, told by ``look`` in ``width`` octets a row; ``worth``: how many rows
   cost more than a thread does. */
struct rows {
    int fd;
    const int64_t *starts, *stops;
    Py_ssize_t count, width, worth;
    void (*look)(int fd, int64_t start, int64_t stop, unsigned char *told);
    unsigned char *told;
};

static void look_at_line(int fd, int64_t start, int64_t stop, unsigned char *told)
{
    unsigned char line[LINE + BACK];
    int64_t from = start < BACK ? 0 : start - BACK, size = stop - from;
    uint32_t crc = 0;
    if (size >= 0 && size <= (int64_t)sizeof line && pread(fd, line, (size_t)size, from) == size)
        crc = crc32(line, size);
    memcpy(told, &crc, sizeof crc);
}

static void look_at_header(int fd, int64_t start, int64_t stop, unsigned char *told)
{
    unsigned char head[HEAD];
    int64_t size = stop - start;
    memset(told, 0, DIGEST);
    if (size >= 0 && size <= (int64_t)sizeof head && pread(fd, head, (size_t)size, start) == size)
        blake2b(head, (Py_ssize_t)size, told);
}

static void *look_at_part(void *argument)
{
    const struct rows *part = argument;
    for (Py_ssize_t row = 0; row < part->count; row++)
        part->look(part->fd, part->starts[row], part->stops[row], part->told + row * part->width);
    return NULL;
}

#define THREADS 4

/* Microseconds a row, one of them the system call: so in threads, one for each processor.  They touch nothing of
   Python's and hear no signal, and all have ended when this returns. */
static void look_at_rows(const struct rows *all)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    Py_ssize_t parts = processors < THREADS ? processors : THREADS;
    if (parts > all->count / all->worth)
        parts = all->count / all->worth;
    struct rows part[THREADS], rest = *all;
    pthread_t thread[THREADS];
    sigset_t every, before;
    Py_ssize_t begun = 0, each = parts > 1 ? all->count / parts : 0;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    for (; begun + 1 < parts; begun++) {
        part[begun] = rest;
        part[begun].count = each;
        if (pthread_create(&thread[begun], NULL, look_at_part, &part[begun]) != 0)
            break; /* no more to be had: the rest is ours */
        rest.starts += each, rest.stops += each, rest.told += each * rest.width, rest.count -= each;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    look_at_part(&rest);
    while (begun > 0)
        pthread_join(thread[--begun], NULL);
}

static PyObject *told_of(PyObject *args, const char *format, struct rows rows)
{
    Py_buffer starts, stops;
    PyObject *made = NULL;
    if (!PyArg_ParseTuple(args, format, &rows.fd, &starts, &stops))
        return NULL;
    rows.starts = starts.buf, rows.stops = stops.buf;
    rows.count = starts.len / (Py_ssize_t)sizeof(int64_t);
    if (starts.len != stops.len)
        PyErr_SetString(PyExc_ValueError, "both columns must have as many rows");
    else if ((made = new_bytes(rows.count * rows.width, &rows.told)) != NULL)
        look_at_rows(&rows);
    PyBuffer_Release(&starts);
    PyBuffer_Release(&stops);
    return made;
}

PyDoc_STRVAR(boundaries_doc,
             "boundaries(fd, starts, texts) -> bytes: a CRC-32 (32 bits, native) for each row, of the file's octets from 3\n"
             "before starts[row] up to texts[row]; 0 where they cannot be read.  starts, texts: native 64-bit integers.");

static PyObject *boundaries(PyObject *module, PyObject *args)
{
    (void)module;
    return told_of(args, "iy*y*:boundaries", (struct rows){.width = sizeof(uint32_t), .worth = 512, .look = look_at_line});
}

PyDoc_STRVAR(headers_doc,
             "headers(fd, starts, bodies) -> bytes: the hash of each header, as survey() has it in digests; octets that are\n"
             "all 0 where it is longer than 64 KiB or cannot be read.  starts, bodies: native 64-bit integers.");

static PyObject *headers(PyObject *module, PyObject *args)
{
    (void)module;
    return told_of(args, "iy*y*:headers", (struct rows){.width = DIGEST, .worth = 128, .look = look_at_header});
}

static PyMethodDef methods[] = {
    {"to_crlf", to_crlf, METH_O, to_crlf_doc},
    {"stuffed", stuffed, METH_O, stuffed_doc},
    {"survey", survey, METH_VARARGS, survey_doc},
    {"boundaries", boundaries, METH_VARARGS, boundaries_doc},
    {"headers", headers, METH_VARARGS, headers_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "qpopper_py._kernel",
    .m_doc = "Whole-buffer work on mail, in C; kernel.py says what each function does.",
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__kernel(void)
{
    make_crc_table();
    return PyModuleDef_Init(&definition);
}
