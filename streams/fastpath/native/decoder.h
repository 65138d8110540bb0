/* Decoder: reads records of page views, without copying. */
#ifndef LEADSTREAM_DECODER_H
#define LEADSTREAM_DECODER_H

#include "../../engine/native/entries.h"
#include "../../engine/native/table.h"
#include "avro.h"
#include "lead.h"

#define MOST_PREFIXES 8

enum Slot { EVENT_ID, SLOT_LEAD_ID, OCCURRED_AT, URL, DURATION, REFERRER, SOURCE, MEDIUM, CAMPAIGN, USER_AGENT, IP,
            SLOTS };
static const char *const SLOT_NAMES[SLOTS] = {"event_id", "lead_id",    "occurred_at", "url",          "duration_ms",
                                              "referrer", "utm_source", "utm_medium",  "utm_campaign", "user_agent",
                                              "ip"};

/* `owner` has the bytes that are read: the Records that `entry` is of; or the record's value, and `entry` is NULL. */
typedef struct {
    PyObject_VAR_HEAD
    PyObject *key, *owner;
    const Entry *entry;
    long long time, arrival;
    Field fields[1];
} ViewObject;

static void view_dealloc(ViewObject *self) {
    Py_XDECREF(self->key);
    Py_XDECREF(self->owner);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* The record's value, a new reference. */
static PyObject *view_value(const ViewObject *self) {
    return self->entry ? PyBytes_FromStringAndSize((const char *)self->entry->value, self->entry->value_size)
                       : Py_NewRef(self->owner);
}

static PyObject *view_get_value(ViewObject *self, void *Py_UNUSED(closure)) {
    return view_value(self);
}

/* An attribute of the record that the view was read from, where that was not an object yet. */
static PyObject *view_get(ViewObject *self, void *name) {
    if (!self->entry)
        return PyErr_Format(PyExc_AttributeError, "the view's record has its %s", (const char *)name);
    const RecordsObject *records = (RecordsObject *)self->owner;
    PyObject *record = PySequence_GetItem(self->owner, self->entry - records->entry);
    PyObject *found = record ? PyObject_GetAttrString(record, name) : NULL;
    Py_XDECREF(record);
    return found;
}

static PyObject *view_get_offset(ViewObject *self, void *name) {
    return self->entry ? PyLong_FromLongLong(self->entry->offset) : view_get(self, name);
}

static PyMemberDef view_members[] = {
    {"time", T_LONGLONG, offsetof(ViewObject, time), READONLY, "when it happened (ms), never after its arrival"},
    {"timestamp", T_LONGLONG, offsetof(ViewObject, arrival), READONLY, "when it arrived (ms)"},
    {"key", T_OBJECT, offsetof(ViewObject, key), READONLY, "the record's key"},
    {NULL, 0, 0, 0, NULL}};

static PyGetSetDef view_getters[] = {
    {"value", (getter)view_get_value, NULL, "the record's value", NULL},
    {"offset", (getter)view_get_offset, NULL, "the record's offset", "offset"},
    {"topic", (getter)view_get, NULL, "the record's topic", "topic"},
    {"partition", (getter)view_get, NULL, "the record's partition", "partition"},
    {"headers", (getter)view_get, NULL, "the record's headers", "headers"},
    {NULL, NULL, NULL, NULL, NULL}};

static PyTypeObject ViewType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "streams.fastpath._native.View",
    .tp_basicsize = offsetof(ViewObject, fields),
    .tp_itemsize = sizeof(Field),
    .tp_dealloc = (destructor)view_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A page view that keeps to all limits, read where it lies; also its record, where that is no object yet.",
    .tp_members = view_members,
    .tp_getset = view_getters,
};

typedef struct {
    PyObject_HEAD
    int count, prefixes;
    FieldShape shapes[MOST_FIELDS];
    Span names[MOST_FIELDS];
    int slot[SLOTS];
    long long largest, oldest;
    PyObject *prefix[MOST_PREFIXES], *held;
} DecoderObject;

static PyTypeObject *records_type;
/* The engine's table of states. */
static PyTypeObject *table_type;
static PyObject *name_value, *name_key, *name_timestamp;

