/* The compiled short way for page views: see streams/fastpath/__init__.py. Three types:
 *
 * Decoder  reads records of page views into View objects, without copying, also from the engine's Records;
 * Stepper  takes views into packed leads, where nothing but numbers changes;
 * LeadForms  takes packed leads from the form that msgspec has into the compact one, and back.
 *
 * All memory that is read belongs to Python objects which are held meanwhile; all reads are checked against ends. Times
 * and durations are checked to be of a size that can be reckoned with. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "stepper.h"

static PyObject *native_digest(PyObject *Py_UNUSED(module), PyObject *text) {
    uint8_t digest[DIGEST_SIZE];
    Span span;
    if (!PyUnicode_Check(text) || !text_span(text, &span))
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "not a text");
    event_digest(span, digest);
    return PyBytes_FromStringAndSize((const char *)digest, DIGEST_SIZE);
}

static PyObject *native_murmur2(PyObject *Py_UNUSED(module), PyObject *key) {
    if (!PyBytes_Check(key))
        return PyErr_Format(PyExc_TypeError, "not bytes");
    return PyLong_FromUnsignedLong(murmur2(bytes_span(key)));
}

static PyObject *native_is_utf8(PyObject *Py_UNUSED(module), PyObject *bytes) {
    if (!PyBytes_Check(bytes))
        return PyErr_Format(PyExc_TypeError, "not bytes");
    return PyBool_FromLong(is_utf8(bytes_span(bytes)));
}

static PyMethodDef module_methods[] = {
    {"event_digest", native_digest, METH_O, "memory.event_digest"},
    {"murmur2", native_murmur2, METH_O, "partitioning.murmur2"},
    {"is_utf8", native_is_utf8, METH_O, "whether bytes.decode() takes it"},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", "See streams/fastpath/__init__.py.", -1,
                                    module_methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) {
    PyObject *engine = PyImport_ImportModule("streams.engine._native"), *made = NULL;
    if (engine)
        records_type = (PyTypeObject *)PyObject_GetAttrString(engine, "Records");
    if (records_type)
        table_type = (PyTypeObject *)PyObject_GetAttrString(engine, "Table");
    Py_XDECREF(engine);
    if (table_type)
        made = PyModule_Create(&module);
    name_value = PyUnicode_InternFromString("value");
    name_key = PyUnicode_InternFromString("key");
    name_timestamp = PyUnicode_InternFromString("timestamp");
    if (!made || !name_value || !name_key || !name_timestamp || PyType_Ready(&ViewType) < 0 ||
        PyModule_AddType(made, &DecoderType) < 0 || PyModule_AddType(made, &StepperType) < 0 ||
        PyModule_AddType(made, &FormsType) < 0 ||
        PyModule_AddObjectRef(made, "View", (PyObject *)&ViewType) < 0 ||
        PyModule_AddIntConstant(made, "REVISION", LEADSTREAM_REVISION) < 0) {
        Py_XDECREF(made);
        return NULL;
    }
    return made;
}
