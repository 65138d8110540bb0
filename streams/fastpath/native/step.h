/* A page view meets a packed lead: what `streams.qualification.step` does, where nothing but numbers changes.
 *
 * Everything that is not plain (something was due, a stage may change, a score is to be written) is left to the Python
 * that decides: SLOW, and nothing has happened. What is done here must be what Python would have done, byte for byte;
 * so the arithmetic is the same, operation by operation. Names are those of the Python modules. */
#ifndef LEADSTREAM_STEP_H
#define LEADSTREAM_STEP_H

#include <float.h>
#include <math.h>

#include "digests.h"
#include "lead.h"

/* Where doubles are kept wider than they are, or sums reordered, the outcome would not be Python's. */
#if !defined(FLT_EVAL_METHOD) || FLT_EVAL_METHOD != 0 || defined(__FAST_MATH__)
#error "floating point is not IEEE 754 double, operation by operation: page views go the long way"
#endif

#define MOST_RULES 64
#define MOST_MATCHES 16
#define MOST_BANDS 16
#define MOST_PATHS 32
#define MOST_THRESHOLDS 32

static const int64_t DAY_MS = 86400000;

typedef struct {
    Span name;
    double half_life, floor, cap; /* half_life in ms */
    int has_floor, has_cap;
} Group;

typedef struct {
    Span name;
    int group, has_points, per_at_most, at_most; /* at_most < 0: no limit */
    double points, each, per_points;
} Rule;

typedef struct {
    double fit, interest;
    int has_fit, has_fact, has_interest;
} Path;

typedef struct {
    Span name;
    double cut_off;
} Band;

enum Route { ROUTE_NONE, ROUTE_NURTURE, ROUTE_SALES, ROUTE_LOW_TOUCH };
static const char *const ROUTE_NAMES[] = {"NONE", "NURTURE", "SALES", "LOW_TOUCH"};

typedef struct {
    Span identity, lowest_band;
    int groups, rules, paths, bands;
    Group group[MOST_GROUPS];
    Rule rule[MOST_RULES];
    Path path[MOST_PATHS];
    Band band[MOST_BANDS];
    int has_inactivity;
    int64_t inactive_after, visitor_ttl, grace;
    double high_fit, warm, hot, mql_interest, mql_fit;
    enum Route cells[2][3]; /* high, low x cold, warm, hot */
    int strongest, remembered_events, max_age_days, longest_text;
    int place[ROLES], role_of[MOST_LEAD_FIELDS], lead_fields;
    Span fresh; /* a new lead, packed */
} Model;

/* The fields of a page view that are used here. */
typedef struct {
    Span key, event_id, url, referrer, source, medium, campaign;
    int64_t occurred_at; /* never after its arrival */
    int64_t arrival, duration;
    int has_duration;
} View;

enum Verdict { SLOW, DONE, NOTHING }; /* NOTHING: an unknown lead stays unknown */
enum Reason { NO_REASON, UNMATCHED, EXHAUSTED, ZERO, DUPLICATE, BOT, INTERNAL, REASONS };
static const char *const REASON_NAMES[REASONS] = {NULL, "unmatched", "exhausted", "zero", "duplicate", "bot",
                                                  "internal"};

/* What was found out about the view beforehand, and what comes of it. */
typedef struct {
    enum Reason noise;
    int own_referrer; /* the referrer is on the page's own host */
    int matches;
    const int *matching; /* indexes of rules */
} Findings;

typedef struct {
    int64_t due; /* 0: never */
    enum Reason ignored;
} Outcome;

static inline double value_at(double value, int64_t as_of, int64_t at, const Group *group) {
    return at == as_of ? value : value * exp2((double)(as_of - at) / group->half_life);
}

static inline double clamped(double value, const Group *group) {
    if (group->has_cap && value > group->cap)
        return group->cap;
    if (group->has_floor && value < group->floor)
        return group->floor;
    return value;
}

static double interest_at(const Lead *lead, const Model *model, int64_t at) {
    double total = 0.0;
    for (int i = 0; i < lead->groups; i++) {
        const LeadGroup *one = &lead->group[i];
        if (one->model_group >= 0) {
            const Group *group = &model->group[one->model_group];
            total += clamped(value_at(one->value, one->as_of, at, group), group);
        }
    }
    return total;
}

