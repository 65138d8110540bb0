/* The compiled short way for page views: see streams/fastpath/__init__.py. Two types:
 *
 * Decoder  reads records of page views into View objects, without copying;
 * Stepper  takes views into packed leads, where nothing but numbers changes.
 *
 * All memory that is read belongs to Python objects which are held meanwhile; all reads are checked against ends. Times
 * and durations are checked to be of a size that can be reckoned with. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "avro.h"
#include "step.h"

#define MOST_PREFIXES 8
#define LONGEST_REMEMBERED 1000
#define ROOM_BYTES (256 * 1024)
#define MOST_WATCHED 64
#define MOST_NETWORKS 64
#define HEAD_SIZE 13

/* ---- views ---- */

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

/* ---- Decoder ---- */

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

/* ---- Stepper ---- */

typedef struct {
    int is_visitor, low_touch, count;
    double fit, thresholds[MOST_THRESHOLDS];
} Watched;

typedef struct {
    uint32_t network, mask;
} Network;

typedef struct {
    PyObject_HEAD
    DecoderObject *decoder;
    PyObject *versions; /* of envelopes, a byte each */
    PyObject *held; /* owns the bytes that spans of the model point into */
    PyObject *verdict, *is_bot, *is_internal, *same_host, *watched_by;
    PyObject *verdicts, *bots, *internals;
    int looked_at_count, looked_at[MOST_FIELDS];
    int checks_bots, checks_internal, networks, partitions, remembered;
    Network network[MOST_NETWORKS];
    Model model;
    Watched watched[MOST_WATCHED];
    int watched_count;
    long long ignored[REASONS];
    int matching[MOST_MATCHES], is_running;
    Lead lead;
    uint8_t room[ROOM_BYTES], out[ROOM_BYTES];
} StepperObject;

static void stepper_dealloc(StepperObject *self) {
    Py_XDECREF(self->decoder);
    Py_XDECREF(self->versions);
    Py_XDECREF(self->held);
    Py_XDECREF(self->verdict);
    Py_XDECREF(self->is_bot);
    Py_XDECREF(self->is_internal);
    Py_XDECREF(self->same_host);
    Py_XDECREF(self->watched_by);
    Py_XDECREF(self->verdicts);
    Py_XDECREF(self->bots);
    Py_XDECREF(self->internals);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static int beyond(const char *what) {
    PyErr_Format(PyExc_ValueError, "there is no room for so many %s", what);
    return 0;
}

static int load_groups(Model *model, PyObject *groups) {
    model->groups = (int)PyTuple_GET_SIZE(groups);
    if (PyTuple_GET_SIZE(groups) > MOST_GROUPS)
        return beyond("groups");
    for (int i = 0; i < model->groups; i++) {
        PyObject *name, *floor, *cap;
        long long half_life;
        Group *group = &model->group[i];
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(groups, i), "ULOO", &name, &half_life, &floor, &cap) ||
            !text_span(name, &group->name))
            return 0;
        if (!half_life || !is_ms(half_life))
            return beyond("milliseconds of a half-life");
        group->half_life = (double)half_life;
        group->has_floor = floor != Py_None;
        group->has_cap = cap != Py_None;
        group->floor = group->has_floor ? PyFloat_AsDouble(floor) : 0.0;
        group->cap = group->has_cap ? PyFloat_AsDouble(cap) : 0.0;
        if (PyErr_Occurred())
            return 0;
    }
    return 1;
}

static int load_rules(Model *model, PyObject *rules) {
    model->rules = (int)PyTuple_GET_SIZE(rules);
    if (PyTuple_GET_SIZE(rules) > MOST_RULES)
        return beyond("rules");
    for (int i = 0; i < model->rules; i++) {
        PyObject *name;
        Rule *rule = &model->rule[i];
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(rules, i), "Uipdddii", &name, &rule->group, &rule->has_points,
                              &rule->points, &rule->each, &rule->per_points, &rule->per_at_most, &rule->at_most) ||
            !text_span(name, &rule->name))
            return 0;
        if (rule->group < 0 || rule->group >= model->groups || !(rule->each > 0)) {
            PyErr_SetString(PyExc_ValueError, "a rule's group is none of the model's, or it measures in nothing");
            return 0;
        }
    }
    return 1;
}

