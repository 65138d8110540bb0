/* A Stepper as it is made: the model, as streams/fastpath/pageviews.py describes it. */
#ifndef LEADSTREAM_LOADING_H
#define LEADSTREAM_LOADING_H

#include "decoder.h"
#include "forms.h"
#include "model.h"

#define MOST_WATCHED 64
#define MOST_NETWORKS 64
/* As many as the engine handles at a time. */
#define MOST_VIEWS 1024
/* Views of one key that are taken before its lead is packed again: each may bring some texts. */
#define MOST_AT_HAND 32
/* From so many on the interpreter's lock is let go: they take some tens of microseconds. */
#define MANY_VIEWS 32

typedef struct {
    int is_visitor, low_touch, count;
    double fit, thresholds[MOST_THRESHOLDS];
} Watched;

typedef struct {
    uint32_t network, mask;
} Network;

/* What is known of a key in a window: views go from state to state, in `room` once there is a new one. */
typedef struct {
    PyObject *key, *owner; /* of what `state` was at first, where it is not the table's */
    Py_hash_t hash;
    Span state;
    int64_t due; /* 0: never */
    int is_closed, is_changed, is_new, is_known; /* is_new: not known when the window was opened */
    int first, last; /* of its views */
    uint8_t *room;
    int64_t room_size;
} Slot;

/* A view in its turn: the next of the same key, the stream time before it, and what came of it. */
typedef struct {
    ViewObject *view;
    Py_hash_t hash;
    int next, has_time, is_left; /* next: NO_TURN for none */
    int64_t stream_time;
    enum Reason ignored;
} Turn;

#define NO_TURN (-1)

typedef struct {
    int count, slots;
    Turn turn[MOST_VIEWS];
    Slot slot[MOST_VIEWS];
    uint16_t table[2 * MOST_VIEWS]; /* by hash: a slot's place plus one, 0 for none */
} Window;

/* Where leads are, and whose they are. */
typedef struct {
    TableObject *values;
    PyObject *opened, *packed;
    int partition;
} Places;

typedef struct {
    PyObject_HEAD
    DecoderObject *decoder;
    PyObject *versions; /* of envelopes, a byte each */
    PyObject *held; /* owns the bytes that spans of the model point into */
    PyObject *verdict, *is_bot, *is_internal, *same_host, *watched_by;
    Remembered verdicts, bots, internals;
    PyThreadState *thread; /* while the interpreter's lock is let go */
    int looked_at_count, looked_at[MOST_FIELDS];
    int checks_bots, checks_internal, networks, partitions, version;
    Network network[MOST_NETWORKS];
    Model model;
    Watched watched[MOST_WATCHED];
    int watched_count;
    long long ignored[REASONS];
    int is_running, lets_lock_go, failed; /* failed: an error is set */
    Window window;
    Lead lead; /* the one at hand */
    int is_visitor;
    Writer beside; /* for what its spans point to and nobody else has */
    uint8_t room[ROOM_BYTES], body[ROOM_BYTES], out[ROOM_BYTES];
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
    forget(&self->verdicts);
    forget(&self->bots);
    forget(&self->internals);
    for (int i = 0; i < MOST_VIEWS; i++)
        free(self->window.slot[i].room);
    Py_TYPE(self)->tp_free((PyObject *)self);
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
        "networks", "checks_bots",  "checks_internal", "looked_at", "versions", "version", "partitions",  "remembered",
        "verdict",  "is_bot",       "is_internal",  "same_host",   "watched",  NULL};
    PyObject *decoder, *identity, *lead_fields, *fresh, *groups, *rules, *paths, *bands, *lowest, *cells, *inactive,
        *networks, *looked_at, *versions, *verdict, *is_bot, *is_internal, *same_host, *watched;
    Model *model = &self->model;
    long long ttl, grace;
    int remembered;
    if (self->held) {
        PyErr_SetString(PyExc_RuntimeError, "a Stepper is made once");
        return -1;
    }
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "$O!UO!SO!O!O!O!UO!(ddddd)O(LL)(iiii)O!ppO!SiiiOOOOO", names, &DecoderType, &decoder,
            &identity, &PyTuple_Type, &lead_fields, &fresh, &PyTuple_Type, &groups, &PyTuple_Type, &rules,
            &PyTuple_Type, &paths, &PyTuple_Type, &bands, &lowest, &PyTuple_Type, &cells, &model->high_fit,
            &model->warm, &model->hot, &model->mql_interest, &model->mql_fit, &inactive, &ttl, &grace,
            &model->strongest, &model->remembered_events, &model->max_age_days, &model->longest_text, &PyTuple_Type,
            &networks, &self->checks_bots, &self->checks_internal, &PyTuple_Type, &looked_at, &versions,
            &self->version, &self->partitions, &remembered, &verdict, &is_bot, &is_internal, &same_host, &watched))
        return -1;
    self->held = PyTuple_Pack(7, identity, lead_fields, fresh, groups, rules, bands, lowest);
    self->decoder = (DecoderObject *)Py_NewRef(decoder);
    self->versions = Py_NewRef(versions);
    self->verdict = Py_NewRef(verdict);
    self->is_bot = Py_NewRef(is_bot);
    self->is_internal = Py_NewRef(is_internal);
    self->same_host = Py_NewRef(same_host);
    self->watched_by = Py_NewRef(watched);
    self->verdicts.most = self->bots.most = self->internals.most = (size_t)remembered;
    if (!self->held)
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
        model->remembered_events < 1 || remembered < 1) {
        PyErr_SetString(PyExc_ValueError, "a limit is out of range");
        return -1;
    }
    return text_span(identity, &model->identity) && text_span(lowest, &model->lowest_band) &&
                   load_groups(model, groups) && load_rules(model, rules) && load_paths(model, paths) &&
                   load_bands(model, bands) && load_cells(model, cells) && load_layout(&model->layout, lead_fields) &&
                   load_networks(self, networks) && load_looked_at(self, looked_at)
               ? 0
               : -1;
}

#endif
