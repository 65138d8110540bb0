/* The type Table: see table.h, and streams/engine/table.py. */
#ifndef LEADSTREAM_TABLES_H
#define LEADSTREAM_TABLES_H

#include "table.h"

/* False with an error set: the key is not bytes, or, to change something, somebody reads. */
static int may_use(const TableObject *table, PyObject *key, int to_change) {
    if (!PyBytes_Check(key))
        PyErr_SetString(PyExc_TypeError, "a key is bytes");
    else if (to_change && table->lent)
        PyErr_SetString(PyExc_RuntimeError, "a table is changed while it is read");
    else
        return 1;
    return 0;
}

static int resize(TableObject *table, size_t buckets) {
    Bucket *anew = PyMem_RawCalloc(buckets, sizeof *anew);
    if (!anew) {
        PyErr_NoMemory();
        return 0;
    }
    for (size_t i = 0; i <= table->mask && table->bucket; i++) {
        const Bucket *old = &table->bucket[i];
        size_t at = old->hash & (buckets - 1);
        if (!old->block)
            continue;
        while (anew[at].block)
            at = (at + 1) & (buckets - 1);
        anew[at] = *old;
    }
    PyMem_RawFree(table->bucket);
    table->bucket = anew;
    table->mask = buckets - 1;
    return 1;
}

/* A block with room for as much, in whole lines of what malloc gives; values mostly grow, a little each time. */
static Block *roomy_block(Block *old, size_t wanted) {
    size_t whole = (sizeof(Block) + wanted + sizeof(size_t) + LINE - 1) / LINE * LINE - sizeof(size_t);
    Block *block = whole - sizeof(Block) > UINT32_MAX ? NULL : PyMem_RawRealloc(old, whole);
    if (!block)
        PyErr_NoMemory();
    else
        block->room = (uint32_t)(whole - sizeof(Block));
    return block;
}

/* The value of a key, where `at` is the bucket that find_bucket gave. False with an error set. */
static int put_value(TableObject *table, size_t at, Py_hash_t hash, PyObject *key, PyObject *value) {
    Block *block = table->bucket[at].block;
    size_t key_size = (size_t)PyBytes_GET_SIZE(key), size = (size_t)PyBytes_GET_SIZE(value), wanted = key_size + size;
    if (!block || block->room < wanted || block->room > 2 * wanted + LINE) {
        int is_new = !block;
        if (is_new && 5 * (table->count + 1) > 3 * (table->mask + 1)) {
            if (!resize(table, 2 * (table->mask + 1)))
                return 0;
            at = find_bucket(table, key, hash);
        }
        if (!(block = roomy_block(block, wanted)))
            return 0;
        if (is_new) {
            block->key_size = (uint32_t)key_size;
            memcpy(block->bytes, PyBytes_AS_STRING(key), key_size);
            table->bucket[at].hash = (uint64_t)hash;
            table->count++;
            table->changes++;
        }
        table->bucket[at].block = block;
    }
    block->size = (uint32_t)size;
    memcpy(block->bytes + key_size, PyBytes_AS_STRING(value), size);
    return 1;
}

/* Remove what is in a bucket: what follows moves up, as far as it may. */
static void remove_bucket(TableObject *table, size_t at) {
    PyMem_RawFree(table->bucket[at].block);
    for (size_t next = (at + 1) & table->mask; table->bucket[next].block; next = (next + 1) & table->mask) {
        size_t home = table->bucket[next].hash & table->mask;
        if (((next - home) & table->mask) >= ((next - at) & table->mask)) {
            table->bucket[at] = table->bucket[next];
            at = next;
        }
    }
    table->bucket[at].block = NULL;
    table->count--;
    table->changes++;
}

static PyObject *value_in(const Block *block) {
    return PyBytes_FromStringAndSize((const char *)block->bytes + block->key_size, block->size);
}

static PyObject *table_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs)) {
    TableObject *table = (TableObject *)type->tp_alloc(type, 0);
    if (table && !resize(table, LEAST_BUCKETS))
        Py_CLEAR(table);
    return (PyObject *)table;
}