static int load_paths(Model *model, PyObject *paths) {
    model->paths = (int)PyTuple_GET_SIZE(paths);
    if (PyTuple_GET_SIZE(paths) > MOST_PATHS)
        return beyond("paths");
    for (int i = 0; i < model->paths; i++) {
        Path *path = &model->path[i];
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(paths, i), "ppdpd", &path->has_fact, &path->has_fit, &path->fit,
                              &path->has_interest, &path->interest))
            return 0;
    }
    return 1;
}

static int load_bands(Model *model, PyObject *bands) {
    model->bands = (int)PyTuple_GET_SIZE(bands);
    if (PyTuple_GET_SIZE(bands) > MOST_BANDS)
        return beyond("bands");
    for (int i = 0; i < model->bands; i++) {
        PyObject *name;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(bands, i), "Ud", &name, &model->band[i].cut_off) ||
            !text_span(name, &model->band[i].name))
            return 0;
    }
    return 1;
}

static int load_cells(Model *model, PyObject *cells) {
    for (int i = 0; i < 6; i++) {
        Span name;
        int route = -1;
        if (PyTuple_GET_SIZE(cells) != 6 || !text_span(PyTuple_GET_ITEM(cells, i), &name))
            return beyond("cells");
        for (int j = 0; j < 4; j++)
            if (is_text(name, ROUTE_NAMES[j]))
                route = j;
        if (route < 0) {
            PyErr_SetString(PyExc_ValueError, "no such route");
            return 0;
        }
        model->cells[i / 3][i % 3] = (enum Route)route;
    }
    return 1;
}

static int load_places(Model *model, PyObject *lead_fields) {
    model->lead_fields = (int)PyTuple_GET_SIZE(lead_fields);
    if (PyTuple_GET_SIZE(lead_fields) > MOST_LEAD_FIELDS)
        return beyond("fields of a lead");
    for (int role = 0; role < ROLES; role++)
        model->place[role] = -1;
    for (int i = 0; i < model->lead_fields; i++) {
        Span name;
        if (!text_span(PyTuple_GET_ITEM(lead_fields, i), &name))
            return 0;
        model->role_of[i] = ROLES;
        for (int role = 0; role < ROLES; role++)
            if (is_text(name, ROLE_NAMES[role])) {
                model->place[role] = i;
                model->role_of[i] = role;
            }
    }
    for (int role = 0; role < ROLES; role++)
        if (model->place[role] < 0) {
            PyErr_Format(PyExc_ValueError, "a lead has no field %s", ROLE_NAMES[role]);
            return 0;
        }
    return 1;
}

static int load_networks(StepperObject *self, PyObject *networks) {
    self->networks = (int)PyTuple_GET_SIZE(networks);
    if (PyTuple_GET_SIZE(networks) > MOST_NETWORKS)
        return beyond("networks");
    for (int i = 0; i < self->networks; i++)
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(networks, i), "II", &self->network[i].network, &self->network[i].mask))
            return 0;
    return 1;
}

static int load_looked_at(StepperObject *self, PyObject *names) {
    self->looked_at_count = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        Span name;
        int found = -1;
        if (!text_span(PyTuple_GET_ITEM(names, i), &name))
            return 0;
        for (int j = 0; j < self->decoder->count; j++)
            if (same(name, self->decoder->names[j]))
                found = j;
        if (found < 0 || self->looked_at_count == MOST_FIELDS) {
            PyErr_SetString(PyExc_ValueError, "no such field of a page view");
            return 0;
        }
        self->looked_at[self->looked_at_count++] = found;
    }
    return 1;
}