static void find_groups(Lead *lead, const Model *model) {
    for (int i = 0; i < lead->groups; i++) {
        lead->group[i].model_group = -1;
        for (int j = 0; j < model->groups; j++)
            if (same(lead->group[i].name, model->group[j].name))
                lead->group[i].model_group = j;
    }
}

static int is_duplicate(const Lead *lead, const uint8_t digest[DIGEST_SIZE]) {
    for (int64_t i = 0; i + DIGEST_SIZE <= lead->seen.size; i += DIGEST_SIZE)
        if (memcmp(lead->seen.at + i, digest, DIGEST_SIZE) == 0)
            return 1;
    return 0;
}

/* memory.remember_visit, without the touch. False when there is no room. */
static int remember_day(Lead *lead, int64_t day, int64_t oldest) {
    int place = 0, kept = 0;
    for (int i = 0; i < lead->visits; i++) {
        if (lead->visit[i] == day)
            return 1;
        if (i && lead->visit[i] < lead->visit[i - 1])
            return 0;
    }
    for (int i = 0; i < lead->visits; i++)
        if (lead->visit[i] >= oldest)
            lead->visit[kept++] = lead->visit[i];
    if (kept + 1 >= MOST_DAYS)
        return 0;
    while (place < kept && lead->visit[place] < day)
        place++;
    memmove(&lead->visit[place + 1], &lead->visit[place], sizeof lead->visit[0] * (size_t)(kept - place));
    lead->visit[place] = day;
    lead->visits = kept + 1;
    return 1;
}

static Limit *limit_of(Lead *lead, Span rule) {
    for (int i = 0; i < lead->limits; i++)
        if (same(lead->limit[i].name, rule))
            return &lead->limit[i];
    return NULL;
}

/* How often the rule gave on that day; -1 when the counts can't be read. */
static int64_t given_on(const Limit *limit, int64_t day) {
    uint64_t count;
    int64_t one, times;
    if (!limit)
        return 0;
    Reader in = {limit->raw.at, limit->raw.at + limit->raw.size};
    if (!read_map(&in, &count))
        return -1;
    while (count--) {
        if (!read_int(&in, &one) || !read_int(&in, &times))
            return -1;
        if (one == day)
            return times;
    }
    return 0;
}

/* interest._count: the rule's counts, written anew to `room`. */
static int count_day(Lead *lead, const Rule *rule, int64_t day, int64_t oldest, Writer *room) {
    int64_t days[MOST_DAYS], times[MOST_DAYS];
    uint64_t count = 0;
    int kept = 0, known = 0;
    Limit *limit = limit_of(lead, rule->name);
    if (limit) {
        Reader in = {limit->raw.at, limit->raw.at + limit->raw.size};
        if (!read_map(&in, &count) || count >= MOST_DAYS)
            return 0;
        for (uint64_t i = 0; i < count; i++) {
            if (!read_int(&in, &days[i]) || !read_int(&in, &times[i]))
                return 0;
            known |= days[i] == day;
        }
    } else if (lead->limits < MOST_LIMITS) {
        limit = &lead->limit[lead->limits++];
        limit->name = rule->name;
    } else {
        return 0;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!known && days[i] < oldest)
            continue;
        days[kept] = days[i];
        times[kept] = times[i] + (days[i] == day);
        kept++;
    }
    if (!known) {
        days[kept] = day;
        times[kept++] = 1;
    }
    limit->raw.at = room->at;
    write_map(room, (uint64_t)kept);
    for (int i = 0; i < kept; i++) {
        write_int(room, days[i]);
        write_int(room, times[i]);
    }
    limit->raw.size = room->at - limit->raw.at;
    return !room->full;
}

/* interest._weight, compared as tuples. */
static int outweighs(const Given *one, const Given *other, const Group *group) {
    double mine = log2(fabs(one->points)) + (double)one->occurred_at / group->half_life;
    double theirs = log2(fabs(other->points)) + (double)other->occurred_at / group->half_life;
    if (mine != theirs)
        return mine > theirs;
    if (one->occurred_at != other->occurred_at)
        return one->occurred_at > other->occurred_at;
    return compare(one->name, other->name) > 0;
}

