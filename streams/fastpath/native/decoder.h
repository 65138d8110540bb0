/* Decoder: reads records of page views into View objects, without copying. */
#ifndef LEADSTREAM_DECODER_H
#define LEADSTREAM_DECODER_H

#include "avro.h"
#include "lead.h"

#define MOST_PREFIXES 8

enum Slot { EVENT_ID, SLOT_LEAD_ID, OCCURRED_AT, URL, DURATION, REFERRER, SOURCE, MEDIUM, CAMPAIGN, USER_AGENT, IP,
            SLOTS };
static const char *const SLOT_NAMES[SLOTS] = {"event_id", "lead_id",    "occurred_at", "url",          "duration_ms",
                                              "referrer", "utm_source", "utm_medium",  "utm_campaign", "user_agent",
                                              "ip"};

typedef struct {
    PyObject_VAR_HEAD
    PyObject *key, *value;
    long long time, arrival;
    Field fields[1];
} ViewObject;

static void view_dealloc(ViewObject *self) {
    Py_XDECREF(self->key);
    Py_XDECREF(self->value);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef view_members[] = {
    {"time", T_LONGLONG, offsetof(ViewObject, time), READONLY, "when it happened (ms), never after its arrival"},
    {"value", T_OBJECT, offsetof(ViewObject, value), READONLY, "the record's value"},
    {NULL, 0, 0, 0, NULL}};

static PyTypeObject ViewType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "streams.fastpath._native.View",
    .tp_basicsize = offsetof(ViewObject, fields),
    .tp_itemsize = sizeof(Field),
    .tp_dealloc = (destructor)view_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A page view that keeps to all limits, read where it lies.",
    .tp_members = view_members,
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

/* A new View, or NULL with no error set when the record is not plainly right: its timestamp may be -1, or anything. */
static PyObject *view_of(const DecoderObject *self, PyObject *key, PyObject *value, long long arrival) {
    Field fields[MOST_FIELDS];
    if (!PyBytes_CheckExact(key) || !PyBytes_CheckExact(value) || !PyBytes_GET_SIZE(key))
        return NULL;
    Span raw = bytes_span(value);
    int64_t prefix = raw.size <= self->largest ? prefix_size(self, raw) : -1;
    if (prefix < 0 || !read_record(raw.at + prefix, raw.at + raw.size, self->shapes, self->count, fields))
        return NULL;
    int64_t occurred_at = fields[self->slot[OCCURRED_AT]].size;
    if (!same(fields[self->slot[SLOT_LEAD_ID]], bytes_span(key)) || !is_ms(arrival) ||
        arrival - occurred_at > self->oldest)
        return NULL;
    ViewObject *view = PyObject_NewVar(ViewObject, &ViewType, self->count);
    if (!view)
        return NULL;
    view->key = Py_NewRef(key);
    view->value = Py_NewRef(value);
    view->time = occurred_at < arrival ? occurred_at : arrival;
    view->arrival = arrival;
    memcpy(view->fields, fields, sizeof fields[0] * (size_t)self->count);
    return (PyObject *)view;
}

static PyObject *decode_one(const DecoderObject *self, PyObject *record, PyObject *otherwise) {
    PyObject *value = PyObject_GetAttr(record, name_value), *key = NULL, *timestamp = NULL, *view = NULL;
    if (value)
        key = PyObject_GetAttr(record, name_key);
    if (key)
        timestamp = PyObject_GetAttr(record, name_timestamp);
    if (timestamp) {
        long long arrival = PyLong_AsLongLong(timestamp);
        if (arrival != -1 || !PyErr_Occurred())
            view = view_of(self, key, value, arrival);
    }
    Py_XDECREF(value);
    Py_XDECREF(key);
    Py_XDECREF(timestamp);
    return view || PyErr_Occurred() ? view : PyObject_CallOneArg(otherwise, record);
}

static PyObject *decoder_decode(DecoderObject *self, PyObject *args) {
    PyObject *records, *otherwise, *list, *views;
    if (!PyArg_ParseTuple(args, "OO", &records, &otherwise) || !(list = PySequence_Fast(records, "no sequence")))
        return NULL;
    views = PyList_New(0);
    for (Py_ssize_t i = 0; views && i < PySequence_Fast_GET_SIZE(list); i++) {
        PyObject *view = decode_one(self, PySequence_Fast_GET_ITEM(list, i), otherwise);
        if (!view || PyList_Append(views, view) < 0)
            Py_CLEAR(views);
        Py_XDECREF(view);
    }
    Py_DECREF(list);
    return views;
}

static PyMethodDef decoder_methods[] = {
    {"accept", (PyCFunction)decoder_accept, METH_O, "accept(prefix): values that begin so are of our own schema"},
    {"decode", (PyCFunction)decoder_decode, METH_VARARGS,
     "decode(records, otherwise): a View for each record, or otherwise(record) where it is not plainly right"},
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