static int stepper_init(StepperObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {
        "decoder",  "identity",     "lead_fields",  "fresh",       "groups",   "rules",       "paths",
        "bands",    "lowest_band",  "cells",        "thresholds",  "inactive_after", "times", "limits",
        "networks", "checks_bots",  "checks_internal", "looked_at", "versions", "partitions",  "remembered",
        "verdict",  "is_bot",       "is_internal",  "same_host",   "watched",  NULL};
    PyObject *decoder, *identity, *lead_fields, *fresh, *groups, *rules, *paths, *bands, *lowest, *cells, *inactive,
        *networks, *looked_at, *versions, *verdict, *is_bot, *is_internal, *same_host, *watched;
    Model *model = &self->model;
    long long ttl, grace;
    if (self->held) {
        PyErr_SetString(PyExc_RuntimeError, "a Stepper is made once");
        return -1;
    }
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "$O!UO!SO!O!O!O!UO!(ddddd)O(LL)(iiii)O!ppO!SiiOOOOO", names, &DecoderType, &decoder,
            &identity, &PyTuple_Type, &lead_fields, &fresh, &PyTuple_Type, &groups, &PyTuple_Type, &rules,
            &PyTuple_Type, &paths, &PyTuple_Type, &bands, &lowest, &PyTuple_Type, &cells, &model->high_fit,
            &model->warm, &model->hot, &model->mql_interest, &model->mql_fit, &inactive, &ttl, &grace,
            &model->strongest, &model->remembered_events, &model->max_age_days, &model->longest_text, &PyTuple_Type,
            &networks, &self->checks_bots, &self->checks_internal, &PyTuple_Type, &looked_at, &versions,
            &self->partitions, &self->remembered, &verdict, &is_bot, &is_internal, &same_host, &watched))
        return -1;
    self->held = PyTuple_Pack(7, identity, lead_fields, fresh, groups, rules, bands, lowest);
    self->decoder = (DecoderObject *)Py_NewRef(decoder);
    self->versions = Py_NewRef(versions);
    self->verdict = Py_NewRef(verdict);
    self->is_bot = Py_NewRef(is_bot);
    self->is_internal = Py_NewRef(is_internal);
    self->same_host = Py_NewRef(same_host);
    self->watched_by = Py_NewRef(watched);
    self->verdicts = PyDict_New();
    self->bots = PyDict_New();
    self->internals = PyDict_New();
    if (!self->held || !self->verdicts || !self->bots || !self->internals)
        return -1;
    model->visitor_ttl = ttl;
    model->grace = grace;
    model->has_inactivity = inactive != Py_None;
    model->inactive_after = model->has_inactivity ? PyLong_AsLongLong(inactive) : 0;
    if (PyErr_Occurred())
        return -1;
    model->fresh = bytes_span(fresh);
    if (!is_ms(ttl) || !is_ms(grace) || !is_ms(model->inactive_after)) {
        beyond("milliseconds of a duration");
        return -1;
    }
    if (model->strongest < 1 || model->strongest > STRONGEST_ROOM || self->partitions < 1 ||
        model->remembered_events < 1) {
        PyErr_SetString(PyExc_ValueError, "a limit is out of range");
        return -1;
    }
    return text_span(identity, &model->identity) && text_span(lowest, &model->lowest_band) &&
                   load_groups(model, groups) && load_rules(model, rules) && load_paths(model, paths) &&
                   load_bands(model, bands) && load_cells(model, cells) && load_places(model, lead_fields) &&
                   load_networks(self, networks) && load_looked_at(self, looked_at)
               ? 0
               : -1;
}

/* What follows answers 1 for yes, 0 for no, -1 with an error set. */

static int ask(PyObject *callable, PyObject *one, PyObject *other) {
    PyObject *answer = one && other ? PyObject_CallFunctionObjArgs(callable, one, other, NULL)
                       : one        ? PyObject_CallOneArg(callable, one)
                                    : NULL;
    int truth = answer ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return truth;
}