/* interest.contribute */
static int contribute(Lead *lead, const Model *model, const Rule *rule, const View *view, double points, Writer *room) {
    const Group *group = &model->group[rule->group];
    int64_t at = view->occurred_at;
    LeadGroup *sum = NULL;
    for (int i = 0; i < lead->groups; i++)
        if (lead->group[i].model_group == rule->group)
            sum = &lead->group[i];
    if (!sum) {
        if (lead->groups == MOST_GROUPS)
            return 0;
        lead->group[lead->groups++] = (LeadGroup){group->name, points, at, rule->group};
    } else if (at >= sum->as_of) {
        sum->value = value_at(sum->value, sum->as_of, at, group) + points;
        sum->as_of = at;
    } else {
        sum->value = sum->value + value_at(points, at, sum->as_of, group);
    }
    Strongest *kept = NULL;
    for (int i = 0; i < lead->strongest; i++)
        if (same(lead->strong[i].name, group->name))
            kept = &lead->strong[i];
    if (kept && (!open_strongest(kept) || kept->count > model->strongest))
        return 0;
    Given one = {NO_SPAN, rule->name, points, at};
    if (kept && kept->count == model->strongest && !outweighs(&one, &kept->given[kept->count - 1], group))
        return 1;
    if (!kept) {
        if (lead->strongest == MOST_GROUPS)
            return 0;
        kept = &lead->strong[lead->strongest++];
        *kept = (Strongest){.name = group->name, .open = 1};
    }
    one.raw.at = room->at;
    write_array(room, 6);
    write_text(room, rule->name);
    write_text(room, (Span){(const uint8_t *)"page_view", 9});
    write_text(room, view->url.size ? cut(view->url, model->longest_text) : NO_SPAN);
    write_float(room, points);
    write_int(room, at);
    write_nil(room);
    one.raw.size = room->at - one.raw.at;
    int place = kept->count;
    while (place && outweighs(&one, &kept->given[place - 1], group))
        place--;
    if (kept->count < model->strongest)
        kept->count++;
    for (int i = kept->count - 1; i > place; i--)
        kept->given[i] = kept->given[i - 1];
    kept->given[place] = one;
    return !room->full;
}

/* float.__floordiv__ */
static double floor_division(double value, double by) {
    double rest = fmod(value, by), quotient = (value - rest) / by;
    if (rest && (by < 0) != (rest < 0))
        quotient -= 1.0;
    if (!quotient)
        return 0.0;
    double whole = floor(quotient);
    return quotient - whole > 0.5 ? whole + 1.0 : whole;
}

/* interest._measured */
static double measured(const Rule *rule, const View *view) {
    if (!view->has_duration || view->duration <= 0)
        return 0.0;
    double units = floor_division((double)view->duration, rule->each);
    if (rule->per_at_most >= 0 && units > rule->per_at_most)
        units = rule->per_at_most;
    return rule->per_points * units;
}

/* interest.score_event. False: SLOW. */
static int score_event(Lead *lead, const Model *model, const View *view, const Findings *found, Writer *room,
                       enum Reason *ignored) {
    int64_t day = view->occurred_at / DAY_MS, oldest = lead->as_of / DAY_MS - model->max_age_days;
    int limited = 0, scored = 0;
    for (int i = 0; i < found->matches; i++) {
        const Rule *rule = &model->rule[found->matching[i]];
        if (rule->at_most >= 0) {
            int64_t times = given_on(limit_of(lead, rule->name), day);
            if (times < 0)
                return 0;
            if (times >= rule->at_most) {
                limited = 1;
                continue;
            }
        }
        double points = rule->has_points ? rule->points : measured(rule, view);
        if (points == 0)
            continue;
        scored = 1;
        if (rule->at_most >= 0 && !count_day(lead, rule, day, oldest, room))
            return 0;
        if (!contribute(lead, model, rule, view, points, room))
            return 0;
    }
    *ignored = scored ? NO_REASON : !found->matches ? UNMATCHED : limited ? EXHAUSTED : ZERO;
    return 1;
}

