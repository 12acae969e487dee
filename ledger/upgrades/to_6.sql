-- Tables of samples are shown in four orders. The index of each also has all columns of the filters, so that a million rows
-- are neither read nor sorted.
--
-- Totals make the numbers of a run available in constant time. Triggers update them with every row, in its transaction,
-- whoever writes it. A result that is replaced is subtracted; calls are only ever added. Lengths are in classes, each twice
-- as long as the one before. Latencies count by their first three digits, so a percentile is within half a percent; the
-- calls of a second of the clock count together. A round visits a step with the first of its calls there: after a failure,
-- or a verdict that cannot be read, it makes more.

CREATE INDEX results_by_position ON results (position, mode, status, accepted_rounds, contradictions, original_tokens, final_tokens);

CREATE INDEX results_by_accepted ON results (accepted_rounds, position, mode, status, contradictions, original_tokens, final_tokens);

CREATE INDEX results_by_growth ON results (CAST(final_tokens AS REAL) / max(original_tokens, 1), position, mode, status, accepted_rounds, contradictions, original_tokens, final_tokens);

CREATE INDEX results_by_length ON results (final_tokens, position, mode, status, accepted_rounds, contradictions, original_tokens);

CREATE INDEX calls_uncounted ON calls (number) WHERE input_tokens IS NULL OR output_tokens IS NULL;

DROP INDEX results_at_a_glance;

CREATE TABLE result_totals (
    mode TEXT, status TEXT, changed INTEGER, original_class INTEGER, final_class INTEGER,
    results INTEGER, exchanges INTEGER, original_tokens INTEGER, final_tokens INTEGER,
    ratios INTEGER, doubled INTEGER,
    PRIMARY KEY (mode, status, changed, original_class, final_class)
) WITHOUT ROWID;

CREATE TABLE exchange_totals (
    mode TEXT, ending TEXT, accepted_rounds INTEGER, failure TEXT, exchanges INTEGER,
    PRIMARY KEY (mode, ending, accepted_rounds, failure)
) WITHOUT ROWID;

CREATE TABLE round_totals (
    mode TEXT, forward TEXT, reversed TEXT, accepted INTEGER, rounds INTEGER,
    PRIMARY KEY (mode, forward, reversed, accepted)
) WITHOUT ROWID;

CREATE TABLE call_totals (
    mode TEXT, step TEXT, model TEXT,
    calls INTEGER, failed INTEGER, attempts INTEGER, uncounted INTEGER, input_tokens INTEGER,
    cached_tokens INTEGER, output_tokens INTEGER, shortened INTEGER, started REAL, latency REAL,
    visits INTEGER, first_visits INTEGER,
    PRIMARY KEY (mode, step, model)
) WITHOUT ROWID;

CREATE TABLE latency_totals (
    mode TEXT, step TEXT, model TEXT, latency REAL, calls INTEGER,
    PRIMARY KEY (mode, step, model, latency)
) WITHOUT ROWID;

CREATE TABLE second_totals (second INTEGER PRIMARY KEY, calls INTEGER);

INSERT INTO result_totals
SELECT mode, status, accepted_rounds > 0, CASE WHEN original_tokens < 16 THEN 0 WHEN original_tokens < 32 THEN 1 WHEN original_tokens < 64 THEN 2 WHEN original_tokens < 128 THEN 3 WHEN original_tokens < 256 THEN 4 WHEN original_tokens < 512 THEN 5 WHEN original_tokens < 1024 THEN 6 WHEN original_tokens < 2048 THEN 7 WHEN original_tokens < 4096 THEN 8 ELSE 9 END, CASE WHEN final_tokens < 16 THEN 0 WHEN final_tokens < 32 THEN 1 WHEN final_tokens < 64 THEN 2 WHEN final_tokens < 128 THEN 3 WHEN final_tokens < 256 THEN 4 WHEN final_tokens < 512 THEN 5 WHEN final_tokens < 1024 THEN 6 WHEN final_tokens < 2048 THEN 7 WHEN final_tokens < 4096 THEN 8 ELSE 9 END,
     count(*),  sum(exchanges),  sum(original_tokens),  sum(final_tokens),
     sum(original_tokens > 0),
     sum(original_tokens > 0 AND final_tokens > 2 * original_tokens)
