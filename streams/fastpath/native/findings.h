/* What Python is asked about a page view before it is judged, and remembered: noise, hosts, the rules that give. */
#ifndef LEADSTREAM_FINDINGS_H
#define LEADSTREAM_FINDINGS_H

#include "loading.h"

#define LONGEST_REMEMBERED 1000

/* What follows is called without the interpreter's lock, and takes it to ask. It answers 1 for yes, 0 for no, -1 with an
 * error set. For a few views the lock is kept: another thread that is at work may have it for milliseconds. */

static void take_lock(StepperObject *self) {
    if (self->lets_lock_go)
        PyEval_RestoreThread(self->thread);
}

static void let_lock_go(StepperObject *self) {
    if (self->lets_lock_go)
        self->thread = PyEval_SaveThread();
}

static PyObject *text_of(Span text) {
    return PyUnicode_DecodeUTF8((const char *)text.at, text.size, NULL);
}

/* `other` may be null. */
static int ask(StepperObject *self, PyObject *callable, Span one, Span other) {
    take_lock(self);
    PyObject *first = text_of(one), *second = first && other.at ? text_of(other) : NULL, *answer = NULL;
    if (second)
        answer = PyObject_CallFunctionObjArgs(callable, first, second, NULL);
    else if (first && !PyErr_Occurred())
        answer = PyObject_CallOneArg(callable, first);
    int truth = answer ? PyObject_IsTrue(answer) : -1;
    self->failed |= truth < 0;
    Py_XDECREF(first);
    Py_XDECREF(second);
    Py_XDECREF(answer);
    let_lock_go(self);
    return truth;
}

/* A yes or no about a text, remembered where it is not too long. */
static int ask_once(StepperObject *self, Remembered *known, PyObject *callable, Span text) {
    if (text.size > LONGEST_REMEMBERED)
        return ask(self, callable, text, NO_SPAN);
    Py_hash_t hash = hash_of(text);
    const Answer *found = recall(known, text, hash);
    if (found)
        return found->number[0];
    int truth = ask(self, callable, text, NO_SPAN);
    if (truth >= 0)
        remember(known, text, hash, &(Answer){1, {truth}});
    return truth;
}

/* An IPv4 address as it is always written. */
static int dotted_quad(Span text, uint32_t *address) {
    const uint8_t *p = text.at, *end = text.at + text.size;
    *address = 0;
    for (int part = 0; part < 4; part++) {
        const uint8_t *first = p;
        uint32_t number = 0;
        while (p < end && *p >= '0' && *p <= '9' && p - first < 3)
            number = number * 10 + (*p++ - '0');
        if (p == first || number > 255 || (*first == '0' && p - first > 1))
            return 0;
        *address = *address << 8 | number;
        if (part < 3 && (p >= end || *p++ != '.'))
            return 0;
    }
    return p == end;
}

static int is_internal(StepperObject *self, Span ip) {
    uint32_t address;
    if (!dotted_quad(ip, &address))
        return ask_once(self, &self->internals, self->is_internal, ip);
    for (int i = 0; i < self->networks; i++)
        if ((address & self->network[i].mask) == self->network[i].network)
            return 1;
    return 0;
}

/* noise.noise_reason for a page view */
static int find_noise(StepperObject *self, const ViewObject *view, enum Reason *reason) {
    Span ip = view->fields[self->decoder->slot[IP]], agent = view->fields[self->decoder->slot[USER_AGENT]];
    *reason = NO_REASON;
    if (self->checks_internal && ip.size > 0) {
        int internal = is_internal(self, ip);
        if (internal)
            *reason = INTERNAL;
        if (internal)
            return internal < 0 ? 0 : 1;
    }
    if (self->checks_bots && agent.size > 0) {
        int bot = ask_once(self, &self->bots, self->is_bot, agent);
        if (bot < 0)
            return 0;
        if (bot)
            *reason = BOT;
    }
    return 1;
}

/* The host of an address that is written plainly, or null: then it takes more to tell. */
static Span plain_host(Span url) {
    static const char scheme[] = "http";
    int64_t i = 0;
    for (; i < 4; i++)
        if (i >= url.size || (url.at[i] | 0x20) != (uint8_t)scheme[i])
            return NO_SPAN;
    if (i < url.size && (url.at[i] | 0x20) == 's')
        i++;
    if (url.size - i < 4 || memcmp(url.at + i, "://", 3) != 0)
        return NO_SPAN;
    int64_t first = i += 3;
    while (i < url.size && ((url.at[i] >= '0' && url.at[i] <= '9') || url.at[i] == '-' || url.at[i] == '.' ||
                            ((url.at[i] | 0x20) >= 'a' && (url.at[i] | 0x20) <= 'z')))
        i++;
    Span host = {url.at + first, i - first};
    if (i < url.size && url.at[i] == ':')
        for (i++; i < url.size && url.at[i] >= '0' && url.at[i] <= '9';)
            i++;
    int ends = i == url.size || url.at[i] == '/' || url.at[i] == '?' || url.at[i] == '#';
    return host.size && ends ? host : NO_SPAN;
}