static PyObject *text_of(Span text) {
    return PyUnicode_DecodeUTF8((const char *)text.at, text.size, NULL);
}

static int remember(StepperObject *self, PyObject *known, PyObject *key, PyObject *answer) {
    if (PyDict_GET_SIZE(known) >= self->remembered)
        PyDict_Clear(known);
    return PyDict_SetItem(known, key, answer);
}

/* A yes or no about a text, remembered where it is not too long. */
static int ask_once(StepperObject *self, PyObject *known, PyObject *callable, Span text) {
    PyObject *key = text.size <= LONGEST_REMEMBERED ? PyBytes_FromStringAndSize((const char *)text.at, text.size) : NULL;
    if (PyErr_Occurred())
        return -1;
    PyObject *found = key ? PyDict_GetItemWithError(known, key) : NULL;
    int answer;
    if (found) {
        answer = found == Py_True;
    } else {
        PyObject *asked = PyErr_Occurred() ? NULL : text_of(text);
        answer = ask(callable, asked, NULL);
        Py_XDECREF(asked);
        if (answer >= 0 && key && remember(self, known, key, answer ? Py_True : Py_False) < 0)
            answer = -1;
    }
    Py_XDECREF(key);
    return answer;
}

/* An IPv4 address as it is always written. */
static int dotted_quad(Span text, uint32_t *address) {
    const uint8_t *p = text.at, *end = text.at + text.size;
    *address = 0;
    for (int part = 0; part < 4; part++) {
        const uint8_t *first = p;
        uint32_t number = 0;
        while (p < end && *p >= '0' && *p <= '9' && p - first < 3)
            number = number * 10 + (*p++ - '0');
        if (p == first || number > 255 || (*first == '0' && p - first > 1))
            return 0;
        *address = *address << 8 | number;
        if (part < 3 && (p >= end || *p++ != '.'))
            return 0;
    }
    return p == end;
}

static int is_internal(StepperObject *self, Span ip) {
    uint32_t address;
    if (!dotted_quad(ip, &address))
        return ask_once(self, self->internals, self->is_internal, ip);
    for (int i = 0; i < self->networks; i++)
        if ((address & self->network[i].mask) == self->network[i].network)
            return 1;
    return 0;
}

/* noise.noise_reason for a page view */
static int find_noise(StepperObject *self, const ViewObject *view, enum Reason *reason) {
    Span ip = view->fields[self->decoder->slot[IP]], agent = view->fields[self->decoder->slot[USER_AGENT]];
    *reason = NO_REASON;
    if (self->checks_internal && ip.size > 0) {
        int internal = is_internal(self, ip);
        if (internal)
            *reason = INTERNAL;
        if (internal)
            return internal < 0 ? 0 : 1;
    }
    if (self->checks_bots && agent.size > 0) {
        int bot = ask_once(self, self->bots, self->is_bot, agent);
        if (bot < 0)
            return 0;
        if (bot)
            *reason = BOT;
    }
    return 1;
}

/* The host of an address that is written plainly, or null: then it takes more to tell. */
static Span plain_host(Span url) {
    static const char scheme[] = "http";
    int64_t i = 0;
    for (; i < 4; i++)
        if (i >= url.size || (url.at[i] | 0x20) != (uint8_t)scheme[i])
            return NO_SPAN;
    if (i < url.size && (url.at[i] | 0x20) == 's')
        i++;
    if (url.size - i < 4 || memcmp(url.at + i, "://", 3) != 0)
        return NO_SPAN;
    int64_t first = i += 3;
    while (i < url.size && ((url.at[i] >= '0' && url.at[i] <= '9') || url.at[i] == '-' || url.at[i] == '.' ||
                            ((url.at[i] | 0x20) >= 'a' && (url.at[i] | 0x20) <= 'z')))
        i++;
    Span host = {url.at + first, i - first};
    if (i < url.size && url.at[i] == ':')
        for (i++; i < url.size && url.at[i] >= '0' && url.at[i] <= '9';)
            i++;
    int ends = i == url.size || url.at[i] == '/' || url.at[i] == '?' || url.at[i] == '#';
    return host.size && ends ? host : NO_SPAN;
}