FROM results AS one WHERE true GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (mode, status, changed, original_class, final_class) DO UPDATE SET
    results = results + excluded.results, exchanges = exchanges + excluded.exchanges,
    original_tokens = original_tokens + excluded.original_tokens,
    final_tokens = final_tokens + excluded.final_tokens,
    ratios = ratios + excluded.ratios, doubled = doubled + excluded.doubled;

INSERT INTO exchange_totals
SELECT mode, json_extract(exchange.value, '$.ending'), json_extract(exchange.value, '$.accepted_rounds'),
    coalesce(json_extract(exchange.value, '$.failure.reason'), ''),  count(*)
FROM results AS one, json_each(outcome) AS exchange WHERE true GROUP BY 1, 2, 3, 4
ON CONFLICT (mode, ending, accepted_rounds, failure) DO UPDATE SET
    exchanges = exchanges + excluded.exchanges;

INSERT INTO round_totals
SELECT mode, CASE sign(json_extract(round.value, '$.forward.points[0]') - json_extract(round.value, '$.forward.points[1]')) WHEN 1 THEN 'current' WHEN -1 THEN 'draft' WHEN 0 THEN 'neither' ELSE 'unreadable' END,
    CASE json_type(round.value, '$.reversed') WHEN 'null' THEN 'not asked' ELSE CASE sign(json_extract(round.value, '$.reversed.points[1]') - json_extract(round.value, '$.reversed.points[0]')) WHEN 1 THEN 'current' WHEN -1 THEN 'draft' WHEN 0 THEN 'neither' ELSE 'unreadable' END END,
    json_extract(round.value, '$.accepted'),  count(*)
FROM results AS one, json_each(outcome) AS exchange, json_each(exchange.value, '$.rounds') AS round
WHERE json_type(round.value, '$.forward') = 'object' GROUP BY 1, 2, 3, 4
ON CONFLICT (mode, forward, reversed, accepted) DO UPDATE SET rounds = rounds + excluded.rounds;

INSERT INTO call_totals
SELECT mode, step, model, count(*), sum(failure IS NOT NULL), sum(attempts), sum(NOT counted),
    sum(CASE WHEN counted THEN input_tokens ELSE 0 END),
    sum(CASE WHEN counted THEN coalesce(cached_tokens, 0) ELSE 0 END),
    sum(CASE WHEN counted THEN output_tokens ELSE 0 END),
    count(shortened_to), sum(CASE WHEN counted THEN started ELSE 0 END),
    sum(latency), sum(first), sum(first AND round = 1)
FROM (
    SELECT *, input_tokens IS NOT NULL AND output_tokens IS NOT NULL AS counted, NOT EXISTS (
        SELECT 1 FROM calls AS earlier
        WHERE earlier.sample = one.sample AND earlier.mode = one.mode AND earlier.step = one.step
            AND earlier.exchange = one.exchange AND earlier.round = one.round
            AND earlier.number < one.number
    ) AS first
    FROM calls AS one
) WHERE true GROUP BY 1, 2, 3
ON CONFLICT (mode, step, model) DO UPDATE SET
    calls = calls + excluded.calls, failed = failed + excluded.failed,
    attempts = attempts + excluded.attempts, uncounted = uncounted + excluded.uncounted,
    input_tokens = input_tokens + excluded.input_tokens,
    cached_tokens = cached_tokens + excluded.cached_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    shortened = shortened + excluded.shortened, started = started + excluded.started,
    latency = latency + excluded.latency, visits = visits + excluded.visits,
    first_visits = first_visits + excluded.first_visits;

INSERT INTO latency_totals
SELECT mode, step, model, CAST(printf('%.2e', latency) AS REAL), count(*)
FROM calls AS one WHERE true GROUP BY 1, 2, 3, 4
ON CONFLICT (mode, step, model, latency) DO UPDATE SET calls = calls + excluded.calls;