static int on_same_host(StepperObject *self, Span one, Span other) {
    Span mine = plain_host(one), theirs = plain_host(other);
    if (mine.size > 0 && theirs.size > 0) {
        if (mine.size != theirs.size)
            return 0;
        for (int64_t i = 0; i < mine.size; i++) {
            uint8_t a = mine.at[i], b = theirs.at[i];
            if ((a >= 'A' && a <= 'Z' ? a | 0x20 : a) != (b >= 'A' && b <= 'Z' ? b | 0x20 : b))
                return 0;
        }
        return 1;
    }
    return ask(self, self->same_host, one, other);
}

/* What the verdict depends on, as one key. False: too long to be remembered. */
static int verdict_key(const StepperObject *self, const ViewObject *view, Writer *out) {
    for (int i = 0; i < self->looked_at_count; i++) {
        Field field = view->fields[self->looked_at[i]];
        if (!field.at)
            write_nil(out);
        else if (self->decoder->shapes[self->looked_at[i]].is_text)
            write_text(out, field);
        else
            write_int(out, field.size);
    }
    return !out->full;
}

/* The indexes of the rules that give, of Python. False: an error, or (none set) more than there is room for. */
static int ask_verdict(StepperObject *self, const ViewObject *view, Answer *found) {
    take_lock(self);
    PyObject *value = view_value(view), *verdict = value ? PyObject_CallOneArg(self->verdict, value) : NULL;
    int fits = verdict && PyTuple_Check(verdict) && PyTuple_GET_SIZE(verdict) <= MOST_MATCHES;
    found->count = fits ? (int)PyTuple_GET_SIZE(verdict) : 0;
    for (int i = 0; i < found->count; i++) {
        long index = PyLong_AsLong(PyTuple_GET_ITEM(verdict, i));
        if (index < 0 || index >= self->model.rules)
            fits = 0;
        found->number[i] = (int)index;
    }
    self->failed |= PyErr_Occurred() != NULL;
    Py_XDECREF(value);
    Py_XDECREF(verdict);
    let_lock_go(self);
    return fits;
}

/* The same, remembered. */
static int find_matching(StepperObject *self, const ViewObject *view, Answer *found) {
    uint8_t room[LONGEST_REMEMBERED];
    Writer out = {room, room, room + sizeof room, 0};
    if (!verdict_key(self, view, &out))
        return ask_verdict(self, view, found);
    Span key = {room, out.at - room};
    Py_hash_t hash = hash_of(key);
    const Answer *known = recall(&self->verdicts, key, hash);
    if (known) {
        *found = *known;
        return 1;
    }
    if (!ask_verdict(self, view, found))
        return 0;
    remember(&self->verdicts, key, hash, found);
    return 1;
}

/* due.watched, remembered for each kind of lead. NULL: an error, or (none set) more than there is room for. */
static const Watched *watched_of(StepperObject *self, int is_visitor, int low_touch, double fit) {
    for (int i = 0; i < self->watched_count; i++) {
        const Watched *one = &self->watched[i];
        if (one->is_visitor == is_visitor && one->low_touch == low_touch && one->fit == fit)
            return one;
    }
    if (self->watched_count == MOST_WATCHED)
        self->watched_count = 0;
    Watched *one = &self->watched[self->watched_count];
    *one = (Watched){.is_visitor = is_visitor, .low_touch = low_touch, .fit = fit};
    take_lock(self);
    PyObject *answer =
        PyObject_CallFunction(self->watched_by, "sid", is_visitor ? "visitor" : "lead", low_touch, fit);
    int fits = answer && PyTuple_Check(answer) && PyTuple_GET_SIZE(answer) <= MOST_THRESHOLDS;
    for (Py_ssize_t i = 0; fits && i < PyTuple_GET_SIZE(answer); i++)
        one->thresholds[one->count++] = PyFloat_AsDouble(PyTuple_GET_ITEM(answer, i));
    Py_XDECREF(answer);
    self->failed |= PyErr_Occurred() != NULL;
    fits = fits && !self->failed;
    let_lock_go(self);
    if (!fits)
        return NULL;
    self->watched_count++;
    return one;
}

#endif
