/* What the engine does once for each record and for each key that changed, compiled: see streams/engine/fetched.py and
 * streams/engine/envelopes.py. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "envelopes.h"
#include "records.h"

static PyMethodDef methods[] = {
    {"seal_all", seal_all, METH_VARARGS,
     "seal_all(version, packed): give every envelope its version and checksum, where it lies if nobody else has it"},
    {"apply_all", apply_all, METH_VARARGS,
     "apply_all(versions, values, changed, taken): put changed into values; the (due, key) timers, and the growth"},
    {"timers_of", timers_of, METH_VARARGS,
     "timers_of(versions, values): the (due, key) of all that have one, and how many bytes keys and values are"},
    {"batches", batches, METH_O,
     "batches(data): of each whole batch (base offset, next offset, attributes, first time, last time, producer id, "
     "count, where its records begin, where they end); None where one is of an older format, or damaged"},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", "See streams/engine/compiled.py.", -1, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) {
    PyObject *made = PyModule_Create(&module);
    make_crc_tables();
    if (made && (PyModule_AddType(made, &RecordsType) < 0 || PyModule_AddType(made, &TableType) < 0 ||
                 PyType_Ready(&KeysType) < 0 ||
                 PyModule_AddIntConstant(made, "REVISION", LEADSTREAM_REVISION) < 0))
        Py_CLEAR(made);
    return made;
}
