/* Stepper: takes page views into packed leads, as `streams.qualification.step` does, where nothing but numbers changes.
 *
 * Everything that is not plain (something was due, a stage may change, a score is to be written) is left to the Python
 * that decides: SLOW, and nothing has happened. What is done here must be what Python would have done, byte for byte;
 * so the arithmetic is the same, operation by operation. */
#ifndef LEADSTREAM_STEPPER_H
#define LEADSTREAM_STEPPER_H

#include "findings.h"
#include "judgement.h"
#include "reading.h"
#include "window.h"
#include "writing.h"

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

/* Whether the field is nil, 0 or empty. */
static int is_nothing(const Lead *lead, const Layout *layout, enum Role role) {
    const Span *raw = raw_of(lead, layout, role);
    return raw->size == 1 && memchr("\xc0\x00\x80\x90", raw->at[0], 4);
}

/* Whether it is a lead of the kind that is judged here. */
static int is_plain(const Lead *lead, const Layout *layout) {
    for (int i = 0; i < lead->groups; i++)
        if (lead->group[i].as_of > lead->as_of)
            return 0;
    return is_nothing(lead, layout, EPISODE) && is_nothing(lead, layout, RESTING_UNTIL) &&
           is_nothing(lead, layout, PERSONA) && is_nothing(lead, layout, ERASED);
}

static int write_at_hand(StepperObject *self, Writer *out) {
    Writer body = {self->body, self->body, self->body + ROOM_BYTES, 0};
    return write_lead(out, &body, COMPACT, &self->model.layout, &self->lead);
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
    if (!read_lead(is_fresh ? model->fresh : packed, COMPACT, &model->layout, &room, lead) ||
        !is_plain(lead, &model->layout))
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
                       write_at_hand(self, out)
                   ? DONE
                   : SLOW;
    }
    Answer found;
    int own = view.referrer.size > 0 ? on_same_host(self, view.referrer, view.url) : 0;
    if (own < 0 || !find_matching(self, object, &found))
        return SLOW;
    lead->last_event = at;
    if (is_fresh) {
        lead->id = view.key;
        lead->stage_since = view.occurred_at;
        lead->judged_by = model->identity;
    }
    remember_event(lead, model, digest, &room);
    if (room.full || !remember_touch(lead, model, &view, own) ||
        !remember_day(lead, view.occurred_at / DAY_MS, at / DAY_MS - model->max_age_days) ||
        !score_event(lead, model, &view, &found, &room, &outcome->ignored))
        return SLOW;
    if (!outcome->ignored && view.occurred_at > lead->last_scored) {
        lead->last_scored = view.occurred_at;
        lead->inactive = 0;
    }
    int knows_facts = !is_nothing(lead, &model->layout, FACTS) || !is_nothing(lead, &model->layout, BOOKINGS);
    return judged_unchanged(lead, model, at, is_visitor, knows_facts) &&
                   look_again_at(lead, model, at, is_visitor, watched->thresholds, watched->count, &outcome->due) &&
                   write_at_hand(self, out)
               ? DONE
               : SLOW;
}

typedef struct {
    int has_time, moved;
    int64_t stream_time, arrived;
} Clock;

static void leave(Window *window, int place, const Clock *clock) {
    window->left_one[window->left++] = (Left){place, clock->has_time, clock->stream_time};
}

/* Take the window's views, without the interpreter's lock where they are many. What is left for a key is left with all
 * that follows for it. */
static void take_window(StepperObject *self, Clock *clock) {
    Window *window = &self->window;
    for (int i = 0; i < window->count && !self->failed; i++) {
        const ViewObject *view = window->view[i];
        Slot *slot = window->at[i];
        Writer out = {self->out, self->out, self->out + ROOM_BYTES, 0};
        Outcome outcome;
        enum Verdict verdict = SLOW;
        if (!slot->is_closed)
            verdict = take_view(self, view, slot->state, slot->due, clock->stream_time, &out, &outcome);
        if (verdict == DONE && !keep_state(slot, (Span){self->out, out.at - out.start}, outcome.due))
            verdict = SLOW;
        if (verdict == SLOW) {
            slot->is_closed = 1;
            leave(window, i, clock);
        } else {
            self->ignored[outcome.ignored]++;
        }
        if (!clock->has_time || view->time > clock->stream_time) {
            clock->has_time = clock->moved = 1;
            clock->stream_time = view->time;
            clock->arrived = view->arrival;
        }
    }
}

static PyObject *run(StepperObject *self, PyObject *args) {
    PyObject *items, *values, *stream_time, *left = NULL, *ran = NULL;
    Py_ssize_t start, made = 0;
    Places in;
    Clock clock = {0};
    if (!PyArg_ParseTuple(args, "O!nO!O!O!Oi", &PyList_Type, &items, &start, table_type, &values, &PyDict_Type,
                          &in.opened, &PyDict_Type, &in.packed, &stream_time, &in.partition))
        return NULL;
    in.values = (TableObject *)values;
    clock.has_time = stream_time != Py_None;
    clock.stream_time = clock.has_time ? PyLong_AsLongLong(stream_time) : 0;
    if (PyErr_Occurred())
        return NULL;
    Window *window = &self->window;
    if (!is_ms(clock.stream_time))
        return Py_BuildValue("nOOi[]", start, Py_None, Py_None, 0);
    self->failed = !open_window(self, window, &in, items, start);
    if (!self->failed) {
        self->lets_lock_go = window->count >= MANY_VIEWS;
        let_lock_go(self);
        take_window(self, &clock);
        take_lock(self);
    }
    if (!self->failed && write_back(self, window, in.packed, &made) && (left = left_of(window, start))) {
        Py_ssize_t next = start + window->count;
        ran = clock.moved ? Py_BuildValue("nLLnN", next, (long long)clock.stream_time, (long long)clock.arrived, made, left)
                          : Py_BuildValue("nOOnN", next, Py_None, Py_None, made, left);
    }
    close_window(window, &in);
    return ran;
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
     "run(items, start, values, opened, packed, stream_time, partition): (next, stream time or None, arrival or None, "
     "how many keys are new, [(place, stream time before or None)] of what is left)"},
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