INSERT INTO second_totals
SELECT CAST(started + latency AS INTEGER), count(*) FROM calls AS one WHERE true GROUP BY 1
ON CONFLICT (second) DO UPDATE SET calls = calls + excluded.calls;

CREATE TRIGGER result_added AFTER INSERT ON results BEGIN
    INSERT INTO result_totals
    SELECT mode, status, accepted_rounds > 0, CASE WHEN original_tokens < 16 THEN 0 WHEN original_tokens < 32 THEN 1 WHEN original_tokens < 64 THEN 2 WHEN original_tokens < 128 THEN 3 WHEN original_tokens < 256 THEN 4 WHEN original_tokens < 512 THEN 5 WHEN original_tokens < 1024 THEN 6 WHEN original_tokens < 2048 THEN 7 WHEN original_tokens < 4096 THEN 8 ELSE 9 END, CASE WHEN final_tokens < 16 THEN 0 WHEN final_tokens < 32 THEN 1 WHEN final_tokens < 64 THEN 2 WHEN final_tokens < 128 THEN 3 WHEN final_tokens < 256 THEN 4 WHEN final_tokens < 512 THEN 5 WHEN final_tokens < 1024 THEN 6 WHEN final_tokens < 2048 THEN 7 WHEN final_tokens < 4096 THEN 8 ELSE 9 END,
         count(*),  sum(exchanges),  sum(original_tokens),  sum(final_tokens),
         sum(original_tokens > 0),
         sum(original_tokens > 0 AND final_tokens > 2 * original_tokens)
    FROM (SELECT NEW.mode AS mode, NEW.status AS status, NEW.accepted_rounds AS accepted_rounds, NEW.exchanges AS exchanges, NEW.original_tokens AS original_tokens, NEW.final_tokens AS final_tokens, NEW.outcome AS outcome) AS one WHERE true GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (mode, status, changed, original_class, final_class) DO UPDATE SET
        results = results + excluded.results, exchanges = exchanges + excluded.exchanges,
        original_tokens = original_tokens + excluded.original_tokens,
        final_tokens = final_tokens + excluded.final_tokens,
        ratios = ratios + excluded.ratios, doubled = doubled + excluded.doubled
    ;
    INSERT INTO exchange_totals
    SELECT mode, json_extract(exchange.value, '$.ending'), json_extract(exchange.value, '$.accepted_rounds'),
        coalesce(json_extract(exchange.value, '$.failure.reason'), ''),  count(*)
    FROM (SELECT NEW.mode AS mode, NEW.status AS status, NEW.accepted_rounds AS accepted_rounds, NEW.exchanges AS exchanges, NEW.original_tokens AS original_tokens, NEW.final_tokens AS final_tokens, NEW.outcome AS outcome) AS one, json_each(outcome) AS exchange WHERE true GROUP BY 1, 2, 3, 4
    ON CONFLICT (mode, ending, accepted_rounds, failure) DO UPDATE SET
        exchanges = exchanges + excluded.exchanges
    ;
    INSERT INTO round_totals
    SELECT mode, CASE sign(json_extract(round.value, '$.forward.points[0]') - json_extract(round.value, '$.forward.points[1]')) WHEN 1 THEN 'current' WHEN -1 THEN 'draft' WHEN 0 THEN 'neither' ELSE 'unreadable' END,
        CASE json_type(round.value, '$.reversed') WHEN 'null' THEN 'not asked' ELSE CASE sign(json_extract(round.value, '$.reversed.points[1]') - json_extract(round.value, '$.reversed.points[0]')) WHEN 1 THEN 'current' WHEN -1 THEN 'draft' WHEN 0 THEN 'neither' ELSE 'unreadable' END END,
        json_extract(round.value, '$.accepted'),  count(*)
    FROM (SELECT NEW.mode AS mode, NEW.status AS status, NEW.accepted_rounds AS accepted_rounds, NEW.exchanges AS exchanges, NEW.original_tokens AS original_tokens, NEW.final_tokens AS final_tokens, NEW.outcome AS outcome) AS one, json_each(outcome) AS exchange, json_each(exchange.value, '$.rounds') AS round
    WHERE json_type(round.value, '$.forward') = 'object' GROUP BY 1, 2, 3, 4
    ON CONFLICT (mode, forward, reversed, accepted) DO UPDATE SET rounds = rounds + excluded.rounds
    ; END;

