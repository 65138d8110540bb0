/* LeadForms: a packed lead from one form into the other, for Python, which packs and unpacks leads in full. */
#ifndef LEADSTREAM_FORMS_H
#define LEADSTREAM_FORMS_H

#include "decoder.h"
#include "reading.h"
#include "writing.h"

#define ROOM_BYTES (256 * 1024)

typedef struct {
    PyObject_HEAD
    Layout layout;
    Lead lead;
    uint8_t room[ROOM_BYTES], body[ROOM_BYTES], out[ROOM_BYTES];
} FormsObject;

static int beyond(const char *what) {
    PyErr_Format(PyExc_ValueError, "there is no room for so many %s", what);
    return 0;
}

static int load_layout(Layout *layout, PyObject *lead_fields) {
    layout->fields = (int)PyTuple_GET_SIZE(lead_fields);
    if (PyTuple_GET_SIZE(lead_fields) > MOST_LEAD_FIELDS)
        return beyond("fields of a lead");
    for (int role = 0; role < ROLES; role++)
        layout->place[role] = -1;
    for (int i = 0; i < layout->fields; i++) {
        Span name;
        if (!text_span(PyTuple_GET_ITEM(lead_fields, i), &name))
            return 0;
        layout->role_of[i] = ROLES;
        for (int role = 0; role < ROLES; role++)
            if (is_text(name, ROLE_NAMES[role])) {
                layout->place[role] = i;
                layout->role_of[i] = role;
            }
    }
    for (int role = 0; role < ROLES; role++)
        if (layout->place[role] < 0) {
            PyErr_Format(PyExc_ValueError, "a lead has no field %s", ROLE_NAMES[role]);
            return 0;
        }
    return 1;
}

static int forms_init(FormsObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"lead_fields", NULL};
    PyObject *lead_fields;
    return PyArg_ParseTupleAndKeywords(args, kwargs, "O!", names, &PyTuple_Type, &lead_fields) &&
                   load_layout(&self->layout, lead_fields)
               ? 0
               : -1;
}

/* None for what is no lead in the form `from`, or one that there is no room for. */
static PyObject *reformed(FormsObject *self, PyObject *packed, enum Form from, enum Form to) {
    if (!PyBytes_Check(packed))
        return PyErr_Format(PyExc_TypeError, "not bytes");
    Writer room = {self->room, self->room, self->room + ROOM_BYTES, 0};
    Writer body = {self->body, self->body, self->body + ROOM_BYTES, 0};
    Writer out = {self->out, self->out, self->out + ROOM_BYTES, 0};
    if (!read_lead(bytes_span(packed), from, &self->layout, &room, &self->lead) ||
        !write_lead(&out, &body, to, &self->layout, &self->lead))
        Py_RETURN_NONE;
    return PyBytes_FromStringAndSize((const char *)out.start, out.at - out.start);
}

static PyObject *forms_compacted(FormsObject *self, PyObject *packed) {
    return reformed(self, packed, IN_FULL, COMPACT);
}

static PyObject *forms_expanded(FormsObject *self, PyObject *packed) {
    return reformed(self, packed, COMPACT, IN_FULL);
}

static PyMethodDef forms_methods[] = {
    {"compacted", (PyCFunction)forms_compacted, METH_O, "the compact form of a lead that is packed in full, or None"},
    {"expanded", (PyCFunction)forms_expanded, METH_O, "the inverse, or None"},
    {NULL, NULL, 0, NULL}};

static PyTypeObject FormsType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "streams.fastpath._native.LeadForms",
    .tp_basicsize = sizeof(FormsObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "LeadForms(lead_fields): takes packed leads from one form into the other.",
    .tp_methods = forms_methods,
    .tp_init = (initproc)forms_init,
    .tp_new = PyType_GenericNew,
};

#endif
