/* What a page view gives to a lead: `streams.qualification.interest`, operation by operation. */
#ifndef LEADSTREAM_INTEREST_H
#define LEADSTREAM_INTEREST_H

#include <float.h>
#include <math.h>

#include "lead_memory.h"

/* Where doubles are kept wider than they are, or sums reordered, the outcome would not be Python's. */
#if !defined(FLT_EVAL_METHOD) || FLT_EVAL_METHOD != 0 || defined(__FAST_MATH__)
#error "floating point is not IEEE 754 double, operation by operation: page views go the long way"
#endif

static const Span PAGE_VIEW = {(const uint8_t *)"page_view", 9};

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
            if (same(text_at(&lead->names, lead->group[i].name), model->group[j].name))
                lead->group[i].model_group = j;
    }
}

static Limit *limit_of(Lead *lead, Span rule) {
    for (int i = 0; i < lead->limits; i++)
        if (same(text_at(&lead->names, lead->limit[i].name), rule))
            return &lead->limit[i];
    return NULL;
}

/* How often the rule gave on that day; -1 when the counts can't be read. */
static int64_t given_on(const Limit *limit, int64_t day) {
    uint64_t count;
    int64_t one, times;
    if (!limit)
        return 0;
    Reader in = {limit->days.at, limit->days.at + limit->days.size};
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
        Reader in = {limit->days.at, limit->days.at + limit->days.size};
        if (!read_map(&in, &count) || count >= MOST_DAYS)
            return 0;
        for (uint64_t i = 0; i < count; i++) {
            if (!read_int(&in, &days[i]) || !read_int(&in, &times[i]))
                return 0;
            known |= days[i] == day;
        }
    } else if (lead->limits < MOST_LIMITS) {
        limit = &lead->limit[lead->limits++];
        if (!find_place(&lead->names, rule->name, &limit->name))
            return 0;
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
    limit->days.at = room->at;
    write_map(room, (uint64_t)kept);
    for (int i = 0; i < kept; i++) {
        write_int(room, days[i]);
        write_int(room, times[i]);
    }
    limit->days.size = room->at - limit->days.at;
    return !room->full;
}

/* Whether their weights can be reckoned with. */
static int all_weigh(const Strongest *kept) {
    for (int i = 0; i < kept->count; i++)
        if (kept->given[i].points == 0)
            return 0;
    return 1;
}

/* interest._weight, compared as tuples. */
static int outweighs(const Lead *lead, const Given *one, const Given *other, const Group *group) {
    double mine = log2(fabs(one->points)) + (double)one->occurred_at / group->half_life;
    double theirs = log2(fabs(other->points)) + (double)other->occurred_at / group->half_life;
    if (mine != theirs)
        return mine > theirs;
    if (one->occurred_at != other->occurred_at)
        return one->occurred_at > other->occurred_at;
    return compare(text_at(&lead->names, one->name), text_at(&lead->names, other->name)) > 0;
}

/* interest.contribute */
static int contribute(Lead *lead, const Model *model, const Rule *rule, const View *view, double points) {
    const Group *group = &model->group[rule->group];
    int64_t at = view->occurred_at;
    LeadGroup *sum = NULL;
    for (int i = 0; i < lead->groups; i++)
        if (lead->group[i].model_group == rule->group)
            sum = &lead->group[i];
    if (!sum) {
        if (lead->groups == MOST_GROUPS)
            return 0;
        sum = &lead->group[lead->groups++];
        *sum = (LeadGroup){NOWHERE, points, at, rule->group};
        if (!find_place(&lead->names, group->name, &sum->name))
            return 0;
    } else if (at >= sum->as_of) {
        sum->value = value_at(sum->value, sum->as_of, at, group) + points;
        sum->as_of = at;
    } else {
        sum->value = sum->value + value_at(points, at, sum->as_of, group);
    }
    Strongest *kept = NULL;
    for (int i = 0; i < lead->strongest; i++)
        if (same(text_at(&lead->names, lead->strong[i].name), group->name))
            kept = &lead->strong[i];
    if (kept && (kept->count > model->strongest || !all_weigh(kept)))
        return 0;
    Span subject = view->url.size ? cut(view->url, model->longest_text) : NO_SPAN;
    Given one = {.booking = NOWHERE, .points = points, .occurred_at = at};
    if (!find_place(&lead->names, rule->name, &one.name))
        return 0;
    if (kept && kept->count == model->strongest && !outweighs(lead, &one, &kept->given[kept->count - 1], group))
        return 1;
    if (!kept) {
        if (lead->strongest == MOST_GROUPS)
            return 0;
        kept = &lead->strong[lead->strongest++];
        kept->count = 0;
        if (!find_place(&lead->names, group->name, &kept->name))
            return 0;
    }
    if (!find_place(&lead->names, PAGE_VIEW, &one.kind) || !find_place(&lead->subjects, subject, &one.subject))
        return 0;
    int place = kept->count;
    while (place && outweighs(lead, &one, &kept->given[place - 1], group))
        place--;
    if (kept->count < model->strongest)
        kept->count++;
    for (int i = kept->count - 1; i > place; i--)
        kept->given[i] = kept->given[i - 1];
    kept->given[place] = one;
    return 1;
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
static int score_event(Lead *lead, const Model *model, const View *view, const Answer *found, Writer *room,
                       enum Reason *ignored) {
    int64_t day = view->occurred_at / DAY_MS, oldest = lead->as_of / DAY_MS - model->max_age_days;
    int limited = 0, scored = 0;
    for (int i = 0; i < found->count; i++) {
        const Rule *rule = &model->rule[found->number[i]];
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
        if (!contribute(lead, model, rule, view, points))
            return 0;
    }
    *ignored = scored ? NO_REASON : !found->count ? UNMATCHED : limited ? EXHAUSTED : ZERO;
    return 1;
}

#endif