CREATE TRIGGER result_removed AFTER DELETE ON results BEGIN
    INSERT INTO result_totals
    SELECT mode, status, accepted_rounds > 0, CASE WHEN original_tokens < 16 THEN 0 WHEN original_tokens < 32 THEN 1 WHEN original_tokens < 64 THEN 2 WHEN original_tokens < 128 THEN 3 WHEN original_tokens < 256 THEN 4 WHEN original_tokens < 512 THEN 5 WHEN original_tokens < 1024 THEN 6 WHEN original_tokens < 2048 THEN 7 WHEN original_tokens < 4096 THEN 8 ELSE 9 END, CASE WHEN final_tokens < 16 THEN 0 WHEN final_tokens < 32 THEN 1 WHEN final_tokens < 64 THEN 2 WHEN final_tokens < 128 THEN 3 WHEN final_tokens < 256 THEN 4 WHEN final_tokens < 512 THEN 5 WHEN final_tokens < 1024 THEN 6 WHEN final_tokens < 2048 THEN 7 WHEN final_tokens < 4096 THEN 8 ELSE 9 END,
        - count(*), - sum(exchanges), - sum(original_tokens), - sum(final_tokens),
        - sum(original_tokens > 0),
        - sum(original_tokens > 0 AND final_tokens > 2 * original_tokens)
    FROM (SELECT OLD.mode AS mode, OLD.status AS status, OLD.accepted_rounds AS accepted_rounds, OLD.exchanges AS exchanges, OLD.original_tokens AS original_tokens, OLD.final_tokens AS final_tokens, OLD.outcome AS outcome) AS one WHERE true GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (mode, status, changed, original_class, final_class) DO UPDATE SET
        results = results + excluded.results, exchanges = exchanges + excluded.exchanges,
        original_tokens = original_tokens + excluded.original_tokens,
        final_tokens = final_tokens + excluded.final_tokens,
        ratios = ratios + excluded.ratios, doubled = doubled + excluded.doubled
    ;
    INSERT INTO exchange_totals
    SELECT mode, json_extract(exchange.value, '$.ending'), json_extract(exchange.value, '$.accepted_rounds'),
        coalesce(json_extract(exchange.value, '$.failure.reason'), ''), - count(*)
    FROM (SELECT OLD.mode AS mode, OLD.status AS status, OLD.accepted_rounds AS accepted_rounds, OLD.exchanges AS exchanges, OLD.original_tokens AS original_tokens, OLD.final_tokens AS final_tokens, OLD.outcome AS outcome) AS one, json_each(outcome) AS exchange WHERE true GROUP BY 1, 2, 3, 4
    ON CONFLICT (mode, ending, accepted_rounds, failure) DO UPDATE SET
        exchanges = exchanges + excluded.exchanges
    ;
    INSERT INTO round_totals
    SELECT mode, CASE sign(json_extract(round.value, '$.forward.points[0]') - json_extract(round.value, '$.forward.points[1]')) WHEN 1 THEN 'current' WHEN -1 THEN 'draft' WHEN 0 THEN 'neither' ELSE 'unreadable' END,
        CASE json_type(round.value, '$.reversed') WHEN 'null' THEN 'not asked' ELSE CASE sign(json_extract(round.value, '$.reversed.points[1]') - json_extract(round.value, '$.reversed.points[0]')) WHEN 1 THEN 'current' WHEN -1 THEN 'draft' WHEN 0 THEN 'neither' ELSE 'unreadable' END END,
        json_extract(round.value, '$.accepted'), - count(*)
    FROM (SELECT OLD.mode AS mode, OLD.status AS status, OLD.accepted_rounds AS accepted_rounds, OLD.exchanges AS exchanges, OLD.original_tokens AS original_tokens, OLD.final_tokens AS final_tokens, OLD.outcome AS outcome) AS one, json_each(outcome) AS exchange, json_each(exchange.value, '$.rounds') AS round
    WHERE json_type(round.value, '$.forward') = 'object' GROUP BY 1, 2, 3, 4
    ON CONFLICT (mode, forward, reversed, accepted) DO UPDATE SET rounds = rounds + excluded.rounds
    ; END;