static Span band_of(const Model *model, double fit) {
    for (int i = 0; i < model->bands; i++)
        if (fit >= model->band[i].cut_off)
            return model->band[i].name;
    return model->lowest_band;
}

static int is_text(Span text, const char *name) {
    return same(text, (Span){(const uint8_t *)name, (int64_t)strlen(name)});
}

/* lifecycle.judge, as far as it changes nothing. False: it may change something. */
static int judged_unchanged(const Lead *lead, const Model *model, int64_t at, int is_visitor, int knows_facts) {
    double interest = interest_at(lead, model, at), fit = lead->fit;
    for (int i = 0; i < model->paths; i++) {
        const Path *path = &model->path[i];
        if ((path->has_fit && fit < path->fit) || (path->has_fact && !knows_facts))
            continue;
        if (path->has_fact || !path->has_interest || interest >= path->interest)
            return 0;
    }
    if (fit >= model->mql_fit && interest >= model->mql_interest)
        return 0;
    const enum Route *row = model->cells[fit >= model->high_fit ? 0 : 1];
    enum Route route = row[interest >= model->hot ? 2 : interest >= model->warm ? 1 : 0];
    if (route == ROUTE_SALES)
        route = ROUTE_NURTURE;
    if (lead->low_touch ? route != ROUTE_LOW_TOUCH : route == ROUTE_LOW_TOUCH && !is_visitor)
        return 0;
    Span band = band_of(model, fit);
    if (!lead->is_written)
        return is_visitor && route == ROUTE_NONE && same(band, band_of(model, 0.0));
    return same(lead->written_stage, lead->stage) && is_text(lead->written_route, ROUTE_NAMES[route]) &&
           same(lead->written_band, band);
}

static inline int64_t later(int64_t one, int64_t other) {
    return one > other ? one : other;
}

/* due.look_again_at. False when an exact search is called for. */
static int look_again_at(const Lead *lead, const Model *model, int64_t after, int is_visitor, const double *thresholds,
                         int count, int64_t *due) {
    int64_t at = lead->as_of;
    *due = 0;
#define EARLIER(time)                       \
    do {                                    \
        int64_t instant = (time);           \
        if (!*due || instant < *due)        \
            *due = instant;                 \
    } while (0)
    if (model->has_inactivity && !lead->inactive && lead->last_scored)
        EARLIER(later(lead->last_scored + model->inactive_after, at));
    if (is_visitor)
        EARLIER(later(lead->last_event + model->visitor_ttl, at));
    double up = 0.0, down = 0.0, up_half_life = 0.0, down_half_life = 0.0;
    int parts = 0;
    for (int i = 0; i < lead->groups; i++) {
        const LeadGroup *one = &lead->group[i];
        if (one->model_group < 0)
            continue;
        const Group *group = &model->group[one->model_group];
        double read = clamped(value_at(one->value, one->as_of, at, group), group);
        parts = 1;
        if (read > 0) {
            up += read;
            if (!up_half_life || group->half_life < up_half_life)
                up_half_life = group->half_life;
        } else if (read < 0) {
            down -= read;
            if (!down_half_life || group->half_life < down_half_life)
                down_half_life = group->half_life;
        }
    }
    for (int i = 0; parts && i < count; i++) {
        double threshold = thresholds[i], wait;
        if (up - down >= threshold)
            wait = up_half_life * log2(up / (threshold + down));
        else if (up <= threshold || !down)
            continue;
        else
            wait = down_half_life * log2(down / (up - threshold));
        if (!(fabs(wait) < 4e18))
            return 0;
        int64_t quiet = at + (int64_t)wait - 1;
        if (quiet <= after)
            return 0;
        EARLIER(quiet);
    }
#undef EARLIER
    return 1;
}

static void write_touch(Writer *out, const Model *model, const View *view, Span referrer) {
    write_array(out, 6);
    write_text(out, cut(view->source, model->longest_text));
    write_text(out, cut(view->medium, model->longest_text));
    write_text(out, cut(view->campaign, model->longest_text));
    write_text(out, cut(referrer, model->longest_text));
    write_text(out, cut(view->url, model->longest_text));
    write_int(out, view->occurred_at);
}