static void decoder_dealloc(DecoderObject *self) {
    for (int i = 0; i < self->prefixes; i++)
        Py_XDECREF(self->prefix[i]);
    Py_XDECREF(self->held);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static int text_span(PyObject *text, Span *span) {
    Py_ssize_t size;
    const char *at = PyUnicode_AsUTF8AndSize(text, &size);
    *span = (Span){(const uint8_t *)at, size};
    return at != NULL;
}

static int decoder_init(DecoderObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"fields", "largest", "oldest", NULL};
    PyObject *fields;
    if (self->held) {
        PyErr_SetString(PyExc_RuntimeError, "a Decoder is made once");
        return -1;
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!LL", names, &PyTuple_Type, &fields, &self->largest,
                                     &self->oldest))
        return -1;
    if (PyTuple_GET_SIZE(fields) > MOST_FIELDS) {
        PyErr_SetString(PyExc_ValueError, "too many fields");
        return -1;
    }
    for (int i = 0; i < SLOTS; i++)
        self->slot[i] = -1;
    self->count = (int)PyTuple_GET_SIZE(fields);
    for (int i = 0; i < self->count; i++) {
        PyObject *name;
        long long least, most;
        FieldShape *shape = &self->shapes[i];
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(fields, i), "UppLL", &name, &shape->is_text, &shape->nullable, &least,
                              &most) ||
            !text_span(name, &self->names[i]))
            return -1;
        shape->least = least;
        shape->most = most;
        for (int j = 0; j < SLOTS; j++)
            if (is_text(self->names[i], SLOT_NAMES[j]))
                self->slot[j] = i;
    }
    for (int j = 0; j < SLOTS; j++) {
        int is_number = j == OCCURRED_AT || j == DURATION, i = self->slot[j];
        if (i < 0 || self->shapes[i].is_text == is_number) {
            PyErr_Format(PyExc_ValueError, "no such field as is expected: %s", SLOT_NAMES[j]);
            return -1;
        }
    }
    self->held = Py_NewRef(fields);
    return 0;
}

static PyObject *decoder_accept(DecoderObject *self, PyObject *prefix) {
    if (!PyBytes_Check(prefix)) {
        PyErr_SetString(PyExc_TypeError, "a prefix is bytes");
        return NULL;
    }
    if (self->prefixes == MOST_PREFIXES) { /* schema ids come and go: the latest are those that come */
        Py_DECREF(self->prefix[0]);
        memmove(self->prefix, self->prefix + 1, sizeof self->prefix[0] * (MOST_PREFIXES - 1));
        self->prefixes--;
    }
    self->prefix[self->prefixes++] = Py_NewRef(prefix);
    Py_RETURN_NONE;
}

static Span bytes_span(PyObject *bytes) {
    return (Span){(const uint8_t *)PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes)};
}

static int64_t prefix_size(const DecoderObject *self, Span value) {
    for (int i = 0; i < self->prefixes; i++) {
        Span prefix = bytes_span(self->prefix[i]);
        if (value.size >= prefix.size && memcmp(value.at, prefix.at, (size_t)prefix.size) == 0)
            return prefix.size;
    }
    return -1;
}

/* Read what is plainly right into `fields`, and when it happened into `time`; false otherwise. */
static int read_view(const DecoderObject *self, Span key, Span raw, int64_t arrival, Field *fields, int64_t *time) {
    int64_t prefix = raw.size <= self->largest ? prefix_size(self, raw) : -1;
    if (key.size <= 0 || prefix < 0 ||
        !read_record(raw.at + prefix, raw.at + raw.size, self->shapes, self->count, fields))
        return 0;
    int64_t occurred_at = fields[self->slot[OCCURRED_AT]].size;
    *time = occurred_at < arrival ? occurred_at : arrival;
    return same(fields[self->slot[SLOT_LEAD_ID]], key) && is_ms(arrival) && arrival - occurred_at <= self->oldest;
}

/* Takes over the reference to `key`. */
static PyObject *new_view(const DecoderObject *self, PyObject *key, PyObject *owner, const Entry *entry, int64_t time,
                          int64_t arrival, const Field *fields) {
    ViewObject *view = key ? PyObject_NewVar(ViewObject, &ViewType, self->count) : NULL;
    if (!view) {
        Py_XDECREF(key);
        return NULL;
    }
    view->key = key;
    view->owner = Py_NewRef(owner);
    view->entry = entry;
    view->time = time;
    view->arrival = arrival;
    memcpy(view->fields, fields, sizeof fields[0] * (size_t)self->count);
    return (PyObject *)view;
}