CREATE TRIGGER result_changed AFTER UPDATE ON results BEGIN
    INSERT INTO result_totals
    SELECT mode, status, accepted_rounds > 0, CASE WHEN original_tokens < 16 THEN 0 WHEN original_tokens < 32 THEN 1 WHEN original_tokens < 64 THEN 2 WHEN original_tokens < 128 THEN 3 WHEN original_tokens < 256 THEN 4 WHEN original_tokens < 512 THEN 5 WHEN original_tokens < 1024 THEN 6 WHEN original_tokens < 2048 THEN 7 WHEN original_tokens < 4096 THEN 8 ELSE 9 END, CASE WHEN final_tokens < 16 THEN 0 WHEN final_tokens < 32 THEN 1 WHEN final_tokens < 64 THEN 2 WHEN final_tokens < 128 THEN 3 WHEN final_tokens < 256 THEN 4 WHEN final_tokens < 512 THEN 5 WHEN final_tokens < 1024 THEN 6 WHEN final_tokens < 2048 THEN 7 WHEN final_tokens < 4096 THEN 8 ELSE 9 END,
        - count(*), - sum(exchanges), - sum(original_tokens), - sum(final_tokens),
        - sum(original_tokens > 0),
        - sum(original_tokens > 0 AND final_tokens > 2 * original_tokens)
    FROM (SELECT OLD.mode AS mode, OLD.status AS status, OLD.accepted_rounds AS accepted_rounds, OLD.exchanges AS exchanges, OLD.original_tokens AS original_tokens, OLD.final_tokens AS final_tokens, OLD.outcome AS outcome) AS one WHERE true GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (mode, status, changed, original_class, final_class) DO UPDATE SET
        results = results + excluded.results, exchanges = exchanges + excluded.exchanges,
        original_tokens = original_tokens + excluded.original_tokens,
        final_tokens = final_tokens + excluded.final_tokens,
        ratios = ratios + excluded.ratios, doubled = doubled + excluded.doubled
    ;
    INSERT INTO exchange_totals
    SELECT mode, json_extract(exchange.value, '$.ending'), json_extract(exchange.value, '$.accepted_rounds'),
        coalesce(json_extract(exchange.value, '$.failure.reason'), ''), - count(*)
    FROM (SELECT OLD.mode AS mode, OLD.status AS status, OLD.accepted_rounds AS accepted_rounds, OLD.exchanges AS exchanges, OLD.original_tokens AS original_tokens, OLD.final_tokens AS final_tokens, OLD.outcome AS outcome) AS one, json_each(outcome) AS exchange WHERE true GROUP BY 1, 2, 3, 4
    ON CONFLICT (mode, ending, accepted_rounds, failure) DO UPDATE SET
        exchanges = exchanges + excluded.exchanges
    ;
    INSERT INTO round_totals
    SELECT mode, CASE sign(json_extract(round.value, '$.forward.points[0]') - json_extract(round.value, '$.forward.points[1]')) WHEN 1 THEN 'current' WHEN -1 THEN 'draft' WHEN 0 THEN 'neither' ELSE 'unreadable' END,
        CASE json_type(round.value, '$.reversed') WHEN 'null' THEN 'not asked' ELSE CASE sign(json_extract(round.value, '$.reversed.points[1]') - json_extract(round.value, '$.reversed.points[0]')) WHEN 1 THEN 'current' WHEN -1 THEN 'draft' WHEN 0 THEN 'neither' ELSE 'unreadable' END END,
        json_extract(round.value, '$.accepted'), - count(*)
    FROM (SELECT OLD.mode AS mode, OLD.status AS status, OLD.accepted_rounds AS accepted_rounds, OLD.exchanges AS exchanges, OLD.original_tokens AS original_tokens, OLD.final_tokens AS final_tokens, OLD.outcome AS outcome) AS one, json_each(outcome) AS exchange, json_each(exchange.value, '$.rounds') AS round
    WHERE json_type(round.value, '$.forward') = 'object' GROUP BY 1, 2, 3, 4
    ON CONFLICT (mode, forward, reversed, accepted) DO UPDATE SET rounds = rounds + excluded.rounds
    ;
    INSERT INTO result_totals
    SELECT mode, status, accepted_rounds > 0, CASE WHEN original_tokens < 16 THEN 0 WHEN original_tokens < 32 THEN 1 WHEN original_tokens < 64 THEN 2 WHEN original_tokens < 128 THEN 3 WHEN original_tokens < 256 THEN 4 WHEN original_tokens < 512 THEN 5 WHEN original_tokens < 1024 THEN 6 WHEN original_tokens < 2048 THEN 7 WHEN original_tokens < 4096 THEN 8 ELSE 9 END, CASE WHEN final_tokens < 16 THEN 0 WHEN final_tokens < 32 THEN 1 WHEN final_tokens < 64 THEN 2 WHEN final_tokens < 128 THEN 3 WHEN final_tokens < 256 THEN 4 WHEN final_tokens < 512 THEN 5 WHEN final_tokens < 1024 THEN 6 WHEN final_tokens < 2048 THEN 7 WHEN final_tokens < 4096 THEN 8 ELSE 9 END,
         count(*),  sum(exchanges),  sum(original_tokens),  sum(final_tokens),
         sum(original_tokens > 0),
         sum(original_tokens > 0 AND final_tokens > 2 * original_tokens)
    FROM (SELECT NEW.mode AS mode, NEW.status AS status, NEW.accepted_rounds AS accepted_rounds, NEW.exchanges AS exchanges, NEW.original_tokens AS original_tokens, NEW.final_tokens AS final_tokens, NEW.outcome AS outcome) AS one WHERE true GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (mode, status, changed, original_class, final_class) DO UPDATE SET
        results = results + excluded.results, exchanges = exchanges + excluded.exchanges,
        original_tokens = original_tokens + excluded.original_tokens,
        final_tokens = final_tokens + excluded.final_tokens,
        ratios = ratios + excluded.ratios, doubled = doubled + excluded.doubled
    ;
    INSERT INTO exchange_totals
    SELECT mode, json_extract(exchange.value, '$.ending'), json_extract(exchange.value, '$.accepted_rounds'),
        coalesce(json_extract(exchange.value, '$.failure.reason'), ''),  count(*)
    FROM (SELECT NEW.mode AS mode, NEW.status AS status, NEW.accepted_rounds AS accepted_rounds, NEW.exchanges AS exchanges, NEW.original_tokens AS original_tokens, NEW.final_tokens AS final_tokens, NEW.outcome AS outcome) AS one, json_each(outcome) AS exchange WHERE true GROUP BY 1, 2, 3, 4
    ON CONFLICT (mode, ending, accepted_rounds, failure) DO UPDATE SET
        exchanges = exchanges + excluded.exchanges
    ;
    INSERT INTO round_totals
    SELECT mode, CASE sign(json_extract(round.value, '$.forward.points[0]') - json_extract(round.value, '$.forward.points[1]')) WHEN 1 THEN 'current' WHEN -1 THEN 'draft' WHEN 0 THEN 'neither' ELSE 'unreadable' END,
        CASE json_type(round.value, '$.reversed') WHEN 'null' THEN 'not asked' ELSE CASE sign(json_extract(round.value, '$.reversed.points[1]') - json_extract(round.value, '$.reversed.points[0]')) WHEN 1 THEN 'current' WHEN -1 THEN 'draft' WHEN 0 THEN 'neither' ELSE 'unreadable' END END,
        json_extract(round.value, '$.accepted'),  count(*)
    FROM (SELECT NEW.mode AS mode, NEW.status AS status, NEW.accepted_rounds AS accepted_rounds, NEW.exchanges AS exchanges, NEW.original_tokens AS original_tokens, NEW.final_tokens AS final_tokens, NEW.outcome AS outcome) AS one, json_each(outcome) AS exchange, json_each(exchange.value, '$.rounds') AS round
    WHERE json_type(round.value, '$.forward') = 'object' GROUP BY 1, 2, 3, 4
    ON CONFLICT (mode, forward, reversed, accepted) DO UPDATE SET rounds = rounds + excluded.rounds
    ; END;