/* memory._remember_touch: sets the raw bytes of the touches that change. */
static int remember_touch(Lead *lead, const Model *model, const View *view, int own_referrer, Writer *room) {
    Span referrer = own_referrer ? NO_SPAN : view->referrer;
    int direct = !(referrer.size > 0 || view->source.size > 0 || view->medium.size > 0 || view->campaign.size > 0);
    int is_first = !lead->first.known || view->occurred_at < lead->first.occurred_at, is_last;
    if (!lead->last.known)
        is_last = 1;
    else if (direct != lead->last.direct)
        is_last = !direct;
    else
        is_last = view->occurred_at >= lead->last.occurred_at;
    if (!is_first && !is_last)
        return 1;
    Span touch = {room->at, 0};
    write_touch(room, model, view, referrer);
    touch.size = room->at - touch.at;
    if (is_first)
        lead->raw[model->place[FIRST_TOUCH]] = touch;
    if (is_last)
        lead->raw[model->place[LAST_TOUCH]] = touch;
    return !room->full;
}

static void write_groups(Writer *out, const Lead *lead) {
    write_map(out, (uint64_t)lead->groups);
    for (int i = 0; i < lead->groups; i++) {
        write_text(out, lead->group[i].name);
        write_array(out, 2);
        write_float(out, lead->group[i].value);
        write_int(out, lead->group[i].as_of);
    }
}

static void write_strongest(Writer *out, const Lead *lead) {
    write_map(out, (uint64_t)lead->strongest);
    for (int i = 0; i < lead->strongest; i++) {
        const Strongest *one = &lead->strong[i];
        write_text(out, one->name);
        if (one->open) {
            write_array(out, (uint64_t)one->count);
            for (int j = 0; j < one->count; j++)
                write_raw(out, one->given[j].raw);
        } else {
            write_raw(out, one->raw);
        }
    }
}

static void write_limits(Writer *out, const Lead *lead) {
    write_map(out, (uint64_t)lead->limits);
    for (int i = 0; i < lead->limits; i++) {
        write_text(out, lead->limit[i].name);
        write_raw(out, lead->limit[i].raw);
    }
}

static void write_seen(Writer *out, const Lead *lead, const Model *model, const uint8_t *digest) {
    Span old = lead->seen;
    int64_t most = (int64_t)model->remembered_events * DIGEST_SIZE, total = old.size + DIGEST_SIZE;
    if (total > most) {
        int64_t dropped = total - most;
        old = (Span){old.at + dropped, old.size - dropped};
        total = most;
    }
    write_binary_head(out, total);
    write_raw(out, old);
    write_raw(out, (Span){digest, DIGEST_SIZE});
}

/* The lead as it is now. `digest` NULL: no event is remembered, and only `as_of` may have changed. */
static int write_lead(Writer *out, const Lead *lead, const Model *model, const View *view, const uint8_t *digest,
                      int is_fresh) {
    write_array(out, (uint64_t)lead->fields + 1);
    write_int(out, 0);
    for (int i = 0; i < lead->fields; i++) {
        int role = model->role_of[i];
        if (role == AS_OF)
            write_int(out, lead->as_of);
        else if (role == JUDGED_BY)
            write_text(out, model->identity);
        else if (!digest)
            write_raw(out, lead->raw[i]);
        else if (role == LEAD_ID && is_fresh)
            write_text(out, view->key);
        else if (role == STAGE_SINCE && is_fresh)
            write_int(out, view->occurred_at);
        else if (role == GROUPS)
            write_groups(out, lead);
        else if (role == STRONGEST)
            write_strongest(out, lead);
        else if (role == LIMITS)
            write_limits(out, lead);
        else if (role == SEEN)
            write_seen(out, lead, model, digest);
        else if (role == VISITS) {
            write_array(out, (uint64_t)lead->visits);
            for (int j = 0; j < lead->visits; j++)
                write_int(out, lead->visit[j]);
        } else if (role == LAST_SCORED)
            write_int(out, lead->last_scored);
        else if (role == INACTIVE)
            write_bool(out, lead->inactive);
        else if (role == LAST_EVENT)
            write_int(out, lead->last_event);
        else
            write_raw(out, lead->raw[i]);
    }
    return !out->full;
}

#endif