static int on_same_host(StepperObject *self, Span one, Span other) {
    Span mine = plain_host(one), theirs = plain_host(other);
    if (mine.size > 0 && theirs.size > 0) {
        if (mine.size != theirs.size)
            return 0;
        for (int64_t i = 0; i < mine.size; i++) {
            uint8_t a = mine.at[i], b = theirs.at[i];
            if ((a >= 'A' && a <= 'Z' ? a | 0x20 : a) != (b >= 'A' && b <= 'Z' ? b | 0x20 : b))
                return 0;
        }
        return 1;
    }
    PyObject *first = text_of(one), *second = first ? text_of(other) : NULL;
    int answer = second ? ask(self->same_host, first, second) : -1;
    Py_XDECREF(first);
    Py_XDECREF(second);
    return answer;
}

/* What the verdict depends on, as one key. NULL without an error: too long to be remembered. */
static PyObject *verdict_key(const StepperObject *self, const ViewObject *view) {
    uint8_t key[LONGEST_REMEMBERED];
    Writer out = {key, key, key + sizeof key, 0};
    for (int i = 0; i < self->looked_at_count; i++) {
        Field field = view->fields[self->looked_at[i]];
        if (!field.at)
            write_nil(&out);
        else if (self->decoder->shapes[self->looked_at[i]].is_text)
            write_text(&out, field);
        else
            write_int(&out, field.size);
    }
    return out.full ? NULL : PyBytes_FromStringAndSize((const char *)key, out.at - key);
}

/* The indexes of the rules that give. False: an error, or (none set) more than there is room for. */
static int find_matching(StepperObject *self, const ViewObject *view, Findings *found) {
    PyObject *key = verdict_key(self, view), *verdict = NULL;
    if (key)
        verdict = Py_XNewRef(PyDict_GetItemWithError(self->verdicts, key));
    if (!verdict && !PyErr_Occurred()) {
        verdict = PyObject_CallOneArg(self->verdict, view->value);
        if (verdict && key && remember(self, self->verdicts, key, verdict) < 0)
            Py_CLEAR(verdict);
    }
    Py_XDECREF(key);
    if (!verdict)
        return 0;
    int fits = PyTuple_Check(verdict) && PyTuple_GET_SIZE(verdict) <= MOST_MATCHES;
    found->matches = fits ? (int)PyTuple_GET_SIZE(verdict) : 0;
    found->matching = self->matching;
    for (int i = 0; i < found->matches; i++) {
        long index = PyLong_AsLong(PyTuple_GET_ITEM(verdict, i));
        if (index < 0 || index >= self->model.rules)
            fits = 0;
        self->matching[i] = (int)index;
    }
    Py_DECREF(verdict);
    return fits;
}

/* due.watched, remembered for each kind of lead. NULL with an error set, or without one when there is no room. */
static const Watched *watched_of(StepperObject *self, int is_visitor, int low_touch, double fit) {
    for (int i = 0; i < self->watched_count; i++) {
        const Watched *one = &self->watched[i];
        if (one->is_visitor == is_visitor && one->low_touch == low_touch && one->fit == fit)
            return one;
    }
    PyObject *answer = PyObject_CallFunction(self->watched_by, "sid", is_visitor ? "visitor" : "lead", low_touch, fit);
    if (!answer)
        return NULL;
    if (self->watched_count == MOST_WATCHED)
        self->watched_count = 0;
    Watched *one = &self->watched[self->watched_count];
    *one = (Watched){.is_visitor = is_visitor, .low_touch = low_touch, .fit = fit};
    int fits = PyTuple_Check(answer) && PyTuple_GET_SIZE(answer) <= MOST_THRESHOLDS;
    for (Py_ssize_t i = 0; fits && i < PyTuple_GET_SIZE(answer); i++)
        one->thresholds[one->count++] = PyFloat_AsDouble(PyTuple_GET_ITEM(answer, i));
    Py_DECREF(answer);
    if (!fits || PyErr_Occurred())
        return NULL;
    self->watched_count++;
    return one;
}

