/* Stepper: takes page views into packed leads, as `streams.qualification.step` does, where nothing but numbers changes.
 *
 * Everything that is not plain (something was due, a stage may change, a score is to be written) is left to the Python
 * that decides: SLOW, and nothing has happened. What is done here must be what Python would have done, byte for byte;
 * so the arithmetic is the same, operation by operation. */
#ifndef LEADSTREAM_STEPPER_H
#define LEADSTREAM_STEPPER_H

#include "findings.h"
#include "judgement.h"
#include "writing.h"

#define HEAD_SIZE 13

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

#endif
