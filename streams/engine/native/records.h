/* Records: what a fetch brought of a partition, read where it lies; a record becomes an object when somebody asks for it.
 *
 * The format is Kafka's record batch, version 2 (KIP-98; org.apache.kafka.common.record.DefaultRecordBatch). */
#ifndef LEADSTREAM_RECORDS_H
#define LEADSTREAM_RECORDS_H

#include <string.h>
#include <structmember.h>

#include "crc.h"
#include "entries.h"

/* Where the fields of a batch begin. */
enum { LENGTH_AT = 8, MAGIC_AT = 16, CRC_AT = 17, ATTRIBUTES_AT = 21, LAST_DELTA_AT = 23, FIRST_TIME_AT = 27,
       LAST_TIME_AT = 35, PRODUCER_AT = 43, COUNT_AT = 57, RECORDS_AT = 61 };
#define COUNTED_FROM 12 /* what a batch's length counts */
#define SMALLEST_RECORD 7 /* seven numbers of a byte each */

static uint64_t big_endian(const uint8_t *at, int bytes) {
    uint64_t number = 0;
    while (bytes--)
        number = number << 8 | *at++;
    return number;
}

static PyObject *described(const uint8_t *batch, Py_ssize_t start, Py_ssize_t end) {
    uint64_t base = big_endian(batch, 8), last = (uint64_t)(int32_t)big_endian(batch + LAST_DELTA_AT, 4);
    return Py_BuildValue("LLiLLLinn", (long long)base, (long long)(base + last + 1),
                         (int)big_endian(batch + ATTRIBUTES_AT, 2), (long long)big_endian(batch + FIRST_TIME_AT, 8),
                         (long long)big_endian(batch + LAST_TIME_AT, 8), (long long)big_endian(batch + PRODUCER_AT, 8),
                         (int)(int32_t)big_endian(batch + COUNT_AT, 4), start + RECORDS_AT, end);
}

/* batches(data): what each whole batch says of itself; None where one is of an older format, or damaged. */
static PyObject *batches(PyObject *Py_UNUSED(module), PyObject *data) {
    char *raw;
    Py_ssize_t size, start = 0;
    PyObject *found;
    if (PyBytes_AsStringAndSize(data, &raw, &size) < 0 || !(found = PyList_New(0)))
        return NULL;
    while (size - start > MAGIC_AT) { /* one of an older format may be shorter than the head of one of these */
        const uint8_t *batch = (const uint8_t *)raw + start;
        int64_t length = (int32_t)big_endian(batch + LENGTH_AT, 4);
        if (batch[MAGIC_AT] != 2 || length < RECORDS_AT - COUNTED_FROM) {
            Py_DECREF(found);
            Py_RETURN_NONE;
        }
        if (length > size - start - COUNTED_FROM)
            break; /* the last one, cut off by the limit of the fetch */
        Py_ssize_t end = start + COUNTED_FROM + (Py_ssize_t)length;
        uint32_t crc;
        Py_BEGIN_ALLOW_THREADS
        crc = crc_of(&crc32_castagnoli, 0, batch + ATTRIBUTES_AT, end - start - ATTRIBUTES_AT);
        Py_END_ALLOW_THREADS
        if (crc != (uint32_t)big_endian(batch + CRC_AT, 4)) {
            Py_DECREF(found);
            Py_RETURN_NONE;
        }
        PyObject *one = described(batch, start, end);
        int failed = !one || PyList_Append(found, one) < 0;
        Py_XDECREF(one);
        if (failed) {
            Py_DECREF(found);
            return NULL;
        }
        start = end;
    }
    return found;
}

static int read_zigzag(const uint8_t **at, const uint8_t *end, int64_t *number) {
    uint64_t raw = 0;
    for (int shift = 0; shift < 64 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        raw |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *number = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
            return 1;
        }
    }
    return 0;
}

/* A size and as many bytes; a size below 0 is null. */
static int read_bytes(const uint8_t **at, const uint8_t *end, const uint8_t **bytes, int32_t *size) {
    int64_t number;
    if (!read_zigzag(at, end, &number) || number > end - *at)
        return 0;
    *size = number < 0 ? -1 : (int32_t)number;
    *bytes = *at;
    *at += number < 0 ? 0 : number;
    return 1;
}