static View facts_of(const StepperObject *self, const ViewObject *view) {
    const int *slot = self->decoder->slot;
#define FIELD(name) view->fields[slot[name]]
    return (View){.key = bytes_span(view->key),
                  .event_id = FIELD(EVENT_ID),
                  .url = FIELD(URL),
                  .referrer = FIELD(REFERRER),
                  .source = FIELD(SOURCE),
                  .medium = FIELD(MEDIUM),
                  .campaign = FIELD(CAMPAIGN),
                  .occurred_at = view->time,
                  .arrival = view->arrival,
                  .duration = FIELD(DURATION).size,
                  .has_duration = FIELD(DURATION).at != NULL};
#undef FIELD
}

/* The view meets the lead; `packed` null: nobody is known. The state is in self->out up to `out->at`. */
static enum Verdict take_view(StepperObject *self, const ViewObject *object, Span packed, int64_t known_due,
                              int64_t stream_time, Writer *out, Outcome *outcome) {
    const Model *model = &self->model;
    Lead *lead = &self->lead;
    int is_fresh = packed.size < 0;
    View view = facts_of(self, object);
    Writer room = {self->room, self->room, self->room + ROOM_BYTES, 0};
    uint8_t digest[DIGEST_SIZE];
    if (!read_lead(is_fresh ? model->fresh : packed, model->place, model->lead_fields, lead))
        return SLOW;
    int is_visitor = is_text(lead->stage, "visitor");
    if ((!is_visitor && !is_text(lead->stage, "lead")) || (!is_fresh && !same(lead->judged_by, model->identity)))
        return SLOW;
    int64_t at = later(view.occurred_at, stream_time - model->grace);
    if (!is_fresh) {
        at = later(at, lead->as_of);
        if (known_due && known_due <= at)
            return SLOW;
    }
    find_groups(lead, model);
    const Watched *watched = watched_of(self, is_visitor, lead->low_touch, lead->fit);
    if (!watched)
        return SLOW;
    event_digest(view.event_id, digest);
    outcome->ignored = NO_REASON;
    if (is_duplicate(lead, digest)) {
        outcome->ignored = DUPLICATE;
    } else {
        lead->as_of = at;
        if (!find_noise(self, object, &outcome->ignored))
            return SLOW;
    }
    if (outcome->ignored) {
        if (is_fresh)
            return NOTHING;
        return look_again_at(lead, model, at, is_visitor, watched->thresholds, watched->count, &outcome->due) &&
                       write_lead(out, lead, model, &view, NULL, 0)
                   ? DONE
                   : SLOW;
    }
    Findings found = {0};
    int own = view.referrer.size > 0 ? on_same_host(self, view.referrer, view.url) : 0;
    if (own < 0 || !find_matching(self, object, &found))
        return SLOW;
    lead->last_event = at;
    if (!remember_day(lead, view.occurred_at / DAY_MS, at / DAY_MS - model->max_age_days) ||
        !remember_touch(lead, model, &view, own, &room) ||
        !score_event(lead, model, &view, &found, &room, &outcome->ignored))
        return SLOW;
    if (!outcome->ignored && view.occurred_at > lead->last_scored) {
        lead->last_scored = view.occurred_at;
        lead->inactive = 0;
    }
    int knows_facts = !is_empty_map(lead->raw[model->place[FACTS]]) || !is_empty_array(lead->raw[model->place[BOOKINGS]]);
    return judged_unchanged(lead, model, at, is_visitor, knows_facts) &&
                   look_again_at(lead, model, at, is_visitor, watched->thresholds, watched->count, &outcome->due) &&
                   write_lead(out, lead, model, &view, digest, is_fresh)
               ? DONE
               : SLOW;
}