/* (record, item); takes over both references. */
static PyObject *pair_of(PyObject *record, PyObject *item) {
    PyObject *pair = record && item ? PyTuple_New(2) : NULL;
    if (!pair) {
        Py_XDECREF(record);
        Py_XDECREF(item);
        return NULL;
    }
    PyTuple_SET_ITEM(pair, 0, record);
    PyTuple_SET_ITEM(pair, 1, item);
    return pair;
}

/* Takes over the reference to `record`. */
static PyObject *left_to(PyObject *otherwise, PyObject *record) {
    return pair_of(record, record ? PyObject_CallOneArg(otherwise, record) : NULL);
}

static PyObject *decode_entry(const DecoderObject *self, PyObject *owner, Py_ssize_t index, PyObject *otherwise) {
    const Entry *entry = &((RecordsObject *)owner)->entry[index];
    Field fields[MOST_FIELDS];
    int64_t time;
    Span key = {entry->key, entry->key_size}, value = {entry->value, entry->value_size};
    if (value.size < 0 || !read_view(self, key, value, entry->timestamp, fields, &time))
        return left_to(otherwise, PySequence_GetItem(owner, index));
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)key.at, key.size);
    PyObject *view = new_view(self, bytes, owner, entry, time, entry->timestamp, fields);
    return pair_of(view, Py_XNewRef(view));
}

/* A record that is an object: its timestamp may be -1, or anything. */
static PyObject *decode_object(const DecoderObject *self, PyObject *record, PyObject *otherwise) {
    PyObject *value = PyObject_GetAttr(record, name_value), *key = NULL, *timestamp = NULL, *view = NULL;
    Field fields[MOST_FIELDS];
    int64_t time;
    if (value)
        key = PyObject_GetAttr(record, name_key);
    if (key)
        timestamp = PyObject_GetAttr(record, name_timestamp);
    if (timestamp && PyBytes_CheckExact(key) && PyBytes_CheckExact(value)) {
        long long arrival = PyLong_AsLongLong(timestamp);
        if ((arrival != -1 || !PyErr_Occurred()) &&
            read_view(self, bytes_span(key), bytes_span(value), arrival, fields, &time))
            view = new_view(self, Py_NewRef(key), value, NULL, time, arrival, fields);
    }
    Py_XDECREF(value);
    Py_XDECREF(key);
    Py_XDECREF(timestamp);
    if (PyErr_Occurred())
        return NULL;
    return view ? pair_of(Py_NewRef(record), view) : left_to(otherwise, Py_NewRef(record));
}

static PyObject *decoder_decode(DecoderObject *self, PyObject *args) {
    PyObject *records, *otherwise, *list = NULL;
    if (!PyArg_ParseTuple(args, "OO", &records, &otherwise))
        return NULL;
    int is_raw = Py_TYPE(records) == records_type;
    if (!is_raw && !(list = PySequence_Fast(records, "no sequence")))
        return NULL;
    if (is_raw)
        ((RecordsObject *)records)->is_shared = 1; /* views point to its entries, which must not move */
    Py_ssize_t count = is_raw ? ((RecordsObject *)records)->count : PySequence_Fast_GET_SIZE(list);
    PyObject *pairs = PyList_New(0);
    for (Py_ssize_t i = 0; pairs && i < count; i++) {
        PyObject *pair = is_raw ? decode_entry(self, records, i, otherwise)
                                : decode_object(self, PySequence_Fast_GET_ITEM(list, i), otherwise);
        if (!pair || PyList_Append(pairs, pair) < 0)
            Py_CLEAR(pairs);
        Py_XDECREF(pair);
    }
    Py_XDECREF(list);
    return pairs;
}

static PyMethodDef decoder_methods[] = {
    {"accept", (PyCFunction)decoder_accept, METH_O, "accept(prefix): values that begin so are of our own schema"},
    {"decode", (PyCFunction)decoder_decode, METH_VARARGS,
     "decode(records, otherwise): (record, View) for each record, or (record, otherwise(record)) where it is not plainly "
     "right. Of Records, a View is the record, too."},
    {NULL, NULL, 0, NULL}};

static PyTypeObject DecoderType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "streams.fastpath._native.Decoder",
    .tp_basicsize = sizeof(DecoderObject),
    .tp_dealloc = (destructor)decoder_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Decoder(fields, largest, oldest): fields are (name, is_text, nullable, least, most) in the schema's order.",
    .tp_methods = decoder_methods,
    .tp_init = (initproc)decoder_init,
    .tp_new = PyType_GenericNew,
};

#endif