static int read_entry(const uint8_t **at, const uint8_t *limit, int64_t base, int64_t time, Entry *entry) {
    int64_t length, since, delta, headers;
    if (!read_zigzag(at, limit, &length) || length < 1 || length > limit - *at || length > INT32_MAX)
        return 0; /* so that sizes fit where they are kept */
    const uint8_t *end = *at + length, *name, *value;
    ++*at; /* attributes, of which none are in use */
    if (!read_zigzag(at, end, &since) || !read_zigzag(at, end, &delta) ||
        !read_bytes(at, end, &entry->key, &entry->key_size) ||
        !read_bytes(at, end, &entry->value, &entry->value_size) || !read_zigzag(at, end, &headers) || headers < 0 ||
        headers > end - *at)
        return 0;
    entry->offset = (int64_t)((uint64_t)base + (uint64_t)delta);
    entry->timestamp = (int64_t)((uint64_t)time + (uint64_t)since);
    entry->headers = *at;
    entry->end = end;
    entry->header_count = (int32_t)headers;
    for (int64_t i = 0; i < headers; i++) {
        int32_t name_size, value_size;
        if (!read_bytes(at, end, &name, &name_size) || name_size < 0 || !read_bytes(at, end, &value, &value_size))
            return 0;
    }
    return *at == end;
}

static PyTypeObject RecordsType;

static PyObject *bytes_or_none(const uint8_t *at, int32_t size) {
    return size < 0 ? Py_NewRef(Py_None) : PyBytes_FromStringAndSize((const char *)at, size);
}

static PyObject *headers_of(const Entry *entry) {
    const uint8_t *at = entry->headers, *name, *value;
    int32_t name_size, value_size;
    PyObject *headers = PyTuple_New(entry->header_count);
    for (int32_t i = 0; headers && i < entry->header_count; i++) {
        PyObject *header = NULL;
        if (read_bytes(&at, entry->end, &name, &name_size) && read_bytes(&at, entry->end, &value, &value_size))
            header = Py_BuildValue("NN", PyUnicode_DecodeUTF8((const char *)name, name_size, "replace"),
                                   bytes_or_none(value, value_size));
        if (header)
            PyTuple_SET_ITEM(headers, i, header);
        else
            Py_CLEAR(headers);
    }
    return headers;
}

static PyObject *record_of(const RecordsObject *self, const Entry *entry) {
    PyObject *headers = headers_of(entry);
    if (!headers)
        return NULL;
    return PyObject_CallFunction(self->make_record, "OiLLiNNOiiN", self->topic, self->partition,
                                 (long long)entry->offset, (long long)entry->timestamp, (int)entry->is_append_time,
                                 bytes_or_none(entry->key, entry->key_size),
                                 bytes_or_none(entry->value, entry->value_size), Py_None, (int)entry->key_size,
                                 (int)entry->value_size, headers);
}

static void records_dealloc(RecordsObject *self) {
    if (self->owner && PyList_CheckExact(self->owner)) /* else a part of other Records, whose entries they are */
        PyMem_Free(self->entry);
    Py_XDECREF(self->topic);
    Py_XDECREF(self->make_record);
    Py_XDECREF(self->owner);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static int records_init(RecordsObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"topic", "partition", "make_record", NULL};
    PyObject *topic, *make_record;
    if (self->owner) {
        PyErr_SetString(PyExc_RuntimeError, "Records are made once");
        return -1;
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "UiO", names, &topic, &self->partition, &make_record) ||
        !(self->owner = PyList_New(0)))
        return -1;
    self->topic = Py_NewRef(topic);
    self->make_record = Py_NewRef(make_record);
    return 0;
}