/* (payload, due) of a state that was written. */
static PyObject *packed_state(const StepperObject *self, const Writer *out, int64_t due) {
    PyObject *pair = PyTuple_New(2);
    PyObject *payload = PyBytes_FromStringAndSize((const char *)self->out, out->at - out->start);
    PyObject *when = due ? PyLong_FromLongLong(due) : Py_NewRef(Py_None);
    if (!pair || !payload || !when) {
        Py_XDECREF(pair);
        Py_XDECREF(payload);
        Py_XDECREF(when);
        return NULL;
    }
    PyTuple_SET_ITEM(pair, 0, payload);
    PyTuple_SET_ITEM(pair, 1, when);
    return pair;
}

/* The key's state as it is, the object that owns its bytes (a borrowed reference), and when it is due (0: never).
 * False: it is not for us, or an error is set. */
static int find_state(const StepperObject *self, PyObject *key, PyObject *values, PyObject *opened, PyObject *packed,
                      PyObject **owner, Span *state, int64_t *due) {
    *due = 0;
    *owner = NULL;
    if (PyDict_GET_SIZE(opened) && PyDict_Contains(opened, key))
        return 0;
    PyObject *found = PyDict_GetItemWithError(packed, key);
    if (found) {
        if (!PyTuple_Check(found) || PyTuple_GET_SIZE(found) != 2 || !PyBytes_Check(PyTuple_GET_ITEM(found, 0)))
            return 0;
        PyObject *when = PyTuple_GET_ITEM(found, 1);
        *owner = PyTuple_GET_ITEM(found, 0);
        *state = bytes_span(*owner);
        *due = when == Py_None ? 0 : PyLong_AsLongLong(when);
        return !PyErr_Occurred();
    }
    found = PyErr_Occurred() ? NULL : PyDict_GetItemWithError(values, key);
    if (!found) {
        *state = NO_SPAN;
        return !PyErr_Occurred();
    }
    Span envelope = PyBytes_Check(found) ? bytes_span(found) : NO_SPAN;
    Span versions = bytes_span(self->versions);
    if (envelope.size < HEAD_SIZE || !memchr(versions.at, envelope.at[0], (size_t)versions.size))
        return 0;
    *owner = found;
    *due = (int64_t)big(envelope.at + 1, 8);
    *state = (Span){envelope.at + HEAD_SIZE, envelope.size - HEAD_SIZE};
    return 1;
}

