/* What a batch does once for each key that changed: the seals of envelopes and the loop of PartitionState.apply.
 * The Python in those modules says what it is; the tests hold the two together. */
#ifndef LEADSTREAM_ENVELOPES_H
#define LEADSTREAM_ENVELOPES_H

#include "crc.h"

#define HEAD_SIZE 13
/* From this version on the checksum covers the due time. */
#define CHECKS_DUE_TIME 3

static void put_big(uint8_t *at, uint64_t number, int bytes) {
    while (bytes--)
        *at++ = (uint8_t)(number >> (8 * bytes));
}

/* One that nobody else has seen is sealed where it lies. */
static PyObject *sealable(PyObject *envelope) {
    if (Py_REFCNT(envelope) == 1)
        return Py_NewRef(envelope);
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(envelope), PyBytes_GET_SIZE(envelope));
}

static void seal(uint8_t version, PyObject *envelope) {
    uint8_t *to = (uint8_t *)PyBytes_AS_STRING(envelope);
    Py_ssize_t size = PyBytes_GET_SIZE(envelope) - HEAD_SIZE;
    to[0] = version;
    uint32_t before = version >= CHECKS_DUE_TIME ? crc_of(&crc32_ieee, 0, to + 1, 8) : 0;
    put_big(to + 9, crc_of(&crc32_ieee, before, to + HEAD_SIZE, size), 4);
}

/* The checksums are most of it, and need nothing of Python's. */
static PyObject *seal_all(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *packed, *key, *envelope;
    Py_ssize_t place = 0, count = 0;
    unsigned char version;
    if (!PyArg_ParseTuple(args, "bO!", &version, &PyDict_Type, &packed))
        return NULL;
    PyObject **sealed = PyMem_New(PyObject *, (size_t)PyDict_GET_SIZE(packed) + 1);
    if (!sealed)
        return PyErr_NoMemory();
    while (!PyErr_Occurred() && PyDict_Next(packed, &place, &key, &envelope)) {
        if (!PyBytes_Check(envelope) || PyBytes_GET_SIZE(envelope) < HEAD_SIZE)
            PyErr_SetString(PyExc_TypeError, "not an envelope");
        else if ((sealed[count] = sealable(envelope)) && sealed[count++] != envelope)
            PyDict_SetItem(packed, key, sealed[count - 1]);
    }
    if (!PyErr_Occurred()) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < count; i++)
            seal(version, sealed[i]);
        Py_END_ALLOW_THREADS
    }
    while (count--)
        Py_DECREF(sealed[count]);
    PyMem_Free(sealed);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

/* Read the due time in an envelope, 0 for none. False with an error set. */
static int due_of(Py_buffer *versions, PyObject *envelope, int64_t *due) {
    if (!PyBytes_Check(envelope) || PyBytes_GET_SIZE(envelope) < HEAD_SIZE ||
        !memchr(versions->buf, PyBytes_AS_STRING(envelope)[0], (size_t)versions->len)) {
        PyErr_SetString(PyExc_ValueError, "not an envelope of a version known here");
        return 0;
    }
    const uint8_t *from = (const uint8_t *)PyBytes_AS_STRING(envelope) + 1;
    uint64_t read = 0;
    for (int i = 0; i < 8; i++)
        read = read << 8 | from[i];
    *due = (int64_t)read;
    return 1;
}

/* Whether the key's timer must be set anew; -1 with an error set. `value` None: the key goes. */
static int replace(Py_buffer *versions, PyObject *values, PyObject *taken, PyObject *key, PyObject *value, int64_t *due,
                   Py_ssize_t *grown) {
    PyObject *before = PyDict_GetItemWithError(values, key);
    int64_t known = 0;
    if (PyErr_Occurred() || (before && !due_of(versions, before, &known)))
        return -1;
    if (before)
        *grown -= PyBytes_GET_SIZE(key) + PyBytes_GET_SIZE(before);
    if (value == Py_None)
        return before ? PyDict_DelItem(values, key) : 0;
    if (!due_of(versions, value, due) || PyDict_SetItem(values, key, value) < 0)
        return -1;
    *grown += PyBytes_GET_SIZE(key) + PyBytes_GET_SIZE(value);
    if (!*due)
        return 0;
    return !known || *due < known ? 1 : PySet_GET_SIZE(taken) ? PySet_Contains(taken, key) : 0;
}

static PyObject *apply_all(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *values, *changed, *taken, *key, *value, *timers = PyList_New(0);
    Py_ssize_t place = 0, grown = 0;
    Py_buffer versions = {0};
    if (!timers || !PyArg_ParseTuple(args, "y*O!O!O!", &versions, &PyDict_Type, &values, &PyDict_Type, &changed,
                                     &PySet_Type, &taken)) {
        PyBuffer_Release(&versions);
        Py_XDECREF(timers);
        return NULL;
    }
    while (PyDict_Next(changed, &place, &key, &value)) {
        int64_t due = 0;
        int is_timer = PyBytes_Check(key) ? replace(&versions, values, taken, key, value, &due, &grown) : -1;
        if (is_timer > 0) {
            PyObject *timer = Py_BuildValue("LO", (long long)due, key);
            if (!timer || PyList_Append(timers, timer) < 0)
                is_timer = -1;
            Py_XDECREF(timer);
        }
        if (is_timer < 0 || PyErr_Occurred()) {
            PyBuffer_Release(&versions);
            Py_DECREF(timers);
            return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "a key is bytes");
        }
    }
    PyBuffer_Release(&versions);
    return Py_BuildValue("Nn", timers, grown);
}

#endif
