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

/* The key's lead comes to hand, a new one where nobody is known. False: it is none to be judged here. */
static int take_to_hand(StepperObject *self, const Slot *slot) {
    const Model *model = &self->model;
    Lead *lead = &self->lead;
    Span packed = slot->is_known ? slot->state : model->fresh;
    self->beside = (Writer){self->room, self->room, self->room + ROOM_BYTES, 0};
    if (!read_lead(packed, COMPACT, &model->layout, &self->beside, lead) || !is_plain(lead, &model->layout))
        return 0;
    self->is_visitor = is_text(lead->stage, "visitor");
    if ((!self->is_visitor && !is_text(lead->stage, "lead")) ||
        (slot->is_known && !same(lead->judged_by, model->identity)))
        return 0;
    find_groups(lead, model);
    return 1;
}

/* What is at hand becomes the slot's state. False: there is no room. */
static int put_back(StepperObject *self, Slot *slot) {
    Writer body = {self->body, self->body, self->body + ROOM_BYTES, 0};
    Writer out = {self->out, self->out, self->out + ROOM_BYTES, 0};
    return write_lead(&out, &body, COMPACT, &self->model.layout, &self->lead) &&
           keep_state(slot, (Span){self->out, out.at - out.start});
}

/* The view meets the lead at hand, which is half changed when it is SLOW. `due` is the lead's, before and after. */
static enum Verdict take_view(StepperObject *self, Turn *turn, int is_fresh, int64_t *due) {
    const Model *model = &self->model;
    Lead *lead = &self->lead;
    View view = facts_of(self, turn->view);
    uint8_t digest[DIGEST_SIZE];
    int64_t at = later(view.occurred_at, turn->stream_time - model->grace);
    if (!is_fresh) {
        at = later(at, lead->as_of);
        if (*due && *due <= at)
            return SLOW;
    }
    const Watched *watched = watched_of(self, self->is_visitor, lead->low_touch, lead->fit);
    if (!watched)
        return SLOW;
    event_digest(view.event_id, digest);
    turn->ignored = NO_REASON;
    if (is_duplicate(lead, digest)) {
        turn->ignored = DUPLICATE;
    } else {
        lead->as_of = at;
        if (!find_noise(self, turn->view, &turn->ignored))
            return SLOW;
    }
    if (turn->ignored) {
        if (is_fresh)
            return NOTHING;
        return look_again_at(lead, model, at, self->is_visitor, watched->thresholds, watched->count, due) ? DONE : SLOW;
    }
    Answer found;
    int own = view.referrer.size > 0 ? on_same_host(self, view.referrer, view.url) : 0;
    if (own < 0 || !find_matching(self, turn->view, &found))
        return SLOW;
    lead->last_event = at;
    if (is_fresh) {
        lead->id = view.key;
        lead->stage_since = view.occurred_at;
        lead->judged_by = model->identity;
    }
    remember_event(lead, model, digest, &self->beside);
    if (self->beside.full || !remember_touch(lead, model, &view, own) ||
        !remember_day(lead, view.occurred_at / DAY_MS, at / DAY_MS - model->max_age_days) ||
        !score_event(lead, model, &view, &found, &self->beside, &turn->ignored))
        return SLOW;
    if (!turn->ignored && view.occurred_at > lead->last_scored) {
        lead->last_scored = view.occurred_at;
        lead->inactive = 0;
    }
    int knows_facts = !is_nothing(lead, &model->layout, FACTS) || !is_nothing(lead, &model->layout, BOOKINGS);
    return judged_unchanged(lead, model, at, self->is_visitor, knows_facts) &&
                   look_again_at(lead, model, at, self->is_visitor, watched->thresholds, watched->count, due)
               ? DONE
               : SLOW;
}

/* What came of a few views of one key. */
typedef struct {
    int taken, next; /* how many were; the turn after them */
    int is_slow, is_changed;
    int64_t due;
} Go;

/* Up to `most` views of a key, from a turn on: its lead is at hand then. */
static Go take_views(StepperObject *self, const Slot *slot, int turn, int most) {
    Go go = {.next = turn, .due = slot->due};
    int is_fresh = !slot->is_known;
    go.is_slow = !take_to_hand(self, slot);
    while (!go.is_slow && go.taken < most && go.next != NO_TURN) {
        enum Verdict verdict = take_view(self, &self->window.turn[go.next], is_fresh, &go.due);
        go.is_slow = verdict == SLOW;
        if (go.is_slow)
            break;
        if (verdict == DONE) {
            go.is_changed = 1;
            is_fresh = 0;
        } else { /* a new lead again */
            go.is_slow = !take_to_hand(self, slot);
        }
        go.taken++;
        go.next = self->window.turn[go.next].next;
    }
    return go;
}

/* All views of a key. What is SLOW is left to Python, with all that follows for it. */
static void take_slot(StepperObject *self, Slot *slot) {
    Window *window = &self->window;
    int turn = slot->first;
    while (turn != NO_TURN && !slot->is_closed && !self->failed) {
        Go go = take_views(self, slot, turn, MOST_AT_HAND);
        slot->is_closed = go.is_slow;
        if (go.is_slow && go.taken && !self->failed) /* the lead as it was before the one that is slow */
            go = take_views(self, slot, turn, go.taken);
        if (go.is_slow || (go.is_changed && !put_back(self, slot))) {
            slot->is_closed = 1;
            break;
        }
        slot->due = go.due;
        for (; turn != go.next; turn = window->turn[turn].next)
            self->ignored[window->turn[turn].ignored]++;
    }
    for (; turn != NO_TURN; turn = window->turn[turn].next)
        window->turn[turn].is_left = 1;
}

typedef struct {
    int has_time, moved;
    int64_t stream_time, arrived;
} Clock;

/* Stream time moves with each view, whatever comes of it. */
static void note_times(Window *window, Clock *clock) {
    for (int i = 0; i < window->count; i++) {
        Turn *turn = &window->turn[i];
        turn->has_time = clock->has_time;
        turn->stream_time = clock->stream_time;
        if (!clock->has_time || turn->view->time > clock->stream_time) {
            clock->has_time = clock->moved = 1;
            clock->stream_time = turn->view->time;
            clock->arrived = turn->view->arrival;
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
        note_times(window, &clock);
        for (int i = 0; i < window->slots && !self->failed; i++)
            take_slot(self, &window->slot[i]);
        take_lock(self);
    }
    if (!self->failed && write_back(self, window, in.packed, &made) && (left = left_of(window, start))) {
        Py_ssize_t next = start + window->count;
        if (clock.moved)
            ran = Py_BuildValue("nLLnN", next, (long long)clock.stream_time, (long long)clock.arrived, made, left);
        else
            ran = Py_BuildValue("nOOnN", next, Py_None, Py_None, made, left);
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