CREATE TRIGGER result_replaced BEFORE INSERT ON results BEGIN DELETE FROM results WHERE position = NEW.position AND mode = NEW.mode; END;

CREATE TRIGGER call_added AFTER INSERT ON calls BEGIN
    INSERT INTO call_totals
    SELECT mode, step, model, count(*), sum(failure IS NOT NULL), sum(attempts), sum(NOT counted),
        sum(CASE WHEN counted THEN input_tokens ELSE 0 END),
        sum(CASE WHEN counted THEN coalesce(cached_tokens, 0) ELSE 0 END),
        sum(CASE WHEN counted THEN output_tokens ELSE 0 END),
        count(shortened_to), sum(CASE WHEN counted THEN started ELSE 0 END),
        sum(latency), sum(first), sum(first AND round = 1)
    FROM (
        SELECT *, input_tokens IS NOT NULL AND output_tokens IS NOT NULL AS counted, NOT EXISTS (
            SELECT 1 FROM calls AS earlier
            WHERE earlier.sample = one.sample AND earlier.mode = one.mode AND earlier.step = one.step
                AND earlier.exchange = one.exchange AND earlier.round = one.round
                AND earlier.number < one.number
        ) AS first
        FROM (SELECT NEW.number AS number, NEW.sample AS sample, NEW.mode AS mode, NEW.exchange AS exchange, NEW.round AS round, NEW.step AS step, NEW.model AS model, NEW.input_tokens AS input_tokens, NEW.cached_tokens AS cached_tokens, NEW.output_tokens AS output_tokens, NEW.shortened_to AS shortened_to, NEW.started AS started, NEW.latency AS latency, NEW.attempts AS attempts, NEW.failure AS failure) AS one
    ) WHERE true GROUP BY 1, 2, 3
    ON CONFLICT (mode, step, model) DO UPDATE SET
        calls = calls + excluded.calls, failed = failed + excluded.failed,
        attempts = attempts + excluded.attempts, uncounted = uncounted + excluded.uncounted,
        input_tokens = input_tokens + excluded.input_tokens,
        cached_tokens = cached_tokens + excluded.cached_tokens,
        output_tokens = output_tokens + excluded.output_tokens,
        shortened = shortened + excluded.shortened, started = started + excluded.started,
        latency = latency + excluded.latency, visits = visits + excluded.visits,
        first_visits = first_visits + excluded.first_visits
    ;
    INSERT INTO latency_totals
    SELECT mode, step, model, CAST(printf('%.2e', latency) AS REAL), count(*)
    FROM (SELECT NEW.number AS number, NEW.sample AS sample, NEW.mode AS mode, NEW.exchange AS exchange, NEW.round AS round, NEW.step AS step, NEW.model AS model, NEW.input_tokens AS input_tokens, NEW.cached_tokens AS cached_tokens, NEW.output_tokens AS output_tokens, NEW.shortened_to AS shortened_to, NEW.started AS started, NEW.latency AS latency, NEW.attempts AS attempts, NEW.failure AS failure) AS one WHERE true GROUP BY 1, 2, 3, 4
    ON CONFLICT (mode, step, model, latency) DO UPDATE SET calls = calls + excluded.calls
    ;
    INSERT INTO second_totals
    SELECT CAST(started + latency AS INTEGER), count(*) FROM (SELECT NEW.number AS number, NEW.sample AS sample, NEW.mode AS mode, NEW.exchange AS exchange, NEW.round AS round, NEW.step AS step, NEW.model AS model, NEW.input_tokens AS input_tokens, NEW.cached_tokens AS cached_tokens, NEW.output_tokens AS output_tokens, NEW.shortened_to AS shortened_to, NEW.started AS started, NEW.latency AS latency, NEW.attempts AS attempts, NEW.failure AS failure) AS one WHERE true GROUP BY 1
    ON CONFLICT (second) DO UPDATE SET calls = calls + excluded.calls
    ; END;
