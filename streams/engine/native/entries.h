/* Records as they lie in the batches that a broker sent. `streams/fastpath` reads them here, too. */
#ifndef LEADSTREAM_ENTRIES_H
#define LEADSTREAM_ENTRIES_H

#include <stdint.h>

/* One record: offsets and times as Kafka has them (ms); a size below 0 is null; `headers` is where they begin. */
typedef struct {
    int64_t offset, timestamp;
    const uint8_t *key, *value, *headers, *end;
    int32_t key_size, value_size, header_count, is_append_time;
} Entry;

/* Records of one topic partition in offset order. What `entry` points to belongs to `owner`. */
typedef struct {
    PyObject_HEAD
    PyObject *topic, *make_record, *owner;
    int partition, is_shared;
    Py_ssize_t count;
    Entry *entry;
} RecordsObject;

#endif
