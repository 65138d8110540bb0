/* What a batch does once for each key that changed: the seals of envelopes and the loop of PartitionState.apply.
 * The Python in those modules says what it is; the tests hold the two together. */
#ifndef LEADSTREAM_ENVELOPES_H
#define LEADSTREAM_ENVELOPES_H

#include "crc.h"
#include "tables.h"

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
static int due_of(const Py_buffer *versions, const uint8_t *envelope, size_t size, int64_t *due) {
    uint64_t read = 0;
    if (size < HEAD_SIZE || !memchr(versions->buf, envelope[0], (size_t)versions->len)) {
        PyErr_SetString(PyExc_ValueError, "not an envelope of a version known here");
        return 0;
    }
    for (int i = 1; i < 9; i++)
        read = read << 8 | envelope[i];
    *due = (int64_t)read;
    return 1;
}

/* timers_of(versions, values) */
static PyObject *timers_of(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *values, *timers = NULL;
    Py_ssize_t bytes = 0;
    Py_buffer versions = {0};
    if (!PyArg_ParseTuple(args, "y*O!", &versions, &TableType, &values))
        return NULL;
    const TableObject *table = (TableObject *)values;
    timers = PyList_New(0);
    for (size_t i = 0; timers && i <= table->mask; i++) {
        const Block *block = table->bucket[i].block;
        int64_t due = 0;
        if (!block)
            continue;
        bytes += (Py_ssize_t)block->key_size + (Py_ssize_t)block->size;
        if (!due_of(&versions, block->bytes + block->key_size, block->size, &due))
            Py_CLEAR(timers);
        if (!due)
            continue;
        PyObject *timer = Py_BuildValue("Ly#", (long long)due, block->bytes, (Py_ssize_t)block->key_size);
        if (!timer || PyList_Append(timers, timer) < 0)
            Py_CLEAR(timers);
        Py_XDECREF(timer);
    }
    PyBuffer_Release(&versions);
    return timers ? Py_BuildValue("Nn", timers, bytes) : NULL;
}

/* Whether the key's timer must be set anew; -1 with an error set. `value` None: the key goes. */
static int replace(const Py_buffer *versions, TableObject *values, PyObject *taken, PyObject *key, PyObject *value,
                   int64_t *due, Py_ssize_t *grown) {
    if (!may_use(values, key, 1))
        return -1;
    Py_hash_t hash = PyObject_Hash(key);
    size_t at = find_bucket(values, key, hash);
    const Block *before = values->bucket[at].block;
    int64_t known = 0;
    if (before) {
        if (!due_of(versions, before->bytes + before->key_size, before->size, &known))
            return -1;
        *grown -= (Py_ssize_t)before->key_size + (Py_ssize_t)before->size;
    }
    if (value == Py_None) {
        if (before)
            remove_bucket(values, at);
        return 0;
    }
    if (!PyBytes_Check(value))
        return PyErr_SetString(PyExc_TypeError, "a value is bytes"), -1;
    if (!due_of(versions, (const uint8_t *)PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value), due) ||
        !put_value(values, at, hash, key, value))
        return -1;
    *grown += PyBytes_GET_SIZE(key) + PyBytes_GET_SIZE(value);
    if (!*due)
        return 0;
    return !known || *due < known ? 1 : PySet_GET_SIZE(taken) ? PySet_Contains(taken, key) : 0;
}

/* What is changed lies all over memory: it is fetched so many keys before it is needed. */
#define BUCKETS_AHEAD 24
#define BLOCKS_AHEAD 8

static void fetch_ahead(const TableObject *values, PyObject *const *keys, Py_ssize_t count, Py_ssize_t at) {
    if (at + BUCKETS_AHEAD < count)
        fetch_bucket(values, PyObject_Hash(keys[at + BUCKETS_AHEAD]));
    if (at + BLOCKS_AHEAD < count)
        fetch_block(values, PyObject_Hash(keys[at + BLOCKS_AHEAD]));
}

/* The list of timers, or NULL with an error set. `keys` has room for all that changed. */
static PyObject *put_all(const Py_buffer *versions, TableObject *values, PyObject *changed, PyObject *taken,
                         PyObject **keys, Py_ssize_t *grown) {
    PyObject *timers = PyList_New(0), *key, *value;
    Py_ssize_t count = 0, place = 0;
    while (PyDict_Next(changed, &place, &key, NULL)) {
        if (!PyBytes_Check(key)) {
            PyErr_SetString(PyExc_TypeError, "a key is bytes");
            Py_CLEAR(timers);
            return NULL;
        }
        keys[count++] = key;
    }
    place = 0;
    for (Py_ssize_t i = 0; timers && PyDict_Next(changed, &place, &key, &value); i++) {
        int64_t due = 0;
        fetch_ahead(values, keys, count, i);
        int is_timer = replace(versions, values, taken, key, value, &due, grown);
        PyObject *timer = is_timer > 0 ? Py_BuildValue("LO", (long long)due, key) : NULL;
        if (is_timer < 0 || (is_timer && (!timer || PyList_Append(timers, timer) < 0)))
            Py_CLEAR(timers);
        Py_XDECREF(timer);
    }
    return timers;
}

static PyObject *apply_all(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *values, *changed, *taken;
    Py_ssize_t grown = 0;
    Py_buffer versions = {0};
    if (!PyArg_ParseTuple(args, "y*O!O!O!", &versions, &TableType, &values, &PyDict_Type, &changed, &PySet_Type,
                          &taken))
        return NULL;
    PyObject **keys = PyMem_New(PyObject *, (size_t)PyDict_GET_SIZE(changed) + 1);
    PyObject *timers =
        keys ? put_all(&versions, (TableObject *)values, changed, taken, keys, &grown) : PyErr_NoMemory();
    PyMem_Free(keys);
    PyBuffer_Release(&versions);
    return timers ? Py_BuildValue("Nn", timers, grown) : NULL;
}

#endif