static PyObject *records_add(RecordsObject *self, PyObject *args) {
    PyObject *payload;
    int count, is_append_time;
    long long base, first_time, last_time, from;
    if (!PyArg_ParseTuple(args, "SiLLLpL", &payload, &count, &base, &first_time, &last_time, &is_append_time, &from))
        return NULL;
    if (!self->owner || !PyList_CheckExact(self->owner) || self->is_shared) /* its entries would move */
        return PyErr_Format(PyExc_RuntimeError, "Records of which there are parts do not grow");
    const uint8_t *at = (const uint8_t *)PyBytes_AS_STRING(payload), *end = at + PyBytes_GET_SIZE(payload);
    if (count < 0 || count > (end - at) / SMALLEST_RECORD)
        return PyErr_Format(PyExc_ValueError, "not so many records");
    Entry *grown = PyMem_Realloc(self->entry, sizeof(Entry) * (size_t)(self->count + count + 1));
    if (!grown)
        return PyErr_NoMemory();
    self->entry = grown;
    Py_ssize_t kept = self->count;
    int read = 0;
    Py_BEGIN_ALLOW_THREADS
    for (; read < count && read_entry(&at, end, base, first_time, &grown[kept]); read++) {
        Entry *entry = &grown[kept];
        if (is_append_time)
            entry->timestamp = last_time;
        entry->is_append_time = is_append_time;
        if (entry->offset >= from) /* those before lie in the same batch, and were not asked for */
            kept++;
    }
    Py_END_ALLOW_THREADS
    if (read < count || at != end)
        return PyErr_Format(PyExc_ValueError, "not as many records as it says");
    if (PyList_Append(self->owner, payload) < 0)
        return NULL;
    self->count = kept;
    Py_RETURN_NONE;
}

static Py_ssize_t records_length(RecordsObject *self) {
    return self->count;
}

static PyObject *records_item(RecordsObject *self, Py_ssize_t index) {
    if (index < 0 || index >= self->count)
        return PyErr_Format(PyExc_IndexError, "no such record");
    return record_of(self, &self->entry[index]);
}

static PyObject *records_part(RecordsObject *self, PyObject *slice) {
    Py_ssize_t start, stop, step;
    if (!self->owner)
        return PyErr_Format(PyExc_RuntimeError, "Records without a topic");
    if (PySlice_Unpack(slice, &start, &stop, &step) < 0)
        return NULL;
    Py_ssize_t count = PySlice_AdjustIndices(self->count, &start, &stop, step);
    if (step != 1)
        return PyErr_Format(PyExc_ValueError, "only a stretch of records can be taken");
    RecordsObject *part = PyObject_New(RecordsObject, &RecordsType);
    if (!part)
        return NULL;
    part->topic = Py_NewRef(self->topic);
    part->make_record = Py_NewRef(self->make_record);
    part->owner = Py_NewRef(PyList_CheckExact(self->owner) ? (PyObject *)self : self->owner);
    part->partition = self->partition;
    part->count = count;
    part->is_shared = self->is_shared = 1;
    part->entry = self->entry + start;
    return (PyObject *)part;
}

static PyObject *records_subscript(RecordsObject *self, PyObject *place) {
    if (PySlice_Check(place))
        return records_part(self, place);
    Py_ssize_t index = PyNumber_AsSsize_t(place, PyExc_IndexError);
    if (index == -1 && PyErr_Occurred())
        return NULL;
    return records_item(self, index < 0 ? index + self->count : index);
}

static PyObject *records_bytes(RecordsObject *self, void *Py_UNUSED(closure)) {
    long long sum = 0;
    for (Py_ssize_t i = 0; i < self->count; i++)
        sum += self->entry[i].value_size > 0 ? self->entry[i].value_size : 0;
    return PyLong_FromLongLong(sum);
}

static PyGetSetDef records_getters[] = {
    {"bytes", (getter)records_bytes, NULL, "of all values together", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef records_methods[] = {
    {"add", (PyCFunction)records_add, METH_VARARGS,
     "add(payload, count, base offset, first time, last time, is append time, from offset): what a batch holds, "
     "uncompressed. ValueError, and nothing is added, when it does not hold that."},
    {NULL, NULL, 0, NULL}};

static PySequenceMethods records_as_sequence = {.sq_length = (lenfunc)records_length,
                                                .sq_item = (ssizeargfunc)records_item};
static PyMappingMethods records_as_mapping = {.mp_length = (lenfunc)records_length,
                                              .mp_subscript = (binaryfunc)records_subscript};

static PyTypeObject RecordsType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "streams.engine._native.Records",
    .tp_basicsize = sizeof(RecordsObject),
    .tp_dealloc = (destructor)records_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Records(topic, partition, make_record): records of one partition, made into objects one by one.",
    .tp_as_sequence = &records_as_sequence,
    .tp_as_mapping = &records_as_mapping,
    .tp_methods = records_methods,
    .tp_getset = records_getters,
    .tp_init = (initproc)records_init,
    .tp_new = PyType_GenericNew,
};

#endif