static PyObject *run(StepperObject *self, PyObject *args) {
    PyObject *items, *values, *opened, *packed, *stream_time_or_none;
    Py_ssize_t start, i;
    int partition;
    long long arrived = 0;
    if (!PyArg_ParseTuple(args, "O!nO!O!O!Oi", &PyList_Type, &items, &start, &PyDict_Type, &values, &PyDict_Type,
                          &opened, &PyDict_Type, &packed, &stream_time_or_none, &partition))
        return NULL;
    int has_time = stream_time_or_none != Py_None, moved = 0;
    long long stream_time = has_time ? PyLong_AsLongLong(stream_time_or_none) : 0;
    if (PyErr_Occurred())
        return NULL;
    for (i = start; is_ms(stream_time) && i < PyList_GET_SIZE(items); i++) {
        PyObject *owner, *pair = PyList_GET_ITEM(items, i);
        if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2 || Py_TYPE(PyTuple_GET_ITEM(pair, 1)) != &ViewType ||
            Py_SIZE(PyTuple_GET_ITEM(pair, 1)) != self->decoder->count)
            break;
        ViewObject *view = (ViewObject *)PyTuple_GET_ITEM(pair, 1);
        Span state;
        int64_t due;
        Writer out = {self->out, self->out, self->out + ROOM_BYTES, 0};
        Outcome outcome;
        if (!find_state(self, view->key, values, opened, packed, &owner, &state, &due))
            break;
        if (state.size < 0 &&
            (int)((murmur2(bytes_span(view->key)) & 0x7fffffff) % (uint32_t)self->partitions) != partition)
            break;
        /* What is asked of Python meanwhile may run anything: the bytes that are read must outlive it. */
        Py_XINCREF(owner);
        Py_INCREF(view);
        enum Verdict verdict = take_view(self, view, state, due, stream_time, &out, &outcome);
        PyObject *after = verdict == DONE ? packed_state(self, &out, outcome.due) : NULL;
        int failed = verdict == DONE && (!after || PyDict_SetItem(packed, view->key, after) < 0);
        if (verdict != SLOW && !failed) {
            self->ignored[outcome.ignored]++;
            if (!has_time || view->time > stream_time) {
                has_time = moved = 1;
                stream_time = view->time;
                arrived = view->arrival;
            }
        }
        Py_XDECREF(after);
        Py_XDECREF(owner);
        Py_DECREF(view);
        if (verdict == SLOW || failed)
            break;
    }
    if (PyErr_Occurred())
        return NULL;
    return moved ? Py_BuildValue("nLL", i, stream_time, arrived) : Py_BuildValue("nOO", i, Py_None, Py_None);
}

static PyObject *stepper_run(StepperObject *self, PyObject *args) {
    if (!self->held || self->is_running) { /* the lead at hand is the Stepper's own */
        PyErr_SetString(PyExc_RuntimeError, "a Stepper runs once at a time");
        return NULL;
    }
    self->is_running = 1;
    PyObject *ran = run(self, args);
    self->is_running = 0;
    return ran;
}

static PyObject *stepper_take_ignored(StepperObject *self, PyObject *Py_UNUSED(none)) {
    PyObject *counts = PyDict_New();
    for (int i = 1; counts && i < REASONS; i++) {
        if (!self->ignored[i])
            continue;
        PyObject *count = PyLong_FromLongLong(self->ignored[i]);
        if (!count || PyDict_SetItemString(counts, REASON_NAMES[i], count) < 0)
            Py_CLEAR(counts);
        Py_XDECREF(count);
        self->ignored[i] = 0;
    }
    return counts;
}

static PyMethodDef stepper_methods[] = {
    {"run", (PyCFunction)stepper_run, METH_VARARGS,
     "run(items, start, values, opened, packed, stream_time, partition): (next, stream time or None, arrival or None)"},
    {"take_ignored", (PyCFunction)stepper_take_ignored, METH_NOARGS,
     "take_ignored(): how many views were ignored since the last call, by reason"},
    {NULL, NULL, 0, NULL}};

static PyTypeObject StepperType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "streams.fastpath._native.Stepper",
    .tp_basicsize = sizeof(StepperObject),
    .tp_dealloc = (destructor)stepper_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Takes page views into packed leads, for one model.",
    .tp_methods = stepper_methods,
    .tp_init = (initproc)stepper_init,
    .tp_new = PyType_GenericNew,
};

/* ---- the module ---- */

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
    PyObject *made = PyModule_Create(&module);
    name_value = PyUnicode_InternFromString("value");
    name_key = PyUnicode_InternFromString("key");
    name_timestamp = PyUnicode_InternFromString("timestamp");
    if (!made || !name_value || !name_key || !name_timestamp || PyType_Ready(&ViewType) < 0 ||
        PyModule_AddType(made, &DecoderType) < 0 || PyModule_AddType(made, &StepperType) < 0 ||
        PyModule_AddObjectRef(made, "View", (PyObject *)&ViewType) < 0 ||
        PyModule_AddIntConstant(made, "REVISION", LEADSTREAM_REVISION) < 0) {
        Py_XDECREF(made);
        return NULL;
    }
    return made;
}
