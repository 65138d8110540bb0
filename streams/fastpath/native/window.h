/* Window: page views that are taken in one go, each lead's state looked up once, and written back once.
 *
 * What lies between the two needs nothing of Python's and is done without the interpreter's lock, so that other threads
 * can fetch and produce meanwhile. All that is read is held. */
#ifndef LEADSTREAM_WINDOW_H
#define LEADSTREAM_WINDOW_H

#include "loading.h"

#define ENVELOPE_HEAD 13
#define TABLE (2 * MOST_VIEWS)

/* The key's state as it is: what is not for us is closed, and left to Python with all that follows for this key. False
 * with an error set. */
static int find_state(const StepperObject *self, const Places *in, Slot *slot) {
    Span envelope, versions = bytes_span(self->versions);
    slot->owner = NULL;
    slot->state = NO_SPAN;
    slot->due = 0;
    slot->is_closed = PyDict_GET_SIZE(in->opened) && PyDict_Contains(in->opened, slot->key);
    PyObject *found = PyErr_Occurred() ? NULL : PyDict_GetItemWithError(in->packed, slot->key);
    if (PyErr_Occurred())
        return 0;
    const Block *block = found ? NULL : find_block(in->values, slot->key, slot->hash);
    slot->is_known = found || block;
    slot->is_new = !slot->is_known;
    if (slot->is_new) {
        int owner = (int)((murmur2(bytes_span(slot->key)) & 0x7fffffff) % (uint32_t)self->partitions);
        slot->is_closed |= owner != in->partition;
        return 1;
    }
    if (block)
        envelope = (Span){block->bytes + block->key_size, block->size};
    else
        envelope = PyBytes_Check(found) ? bytes_span(found) : NO_SPAN;
    if (envelope.size < ENVELOPE_HEAD || !memchr(versions.at, envelope.at[0], (size_t)versions.size)) {
        slot->is_closed = 1;
        return 1;
    }
    slot->owner = Py_XNewRef(found);
    slot->due = (int64_t)big(envelope.at + 1, 8);
    slot->state = (Span){envelope.at + ENVELOPE_HEAD, envelope.size - ENVELOPE_HEAD};
    return 1;
}

/* The turn goes to its key's slot. False with an error set. */
static int put_into_slot(const StepperObject *self, Window *window, const Places *in, int number) {
    Turn *turn = &window->turn[number];
    PyObject *key = turn->view->key;
    size_t at = (size_t)turn->hash & (TABLE - 1);
    for (; window->table[at]; at = (at + 1) & (TABLE - 1)) {
        Slot *known = &window->slot[window->table[at] - 1];
        if (known->hash == turn->hash && same(bytes_span(known->key), bytes_span(key))) {
            window->turn[known->last].next = number;
            known->last = number;
            return 1;
        }
    }
    Slot *slot = &window->slot[window->slots];
    slot->key = key;
    slot->hash = turn->hash;
    slot->is_changed = 0;
    slot->first = slot->last = number;
    if (!find_state(self, in, slot))
        return 0;
    Py_INCREF(key);
    window->table[at] = (uint16_t)++window->slots;
    return 1;
}

/* Take in views from `start` on: up to the first item that is none. States lie all over memory, so what leads to them
 * is fetched for all before the first is looked up. False with an error set. */
static int open_window(const StepperObject *self, Window *window, const Places *in, PyObject *items, Py_ssize_t start) {
    window->count = window->slots = 0;
    memset(window->table, 0, sizeof window->table);
    in->values->lent++;
    for (Py_ssize_t i = start; i < PyList_GET_SIZE(items) && window->count < MOST_VIEWS; i++) {
        PyObject *pair = PyList_GET_ITEM(items, i);
        PyObject *item = PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2 ? PyTuple_GET_ITEM(pair, 1) : Py_None;
        if (Py_TYPE(item) != &ViewType || Py_SIZE(item) != self->decoder->count)
            break;
        ViewObject *view = (ViewObject *)Py_NewRef(item);
        Py_hash_t hash = PyObject_Hash(view->key);
        fetch_bucket(in->values, hash);
        window->turn[window->count++] = (Turn){.view = view, .hash = hash, .next = NO_TURN};
    }
    for (int i = 0; i < window->count; i++)
        fetch_block(in->values, window->turn[i].hash);
    for (int i = 0; i < window->count; i++)
        if (!put_into_slot(self, window, in, i))
            return 0;
    return 1;
}

static void close_window(Window *window, const Places *in) {
    for (int i = 0; i < window->count; i++)
        Py_DECREF(window->turn[i].view);
    for (int i = 0; i < window->slots; i++) {
        Py_DECREF(window->slot[i].key);
        Py_CLEAR(window->slot[i].owner);
    }
    window->count = window->slots = 0;
    in->values->lent--;
}

/* What was written becomes the slot's state. False: no memory. */
static int keep_state(Slot *slot, Span written) {
    if (written.size > slot->room_size) {
        uint8_t *room = realloc(slot->room, (size_t)written.size * 2);
        if (!room)
            return 0;
        slot->room = room;
        slot->room_size = written.size * 2;
    }
    memcpy(slot->room, written.at, (size_t)written.size);
    slot->state = (Span){slot->room, written.size};
    slot->is_changed = slot->is_known = 1;
    return 1;
}

/* Put each changed state into `packed`, in an envelope that is not sealed yet, and count those of whom nothing was
 * known. False with an error set. */
static int write_back(const StepperObject *self, const Window *window, PyObject *packed, Py_ssize_t *made) {
    for (int i = 0; i < window->slots; i++) {
        const Slot *slot = &window->slot[i];
        if (!slot->is_changed)
            continue;
        PyObject *envelope = PyBytes_FromStringAndSize(NULL, ENVELOPE_HEAD + (Py_ssize_t)slot->state.size);
        if (!envelope)
            return 0;
        Writer out = {NULL, (uint8_t *)PyBytes_AS_STRING(envelope), NULL, 0};
        out.end = out.at + PyBytes_GET_SIZE(envelope);
        out.at = put_head(out.at, (uint8_t)self->version, (uint64_t)slot->due, 8);
        memset(claim(&out, 4), 0, 4);
        write_raw(&out, slot->state);
        int failed = PyDict_SetItem(packed, slot->key, envelope) < 0;
        Py_DECREF(envelope);
        if (failed)
            return 0;
        *made += slot->is_new;
    }
    return 1;
}

/* [(place, stream time before it or None)] of what is left to Python. NULL with an error set. */
static PyObject *left_of(const Window *window, Py_ssize_t start) {
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < window->count; i++) {
        const Turn *turn = &window->turn[i];
        if (!turn->is_left)
            continue;
        PyObject *pair = turn->has_time ? Py_BuildValue("nL", start + i, (long long)turn->stream_time)
                                        : Py_BuildValue("nO", start + i, Py_None);
        if (!pair || PyList_Append(list, pair) < 0)
            Py_CLEAR(list);
        Py_XDECREF(pair);
    }
    return list;
}

#endif