static void table_dealloc(TableObject *self) {
    for (size_t i = 0; self->bucket && i <= self->mask; i++)
        PyMem_RawFree(self->bucket[i].block);
    PyMem_RawFree(self->bucket);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static Py_ssize_t table_length(TableObject *self) {
    return (Py_ssize_t)self->count;
}

/* NULL without an error where the key is not known. */
static const Block *known_block(TableObject *self, PyObject *key) {
    return may_use(self, key, 0) ? find_block(self, key, PyObject_Hash(key)) : NULL;
}

static PyObject *table_get(TableObject *self, PyObject *const *args, Py_ssize_t count) {
    if (count < 1 || count > 2)
        return PyErr_Format(PyExc_TypeError, "get(key, default=None)");
    const Block *block = known_block(self, args[0]);
    if (!block && PyErr_Occurred())
        return NULL;
    return block ? value_in(block) : Py_NewRef(count == 2 ? args[1] : Py_None);
}

static PyObject *table_subscript(TableObject *self, PyObject *key) {
    const Block *block = known_block(self, key);
    if (!block && !PyErr_Occurred())
        PyErr_SetObject(PyExc_KeyError, key);
    return block ? value_in(block) : NULL;
}

static int table_contains(TableObject *self, PyObject *key) {
    const Block *block = known_block(self, key);
    return PyErr_Occurred() ? -1 : block != NULL;
}

static int table_assign(TableObject *self, PyObject *key, PyObject *value) {
    if (!may_use(self, key, 1))
        return -1;
    Py_hash_t hash = PyObject_Hash(key);
    size_t at = find_bucket(self, key, hash);
    if (!value) {
        if (!self->bucket[at].block) {
            PyErr_SetObject(PyExc_KeyError, key);
            return -1;
        }
        remove_bucket(self, at);
        return 0;
    }
    if (!PyBytes_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "a value is bytes");
        return -1;
    }
    return put_value(self, at, hash, key, value) ? 0 : -1;
}

typedef struct {
    PyObject_HEAD
    TableObject *table;
    uint64_t changes;
    size_t at;
} KeysObject;

static PyTypeObject KeysType;

static PyObject *table_iter(TableObject *self) {
    KeysObject *keys = PyObject_New(KeysObject, &KeysType);
    if (keys) {
        keys->table = (TableObject *)Py_NewRef(self);
        keys->changes = self->changes;
        keys->at = 0;
    }
    return (PyObject *)keys;
}

static void keys_dealloc(KeysObject *self) {
    Py_DECREF(self->table);
    PyObject_Free(self);
}

static PyObject *keys_next(KeysObject *self) {
    const TableObject *table = self->table;
    if (self->changes != table->changes)
        return PyErr_Format(PyExc_RuntimeError, "keys of a table came or went while it was gone through");
    while (self->at <= table->mask) {
        const Block *block = table->bucket[self->at++].block;
        if (block)
            return PyBytes_FromStringAndSize((const char *)block->bytes, block->key_size);
    }
    return NULL;
}

static PyTypeObject KeysType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "streams.engine._native.Keys",
    .tp_basicsize = sizeof(KeysObject),
    .tp_dealloc = (destructor)keys_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = (iternextfunc)keys_next,
};

static PyMethodDef table_methods[] = {
    {"get", (PyCFunction)(void (*)(void))table_get, METH_FASTCALL,
     "get(key, default=None): a copy of the key's value, or the default"},
    {NULL, NULL, 0, NULL}};

static PyMappingMethods table_mapping = {
    .mp_length = (lenfunc)table_length,
    .mp_subscript = (binaryfunc)table_subscript,
    .mp_ass_subscript = (objobjargproc)table_assign,
};

static PySequenceMethods table_sequence = {.sq_contains = (objobjproc)table_contains};

static PyTypeObject TableType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "streams.engine._native.Table",
    .tp_basicsize = sizeof(TableObject),
    .tp_dealloc = (destructor)table_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_doc = "Bytes by key, which are bytes too.",
    .tp_iter = (getiterfunc)table_iter,
    .tp_methods = table_methods,
    .tp_as_mapping = &table_mapping,
    .tp_as_sequence = &table_sequence,
    .tp_new = table_new,
};

#endif
