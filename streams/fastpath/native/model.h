/* The model, and a page view, as far as they are looked at here. Names are those of the Python modules. */
#ifndef LEADSTREAM_MODEL_H
#define LEADSTREAM_MODEL_H

#include "lead.h"
#include "remembered.h"

#define MOST_RULES 64
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
    Layout layout;
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

#endif
