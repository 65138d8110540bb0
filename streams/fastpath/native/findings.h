/* What Python is asked about a page view before it is judged, and remembered: noise, hosts, the rules that give. */
#ifndef LEADSTREAM_FINDINGS_H
#define LEADSTREAM_FINDINGS_H

#include "loading.h"

#define LONGEST_REMEMBERED 1000

/* What follows answers 1 for yes, 0 for no, -1 with an error set. */

static int ask(PyObject *callable, PyObject *one, PyObject *other) {
    PyObject *answer = one && other ? PyObject_CallFunctionObjArgs(callable, one, other, NULL)
                       : one        ? PyObject_CallOneArg(callable, one)
                                    : NULL;
    int truth = answer ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return truth;
}

static PyObject *text_of(Span text) {
    return PyUnicode_DecodeUTF8((const char *)text.at, text.size, NULL);
}

static int remember(StepperObject *self, PyObject *known, PyObject *key, PyObject *answer) {
    if (PyDict_GET_SIZE(known) >= self->remembered)
        PyDict_Clear(known);
    return PyDict_SetItem(known, key, answer);
}

/* A yes or no about a text, remembered where it is not too long. */
static int ask_once(StepperObject *self, PyObject *known, PyObject *callable, Span text) {
    PyObject *key = text.size <= LONGEST_REMEMBERED ? PyBytes_FromStringAndSize((const char *)text.at, text.size) : NULL;
    if (PyErr_Occurred())
        return -1;
    PyObject *found = key ? PyDict_GetItemWithError(known, key) : NULL;
    int answer;
    if (found) {
        answer = found == Py_True;
    } else {
        PyObject *asked = PyErr_Occurred() ? NULL : text_of(text);
        answer = ask(callable, asked, NULL);
        Py_XDECREF(asked);
        if (answer >= 0 && key && remember(self, known, key, answer ? Py_True : Py_False) < 0)
            answer = -1;
    }
    Py_XDECREF(key);
    return answer;
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
        return ask_once(self, self->internals, self->is_internal, ip);
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
        int bot = ask_once(self, self->bots, self->is_bot, agent);
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
    PyObject *first = text_of(one), *second = first ? text_of(other) : NULL;
    int answer = second ? ask(self->same_host, first, second) : -1;
    Py_XDECREF(first);
    Py_XDECREF(second);
    return answer;
}

/* What the verdict depends on, as one key. NULL without an error: too long to be remembered. */
static PyObject *verdict_key(const StepperObject *self, const ViewObject *view) {
    uint8_t key[LONGEST_REMEMBERED];
    Writer out = {key, key, key + sizeof key, 0};
    for (int i = 0; i < self->looked_at_count; i++) {
        Field field = view->fields[self->looked_at[i]];
        if (!field.at)
            write_nil(&out);
        else if (self->decoder->shapes[self->looked_at[i]].is_text)
            write_text(&out, field);
        else
            write_int(&out, field.size);
    }
    return out.full ? NULL : PyBytes_FromStringAndSize((const char *)key, out.at - key);
}

/* The indexes of the rules that give. False: an error, or (none set) more than there is room for. */
static int find_matching(StepperObject *self, const ViewObject *view, Findings *found) {
    PyObject *key = verdict_key(self, view), *verdict = NULL;
    if (key)
        verdict = Py_XNewRef(PyDict_GetItemWithError(self->verdicts, key));
    if (!verdict && !PyErr_Occurred()) {
        PyObject *value = view_value(view);
        verdict = value ? PyObject_CallOneArg(self->verdict, value) : NULL;
        Py_XDECREF(value);
        if (verdict && key && remember(self, self->verdicts, key, verdict) < 0)
            Py_CLEAR(verdict);
    }
    Py_XDECREF(key);
    if (!verdict)
        return 0;
    int fits = PyTuple_Check(verdict) && PyTuple_GET_SIZE(verdict) <= MOST_MATCHES;
    found->matches = fits ? (int)PyTuple_GET_SIZE(verdict) : 0;
    found->matching = self->matching;
    for (int i = 0; i < found->matches; i++) {
        long index = PyLong_AsLong(PyTuple_GET_ITEM(verdict, i));
        if (index < 0 || index >= self->model.rules)
            fits = 0;
        self->matching[i] = (int)index;
    }
    Py_DECREF(verdict);
    return fits;
}

/* due.watched, remembered for each kind of lead. NULL with an error set, or without one when there is no room. */
static const Watched *watched_of(StepperObject *self, int is_visitor, int low_touch, double fit) {
    for (int i = 0; i < self->watched_count; i++) {
        const Watched *one = &self->watched[i];
        if (one->is_visitor == is_visitor && one->low_touch == low_touch && one->fit == fit)
            return one;
    }
    PyObject *answer = PyObject_CallFunction(self->watched_by, "sid", is_visitor ? "visitor" : "lead", low_touch, fit);
    if (!answer)
        return NULL;
    if (self->watched_count == MOST_WATCHED)
        self->watched_count = 0;
    Watched *one = &self->watched[self->watched_count];
    *one = (Watched){.is_visitor = is_visitor, .low_touch = low_touch, .fit = fit};
    int fits = PyTuple_Check(answer) && PyTuple_GET_SIZE(answer) <= MOST_THRESHOLDS;
    for (Py_ssize_t i = 0; fits && i < PyTuple_GET_SIZE(answer); i++)
        one->thresholds[one->count++] = PyFloat_AsDouble(PyTuple_GET_ITEM(answer, i));
    Py_DECREF(answer);
    if (!fits || PyErr_Occurred())
        return NULL;
    self->watched_count++;
    return one;
}

#endif
